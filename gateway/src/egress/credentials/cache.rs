//! Credentials that were got, until they end: one getting at a time for each, the next one ahead of the end, and a failure is the
//! answer for a moment. What it costs to lose one is to get it again.

use super::SourceError;
use crate::limits::{SOURCE_FAILURE_KEPT, SOURCE_REFRESH_AHEAD};
use aws_credential_types::Credentials;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// The place of one credential.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failed: Option<(Instant, SourceError)>,
    is_getting: bool,
}

#[derive(Debug, Clone)]
struct Held {
    credential: Credentials,
    /// When the next one is got; never, for one without an end.
    renew: Option<SystemTime>,
}

/// What there is to do for somebody who needs the credential.
#[derive(Debug)]
pub(super) enum Look {
    /// Use this one, and get the next where a getting is handed out.
    Use(Credentials, Option<Getting>),
    /// It failed a moment ago.
    Failed(SourceError),
    /// Get it.
    Get(Getting),
    /// Somebody is getting it.
    Wait,
}

/// The right to get the credential: one at a time for each slot. Dropped without a word, it has failed: who waits is told, and does
/// not begin the same at once.
#[derive(Debug)]
pub(super) struct Getting {
    slot: Arc<Slot>,
    is_settled: bool,
}

/// A slot as a listing shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) access_key_id: Option<String>,
    pub(super) expires: Option<SystemTime>,
    pub(super) trouble: Option<SourceError>,
}

impl Slot {
    /// What to do at `now` for somebody who needs it until `until`: one that lasts as long is not renewed.
    pub(super) fn look(self: &Arc<Self>, now: SystemTime, until: SystemTime) -> Look {
        let mut state = self.state();
        let valid = state.held.clone().filter(|held| held.credential.expiry().is_none_or(|expiry| now < expiry));
        let failed = state.failed.clone().filter(|(when, _)| when.elapsed() < SOURCE_FAILURE_KEPT).map(|(_, error)| error);
        let is_free = !state.is_getting && failed.is_none();
        let mut getting = || {
            state.is_getting = true;
            Getting { slot: self.clone(), is_settled: false }
        };
        match (valid, failed) {
            (Some(held), _) => {
                let is_due = held.is_due(now, until) && is_free;
                Look::Use(held.credential, is_due.then(&mut getting))
            }
            (None, Some(error)) => Look::Failed(error),
            (None, None) if is_free => Look::Get(getting()),
            (None, None) => Look::Wait,
        }
    }

    /// Told when a getting that is under way is over. Has to be asked for before [`Slot::look`].
    pub(super) fn settled(&self) -> tokio::sync::futures::Notified<'_> {
        self.settled.notified()
    }

    pub(super) fn seen(&self) -> Seen {
        let state = self.state();
        let credential = state.held.as_ref().map(|held| &held.credential);
        Seen {
            access_key_id: credential.map(|credential| credential.access_key_id().to_owned()),
            expires: credential.and_then(Credentials::expiry),
            trouble: state.failed.as_ref().map(|(_, error)| error.clone()),
        }
    }

    // A panic while it is held leaves whole values: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(credential: Credentials, now: SystemTime) -> Self {
        let renew = credential.expiry().map(|expiry| {
            // A source that gives less than twice as long would be asked for every call.
            let lasts = expiry.duration_since(now).unwrap_or(Duration::ZERO);
            expiry.checked_sub(SOURCE_REFRESH_AHEAD.min(lasts / 2)).unwrap_or(expiry)
        });
        Self { credential, renew }
    }

    fn is_due(&self, now: SystemTime, until: SystemTime) -> bool {
        self.renew.is_some_and(|renew| renew <= now) && self.credential.expiry().is_some_and(|expiry| expiry < until)
    }
}

impl Getting {
    /// What came of it. A failure leaves the credential that there is.
    pub(super) fn settle(mut self, got: Result<Credentials, SourceError>, now: SystemTime) {
        self.is_settled = true;
        let mut state = self.slot.state();
        match got {
            Ok(credential) => {
                state.held = Some(Held::new(credential, now));
                state.failed = None;
            }
            Err(error) => state.failed = Some((Instant::now(), error)),
        }
    }
}

impl Drop for Getting {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        state.is_getting = false;
        if !self.is_settled {
            state.failed = Some((Instant::now(), SourceError::Broken));
        }
        drop(state);
        self.slot.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn credential(id: &str, expires: Option<u64>) -> Credentials {
        Credentials::new(id, "secret", None, expires.map(at), "a test")
    }

    fn error() -> SourceError {
        SourceError::Late("a".into())
    }

    /// A slot that was filled at second 0.
    fn filled(expires: Option<u64>) -> Arc<Slot> {
        let slot = Arc::<Slot>::default();
        let Look::Get(getting) = slot.look(at(0), at(10_000)) else { panic!("an empty slot is filled") };
        getting.settle(Ok(credential("first", expires)), at(0));
        slot
    }

    /// `use`, `use+get`, …
    fn word(look: &Look) -> &'static str {
        match look {
            Look::Use(_, None) => "use",
            Look::Use(_, Some(_)) => "use+get",
            Look::Failed(_) => "failed",
            Look::Get(_) => "get",
            Look::Wait => "wait",
        }
    }

    #[test]
    fn one_gets_and_the_others_wait() {
        let slot = Arc::<Slot>::default();
        let getting = slot.look(at(0), at(9_000));
        assert_eq!(word(&getting), "get");
        assert_eq!(word(&slot.look(at(0), at(9_000))), "wait");
        drop(getting);
        assert_eq!(word(&slot.look(at(0), at(9_000))), "failed", "what broke is not begun again at once");
    }

    #[test]
    fn the_next_is_got_ahead_of_the_end_and_the_old_one_used_meanwhile() {
        for (expires, now, until, expected) in [
            (Some(3_600), 3_299, 9_000, "use"),
            (Some(3_600), 3_300, 9_000, "use+get"),
            (Some(3_600), 3_599, 9_000, "use+get"),
            (Some(3_600), 3_600, 9_000, "get"),
            (Some(3_600), 3_599, 3_600, "use"),
            (Some(100), 49, 9_000, "use"),
            (Some(100), 50, 9_000, "use+get"),
            (None, 1_000_000, 2_000_000, "use"),
        ] {
            assert_eq!(word(&filled(expires).look(at(now), at(until))), expected, "{expires:?} {now} {until}");
        }
        let slot = filled(Some(3_600));
        let first = slot.look(at(3_500), at(9_000));
        assert_eq!(word(&slot.look(at(3_500), at(9_000))), "use", "one gets the next");
        let Look::Use(_, Some(getting)) = first else { panic!("it is due") };
        getting.settle(Ok(credential("second", Some(7_000))), at(3_500));
        let Look::Use(credential, None) = slot.look(at(3_700), at(9_000)) else { panic!("there is a new one") };
        assert_eq!(credential.access_key_id(), "second");
    }

    #[test]
    fn a_failure_is_the_answer_for_a_moment_and_leaves_what_is_valid() {
        let slot = filled(Some(3_600));
        let Look::Use(_, Some(getting)) = slot.look(at(3_500), at(9_000)) else { panic!("it is due") };
        getting.settle(Err(error()), at(3_500));
        assert_eq!(word(&slot.look(at(3_500), at(9_000))), "use", "the source is not asked again at once");
        assert_eq!(word(&slot.look(at(3_600), at(9_000))), "failed");
        assert_eq!(slot.seen().trouble, Some(error()));
        let wait = || slot.state().failed = Some((Instant::now().checked_sub(SOURCE_FAILURE_KEPT).unwrap(), error()));
        wait();
        assert_eq!(word(&slot.look(at(3_500), at(9_000))), "use+get");
        wait();
        let Look::Get(getting) = slot.look(at(3_600), at(9_000)) else { panic!("it is over") };
        getting.settle(Ok(credential("second", None)), at(3_600));
        assert_eq!(slot.seen().trouble, None);
    }
}
