//! The home: one folder with everything a gateway owns. Made on the first start.
//!
//! ```text
//! HOME/sealgate.toml        configuration (optional)
//! HOME/keys/gateway.key     identity key, signs the log       gateway.vkey  its public half, for auditors
//! HOME/keys/gateway.next    the next identity key while the log adopts it
//! HOME/keys/gateway.name    name of the gateway: stays when the identity key changes
//! HOME/keys/ca.key          key of the CA                     ca.pem        its certificate
//! HOME/keys/session.key     derives proxy credentials
//! HOME/ca-bundle.pem        the system's roots and the CA, for tools
//! HOME/sealgate.db          windows and sessions
//! HOME/journal/             what is not in parts yet
//! HOME/evidence/            parts and signed notes
//! HOME/admin.sock           for the command line           HOME/lock  held while a gateway runs
//! ```

use crate::{
    ingress::authority::AuthorityError,
    keyring::{Keyring, check_private},
    ledger::{
        Paths,
        disk::{Disk, LocalDisk},
    },
};
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Why a home can't be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file system.
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    /// Others could read the keys.
    #[error("{0} is open to others (mode {1:04o}): run chmod 700 {0}")]
    Permissions(PathBuf, u32),
    /// Somebody else's folder.
    #[error("{0} belongs to user {1}: a home belongs to the user who runs the gateway")]
    Owner(PathBuf, u32),
    /// A second gateway.
    #[error("a gateway is running in {0} already: use it, or choose another --home")]
    Running(PathBuf),
    /// A key is not what it should be.
    #[error("{0}: {1}")]
    Key(PathBuf, String),
    /// Evidence without the key that signed it.
    #[error("{0} holds evidence, but {1} is missing: put the key back, or choose another --home")]
    KeyLost(PathBuf, PathBuf),
    /// The CA.
    #[error("the CA could not be made: {0}")]
    Authority(#[from] AuthorityError),
}

/// A home in use: the lock is held as long as this lives.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    _lock: File,
}

/// Where the command line reaches the gateway of a home.
pub fn socket(root: &Path) -> PathBuf {
    root.join("admin.sock")
}

/// Where a home keeps its evidence.
pub fn evidence(root: &Path) -> PathBuf {
    root.join("evidence")
}

/// Where a home keeps its public key.
pub fn verifier_key(root: &Path) -> PathBuf {
    root.join("keys").join("gateway.vkey")
}

/// Where a home keeps the roots for tools.
pub fn ca_bundle(root: &Path) -> PathBuf {
    root.join("ca-bundle.pem")
}

/// Where a home keeps what.
pub fn paths(root: &Path) -> Paths {
    let journal = root.join("journal");
    Paths { staging: journal.join("staging"), journal, evidence: evidence(root) }
}

impl Home {
    /// Opens a home, makes what is missing, and locks it.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |error| HomeError::Disk(path, error)
        };
        LocalDisk.create_folder(root).map_err(disk(root))?;
        let root = root.canonicalize().map_err(disk(root))?;
        check_private(&root)?;
        for folder in ["keys", "journal", "journal/staging", "evidence"] {
            let folder = root.join(folder);
            LocalDisk.create_folder(&folder).map_err(disk(&folder))?;
        }
        LocalDisk.sync_folder(&root).map_err(disk(&root))?;
        let lock_path = root.join("lock");
        let lock = File::create(&lock_path).map_err(disk(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Running(root)),
            Err(TryLockError::Error(error)) => Err(HomeError::Disk(lock_path, error)),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the ledger keeps what.
    pub fn paths(&self) -> Paths {
        paths(&self.root)
    }

    /// The bundle for tools.
    pub fn ca_bundle(&self) -> PathBuf {
        ca_bundle(&self.root)
    }

    /// The keys' files.
    pub fn keyring(&self) -> Keyring {
        Keyring::new(self.root.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_home_keeps_its_keys_and_one_gateway_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        let first = {
            let home = Home::open(&root).unwrap();
            assert!(matches!(Home::open(&root), Err(HomeError::Running(_))));
            home.keyring().keys().unwrap()
        };
        let home = Home::open(&root).unwrap();
        let again = home.keyring().keys().unwrap();
        assert_eq!((first.gateway, first.ca_certificate), (again.gateway, again.ca_certificate));
    }

    #[test]
    fn a_home_open_to_others_and_evidence_without_its_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        drop(Home::open(&root).unwrap().keyring().keys().unwrap());
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Home::open(&root).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(root.join("evidence/gw-x")).unwrap();
        fs::remove_file(root.join("keys/gateway.key")).unwrap();
        assert!(matches!(Home::open(&root).unwrap().keyring().keys(), Err(HomeError::KeyLost(..))));
    }
}
