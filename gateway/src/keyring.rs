//! The keys of a home: their files, made on the first start, and the handover from one identity key to the next.

use crate::{
    home::{HomeError, ca_bundle, evidence, paths, verifier_key},
    ingress::authority,
    ledger::disk::{Disk, LocalDisk, write_durably},
};
use sealgate_schema::{
    Hash,
    id::check_name,
    log::{CHECKPOINT_NAME, LOG_FOLDER, origin},
    note::{self, SigningKey},
};
use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The next identity key, while the log adopts it.
const NEXT: &str = "gateway.next";

/// The keys of a home.
#[derive(Debug)]
pub struct Keys {
    /// Name of the gateway instance, from its identity key.
    pub gateway: String,
    /// The identity key.
    pub signer: SigningKey,
    /// Derives proxy credentials.
    pub session: Zeroizing<[u8; 32]>,
    /// Encrypts credentials at rest.
    pub broker: Zeroizing<[u8; 32]>,
    /// The CA's certificate, PEM.
    pub ca_certificate: String,
    /// The CA's key, PEM.
    pub ca_key: Zeroizing<String>,
}

/// The files of a home's keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    root: PathBuf,
}

impl Keyring {
    /// Those of the home in `root`, which somebody holds.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Reads the keys, and makes them on the first start.
    pub fn keys(&self) -> Result<Keys, HomeError> {
        self.settle_next()?;
        let seed = self.seed("gateway.key")?;
        let public = public_key(&seed).map_err(|why| HomeError::Key(self.key("gateway.key"), why))?;
        let gateway = self.name(&public)?;
        let signer = self.signer("gateway.key", &gateway, &seed)?;
        self.write_if_other(&verifier_key(&self.root), format!("{}\n", signer.verifier()).as_bytes())?;
        let session = self.seed("session.key")?;
        let broker = self.seed_or_new("broker.key")?;
        let (ca_certificate, ca_key) = self.ca(&gateway)?;
        self.write_if_other(&ca_bundle(&self.root), bundle(&ca_certificate).as_bytes())?;
        Ok(Keys { gateway, signer, session, broker, ca_certificate, ca_key })
    }

    /// Makes the next identity key. It takes over when the windows log has adopted it ([`Keyring::adopt_next`]); a start
    /// in between asks the log's checkpoint whose it is.
    pub fn make_next(&self) -> Result<SigningKey, HomeError> {
        let path = self.key(NEXT);
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(|_| HomeError::Key(path.clone(), "no random bytes".to_owned()))?;
        self.write(&path, Zeroizing::new(format!("{}\n", Hash(*seed))).as_bytes())?;
        self.signer(NEXT, &self.known_name()?, &seed)
    }

    /// The next identity key takes the place of the one before, which is gone.
    pub fn adopt_next(&self) -> Result<(), HomeError> {
        let seed = self.seed(NEXT)?;
        let signer = self.signer(NEXT, &self.known_name()?, &seed)?;
        let (from, to) = (self.key(NEXT), self.key("gateway.key"));
        let moved = LocalDisk.rename(&from, &to).and_then(|()| LocalDisk.sync_folder(&self.root.join("keys")));
        moved.map_err(|error| HomeError::Disk(to, error))?;
        self.write_if_other(&verifier_key(&self.root), format!("{}\n", signer.verifier()).as_bytes())
    }

    /// Forgets a next key that the log did not adopt.
    pub fn discard_next(&self) -> Result<(), HomeError> {
        let path = self.key(NEXT);
        LocalDisk.remove(&path).map_err(|error| HomeError::Disk(path, error))
    }

    /// Finishes a handover that a crash interrupted: the checkpoint says which of the two keys is in charge.
    fn settle_next(&self) -> Result<(), HomeError> {
        if !self.key(NEXT).exists() {
            return Ok(());
        }
        let gateway = self.known_name()?;
        let checkpoint = evidence(&self.root).join(&gateway).join(LOG_FOLDER).join(CHECKPOINT_NAME);
        let note = fs::read_to_string(&checkpoint).map_err(|error| HomeError::Disk(checkpoint, error))?;
        let next = self.signer(NEXT, &gateway, &*self.seed(NEXT)?)?;
        match note::open_exactly(&note, &[next.verifier()]) {
            Ok(_) => self.adopt_next(),
            Err(_) => self.discard_next(),
        }
    }

    fn signer(&self, name: &str, gateway: &str, seed: &[u8; 32]) -> Result<SigningKey, HomeError> {
        SigningKey::from_seed(&origin(gateway), seed).map_err(|error| HomeError::Key(self.key(name), error.to_string()))
    }

    fn known_name(&self) -> Result<String, HomeError> {
        let path = self.key("gateway.name");
        let name = fs::read_to_string(&path).map_err(|error| HomeError::Disk(path, error))?;
        Ok(name.trim().to_owned())
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

    /// A key that no evidence depends on: a home that has none, from before there were such, gets one. Where one was lost, what it
    /// encrypted is lost with it, and is made anew.
    fn seed_or_new(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let path = self.key(name);
        if path.exists() { self.seed(name) } else { self.random_seed(&path) }
    }

    fn new_seed(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let evidence = evidence(&self.root);
        let has_evidence = LocalDisk.list(&evidence).map_err(|error| HomeError::Disk(evidence.clone(), error))?;
        if !has_evidence.is_empty() {
            return Err(HomeError::KeyLost(evidence, path.to_owned()));
        }
        self.random_seed(path)
    }

    fn random_seed(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
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
        write_durably(&LocalDisk, &paths(&self.root).staging, path, bytes).map_err(|error| HomeError::Disk(path.to_owned(), error))
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

/// Refuses what is open to others, or another user's.
pub(crate) fn check_private(path: &Path) -> Result<(), HomeError> {
    let metadata = fs::metadata(path).map_err(|error| HomeError::Disk(path.to_owned(), error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(HomeError::Owner(path.to_owned(), metadata.uid()));
    }
    if mode & 0o077 != 0 { Err(HomeError::Permissions(path.to_owned(), mode)) } else { Ok(()) }
}
