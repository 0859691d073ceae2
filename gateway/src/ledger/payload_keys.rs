//! The keys of encrypted payload files: one a window, in a file each, and gone for good when it is destroyed.
//!
//! A key is durable before the first file that needs it. Whoever has the home has the keys: what they are for is that
//! destroying one file takes away every copy of a window's payloads, also those in backups of the evidence.

use super::{
    disk::{self, Disk},
    part::PartError,
};
use sealgate_schema::{Hash, encrypted::PayloadKey};
use std::{io, path::PathBuf, sync::Arc};
use zeroize::Zeroizing;

/// The key files.
#[derive(Debug, Clone)]
pub struct PayloadKeys {
    folder: PathBuf,
    staging: PathBuf,
    disk: Arc<dyn Disk>,
    encrypt: bool,
}

impl PayloadKeys {
    /// Key files in `folder`; new ones are made where payloads are to be encrypted.
    pub fn new(folder: PathBuf, staging: PathBuf, disk: Arc<dyn Disk>, encrypt: bool) -> Self {
        Self { folder, staging, disk, encrypt }
    }

    /// The key of a window; nothing where it has none.
    pub fn of(&self, window: &str) -> Result<Option<PayloadKey>, PartError> {
        let path = self.path(window);
        match self.disk.read(&path).map(Zeroizing::new) {
            Ok(bytes) => match std::str::from_utf8(&bytes).ok().and_then(PayloadKey::from_hex) {
                Some(key) => Ok(Some(key)),
                None => Err(PartError::Disagreement(window.to_owned(), format!("{} is not 64 hex digits", path.display()))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PartError::Disk(path, error)),
        }
    }

    /// The key for a new file of a window whose files so far have a key of this id or none; where it has no file yet, one is
    /// made where it is due, and is durable. A window's files have one key, or none has.
    pub(super) fn for_new(&self, window: &str, known: Option<Option<&str>>) -> Result<Option<PayloadKey>, PartError> {
        match known {
            Some(Some(id)) => self.for_file(window, id).map(Some),
            Some(None) => Ok(None),
            None => match self.of(window)? {
                None if self.encrypt => self.make(window).map(Some),
                key => Ok(key),
            },
        }
    }

    /// The key of a file that is there.
    pub(super) fn for_file(&self, window: &str, id: &str) -> Result<PayloadKey, PartError> {
        self.of(window)?.filter(|key| key.id() == id).ok_or_else(|| self.lost(window))
    }

    /// Destroys the key of a window: overwritten, removed, and its name gone from the folder.
    pub(super) fn destroy(&self, window: &str) -> Result<(), PartError> {
        let path = self.path(window);
        let destroyed = match self.disk.overwrite(&path, &[b'0'; 64]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.disk.remove(&path).and_then(|()| self.disk.sync_folder(&self.folder)),
        };
        destroyed.map_err(|error| PartError::Disk(path, error))
    }

    fn make(&self, window: &str) -> Result<PayloadKey, PartError> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| PartError::Encoding("no random bytes".to_owned()))?;
        let key = PayloadKey::new(bytes);
        let text = Zeroizing::new(format!("{}\n", Hash(*key.bytes())));
        let path = self.path(window);
        let above = self.folder.parent().unwrap_or(&self.folder);
        let made = self.disk.create_folder(&self.folder).and_then(|()| self.disk.sync_folder(above));
        made.and_then(|()| disk::write_durably(&*self.disk, &self.staging, &path, text.as_bytes()))
            .map_err(|error| PartError::Disk(path, error))?;
        Ok(key)
    }

    fn path(&self, window: &str) -> PathBuf {
        self.folder.join(format!("{window}.key"))
    }

    fn lost(&self, window: &str) -> PartError {
        let what = format!("{} is not the key of its payload files: put it back", self.path(window).display());
        PartError::Disagreement(window.to_owned(), what)
    }
}
