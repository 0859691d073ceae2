//! The home: one folder with everything a gateway owns. Made on the first start.
//!
//! ```text
//! HOME/sealgate.toml        configuration (optional)
//! HOME/keys/gateway.key     identity key, signs the log       gateway.vkey  its public half, for auditors
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
    ingress::authority::{self, AuthorityError},
    ledger::{
        Paths,
        disk::{Disk, LocalDisk, write_durably},
    },
};
use sealgate_schema::{Hash, id::check_name, note::SigningKey};
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

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

/// The keys of a home.
#[derive(Debug)]
pub struct Keys {
    /// Name of the gateway instance, from its identity key.
    pub gateway: String,
    /// The identity key.
    pub signer: SigningKey,
    /// Derives proxy credentials.
    pub session: Zeroizing<[u8; 32]>,
    /// The CA's certificate, PEM.
    pub ca_certificate: String,
    /// The CA's key, PEM.
    pub ca_key: Zeroizing<String>,
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
        let journal = self.root.join("journal");
        Paths { staging: journal.join("staging"), journal, evidence: evidence(&self.root) }
    }

    /// The bundle for tools.
    pub fn ca_bundle(&self) -> PathBuf {
        self.root.join("ca-bundle.pem")
    }

    /// Reads the keys, and makes them on the first start.
    pub fn keys(&self) -> Result<Keys, HomeError> {
        let seed = self.seed("gateway.key")?;
        let public = public_key(&seed).map_err(|why| HomeError::Key(self.key("gateway.key"), why))?;
        let gateway = self.name(&public)?;
        let signer = SigningKey::from_seed(&format!("sealgate/{gateway}"), &seed)
            .map_err(|error| HomeError::Key(self.key("gateway.key"), error.to_string()))?;
        self.write_if_other(&verifier_key(&self.root), format!("{}\n", signer.verifier()).as_bytes())?;
        let session = self.seed("session.key")?;
        let (ca_certificate, ca_key) = self.ca(&gateway)?;
        self.write_if_other(&self.ca_bundle(), bundle(&ca_certificate).as_bytes())?;
        Ok(Keys { gateway, signer, session, ca_certificate, ca_key })
    }

    /// The name of the gateway: made from its first identity key.
    fn name(&self, public: &[u8]) -> Result<String, HomeError> {
        let path = self.key("gateway.name");
        match fs::read_to_string(&path) {
            Ok(name) => match check_name("gateway", name.trim()) {
                Ok(()) => Ok(name.trim().to_owned()),
                Err(error) => Err(HomeError::Key(path, error.to_string())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = format!("gw-{}", Hash::of(&[public]).to_string().get(..16).unwrap_or_default());
                self.write(&path, format!("{name}\n").as_bytes())?;
                Ok(name)
            }
            Err(error) => Err(HomeError::Disk(path, error)),
        }
    }

    fn key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }

    /// 32 secret bytes, as hex in a file.
    fn seed(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let path = self.key(name);
        match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => {
                check_private(&path)?;
                let seed = Hash::from_hex(text.trim()).ok_or_else(|| HomeError::Key(path, "not 64 hex digits".to_owned()))?;
                Ok(Zeroizing::new(seed.0))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.new_seed(&path),
            Err(error) => Err(HomeError::Disk(path, error)),
        }
    }

    fn new_seed(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let evidence = evidence(&self.root);
        let has_evidence = LocalDisk.list(&evidence).map_err(|error| HomeError::Disk(evidence.clone(), error))?;
        if !has_evidence.is_empty() {
            return Err(HomeError::KeyLost(evidence, path.to_owned()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(|_| HomeError::Key(path.to_owned(), "no random bytes".to_owned()))?;
        self.write(path, Zeroizing::new(format!("{}\n", Hash(*seed))).as_bytes())?;
        Ok(seed)
    }

    fn ca(&self, gateway: &str) -> Result<(String, Zeroizing<String>), HomeError> {
        let (certificate_path, key_path) = (self.key("ca.pem"), self.key("ca.key"));
        match (fs::read_to_string(&certificate_path), fs::read_to_string(&key_path).map(Zeroizing::new)) {
            (Ok(certificate), Ok(key)) => {
                check_private(&key_path)?;
                Ok((certificate, key))
            }
            // The key is written first: a crash between the two leaves a key that no certificate names.
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
                let (certificate, key) = authority::new_root(gateway)?;
                let key = Zeroizing::new(key);
                self.write(&key_path, key.as_bytes())?;
                self.write(&certificate_path, certificate.as_bytes())?;
                Ok((certificate, key))
            }
            (Err(error), _) => Err(HomeError::Disk(certificate_path, error)),
            (_, Err(error)) => Err(HomeError::Disk(key_path, error)),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
        write_durably(&LocalDisk, &self.paths().staging, path, bytes).map_err(|error| HomeError::Disk(path.to_owned(), error))
    }

    fn write_if_other(&self, path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
        if fs::read(path).is_ok_and(|there| there == bytes) { Ok(()) } else { self.write(path, bytes) }
    }
}

fn public_key(seed: &[u8; 32]) -> Result<Vec<u8>, String> {
    use aws_lc_rs::signature::KeyPair;
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| error.to_string())?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// Tools take one file of roots; it must hold the system's too, or whatever is tunnelled stops working.
fn bundle(ca: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let native = rustls_native_certs::load_native_certs();
    let mut pem = ca.to_owned();
    for certificate in native.certs {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

fn check_private(path: &Path) -> Result<(), HomeError> {
    let metadata = fs::metadata(path).map_err(|error| HomeError::Disk(path.to_owned(), error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(HomeError::Owner(path.to_owned(), metadata.uid()));
    }
    if mode & 0o077 != 0 { Err(HomeError::Permissions(path.to_owned(), mode)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_keeps_its_keys_and_one_gateway_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        let first = {
            let home = Home::open(&root).unwrap();
            assert!(matches!(Home::open(&root), Err(HomeError::Running(_))));
            home.keys().unwrap()
        };
        let home = Home::open(&root).unwrap();
        let again = home.keys().unwrap();
        assert_eq!((first.gateway, first.ca_certificate), (again.gateway, again.ca_certificate));
    }

    #[test]
    fn a_home_open_to_others_and_evidence_without_its_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        drop(Home::open(&root).unwrap().keys().unwrap());
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let error = Home::open(&root).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(root.join("evidence/gw-x")).unwrap();
        fs::remove_file(root.join("keys/gateway.key")).unwrap();
        assert!(matches!(Home::open(&root).unwrap().keys(), Err(HomeError::KeyLost(..))));
    }
}
