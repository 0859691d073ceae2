//! The keys that sign the notes of open windows: made here, bound by the windows log before they sign, gone after the seal.
//!
//! They are never on disk: a start makes new ones.

use super::windows_log::{LogError, WindowsLog};
use sealgate_schema::{LedgerId, Text, log::Event, merkle::empty_root, note::SigningKey, windows::Mark};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use zeroize::Zeroizing;

/// The keys of the windows that are open.
#[derive(Debug)]
pub struct WindowKeys {
    log: WindowsLog,
    keys: Mutex<HashMap<Text, Arc<SigningKey>>>,
}

impl WindowKeys {
    /// None yet.
    pub fn new(log: WindowsLog) -> Self {
        Self { log, keys: Mutex::default() }
    }

    /// The log that binds them.
    pub fn log(&self) -> &WindowsLog {
        &self.log
    }

    /// Opens a window: a fresh key, bound before the window has a record. Blocks.
    pub fn open(&self, ledger: &LedgerId) -> Result<(), LogError> {
        self.bind(ledger, Mark { records: 0, root: empty_root() }).map(drop)
    }

    /// The key that signs the next note, of more records than `at`: a fresh one after a start. Blocks.
    pub fn signer(&self, ledger: &LedgerId, at: Mark) -> Result<Arc<SigningKey>, LogError> {
        let known = self.keys().get(ledger.window()).cloned();
        known.map_or_else(|| self.bind(ledger, at), Ok)
    }

    /// Forgets the key of a window that is sealed.
    pub fn erase(&self, ledger: &LedgerId) {
        self.keys().remove(ledger.window());
    }

    fn bind(&self, ledger: &LedgerId, at: Mark) -> Result<Arc<SigningKey>, LogError> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(|_| LogError::Unsigned("no random bytes".to_owned()))?;
        let key = SigningKey::from_seed(&ledger.origin(), &seed).map_err(|error| LogError::Unsigned(error.to_string()))?;
        self.log.append(vec![Event::Open {
            window: ledger.window().to_string(),
            key: key.verifier().to_string(),
            records: at.records,
            root: at.root.to_string(),
        }])?;
        let key = Arc::new(key);
        self.keys().insert(ledger.window().clone(), key.clone());
        Ok(key)
    }

    // A panic under this lock can't leave the map half-changed: each change is one insert or one removal.
    fn keys(&self) -> MutexGuard<'_, HashMap<Text, Arc<SigningKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
