//! Retention: takes away from sealed windows what is due ([`sealgate_policies::retention`]).
//!
//! Where one window fails, the others are still done; a legal hold keeps a window out of it.

use super::redact::{RedactError, Redactor, Warrant};
use crate::limits::RETENTION_EVERY;
use sealgate_policies::retention::{Due, Keep, Sealed};
use sealgate_schema::{log::RedactionAction, windows::Window};
use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

/// What is kept, and what was found to be gone.
#[derive(Debug)]
pub struct Retention {
    keep: Keep,
    /// When it was last looked, by the gateway's clock.
    looked: AtomicI64,
    /// Windows that had nothing to take away, which no entry says: what they were looked at for. Held while it is looked.
    empty: Mutex<BTreeMap<String, Due>>,
}

impl Retention {
    /// Keeps what the settings say.
    pub fn new(keep: Keep) -> Self {
        Self { keep, looked: AtomicI64::new(i64::MIN), empty: Mutex::default() }
    }

    /// Whether it is time to look: [`RETENTION_EVERY`] after the last look, and not while one goes on.
    pub fn is_due(&self, now: i64) -> bool {
        let since = now.abs_diff(self.looked.load(Ordering::Relaxed));
        let due = self.keep != Keep::default() && u128::from(since) >= RETENTION_EVERY.as_micros() && self.empty.try_lock().is_ok();
        if due {
            self.looked.store(now, Ordering::Relaxed);
        }
        due
    }

    /// Takes away what is due. Returns the first error, with the window. Blocks.
    pub fn run(&self, redactor: &Redactor, now: i64) -> Result<(), (String, RedactError)> {
        let mut done = Ok(());
        // A panic under this lock can't leave the map half-changed: each change is one insert.
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = redactor.windows().map_err(|error| ("all".to_owned(), error))?;
        for (name, window) in windows {
            let gone = [Due::Records, Due::Payloads].into_iter().find(|due| window.lost(action(*due)));
            let Some((due, days)) = self.due(&window, gone.max(empty.get(&name).copied()), now) else { continue };
            let authority = format!("retention: {} = {days}", due.setting());
            let removed =
                Warrant::new(&authority, "its time is over").and_then(|warrant| redactor.remove(&name, action(due), &warrant));
            match removed {
                Ok(0) => drop(empty.insert(name, due)),
                Ok(files) => tracing::info!(window = name, files, authority, "taken away"),
                Err(error) => done = done.and(Err((name, error))),
            }
        }
        done
    }

    fn due(&self, window: &Window, gone: Option<Due>, now: i64) -> Option<(Due, NonZeroU32)> {
        let seal = window.seal.filter(|seal| seal.note.is_some())?;
        self.keep.due(Sealed { at: seal.time, held: window.hold.is_some(), gone }, now)
    }
}

fn action(due: Due) -> RedactionAction {
    match due {
        Due::Payloads => RedactionAction::Payloads,
        Due::Records => RedactionAction::Records,
    }
}
