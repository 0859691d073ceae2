//! What a witness has seen, and its one decision: whether to cosign.
//!
//! ```text
//! DIR/witness.key   its key, 64 hex digits        DIR/lock      held while it runs
//! DIR/seen          the largest checkpoint of each log, after a line with the SHA-256 of the rest
//! DIR/staging/      files on their way into place
//! ```
//!
//! `seen` is on disk before a cosignature leaves. A witness that lost it can't be told from one that lies, so a key without
//! `seen` is refused: it would cosign a second history.

use crate::ledger::disk::{Disk, write_durably};
use sealgate_schema::{
    Hash,
    merkle::{empty_root, is_consistent},
    note::{self, Checkpoint, NoteError, VerifierKey},
    witness::{
        Cosigner,
        request::{AddCheckpoint, BadRequest},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// Why a witness's folder can't be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system.
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    /// Others could read the key.
    #[error("{0} is open to others (mode {1:04o}): run chmod go= {0}")]
    Permissions(PathBuf, u32),
    /// A second witness.
    #[error("a witness is running in {0} already: stop it, or choose another --dir")]
    Running(PathBuf),
    /// The key is not one.
    #[error("{0} is not a witness's key: put the right one back, or choose another --dir and have the policies changed")]
    BadKey(PathBuf),
    /// What was seen is lost or damaged.
    #[error(
        "{0} is missing or damaged: put back the newest copy. Without one this witness could cosign a second history: choose another --dir, and have the new key put into the policies"
    )]
    SeenLost(PathBuf),
    /// Checkpoints were cosigned with a key that is gone.
    #[error("{0} is missing: put it back, or choose another --dir and have the policies changed")]
    KeyLost(PathBuf),
    /// Another name than on the first start.
    #[error("this witness is {0}; its name is part of its key: start it with the --name it was made with")]
    OtherName(String),
    /// The name can't be a key's.
    #[error("{0:?} can't be a witness's name: use a URL without its scheme, such as witness.example/w1")]
    BadName(String),
}

/// Why a checkpoint is not cosigned, by the status that the specification gives it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400.
    #[error("{0}")]
    Malformed(String),
    /// 403.
    #[error("no signature by a key that this witness trusts for {0}")]
    Untrusted(String),
    /// 404.
    #[error("this witness does not know the log {0:?}")]
    UnknownLog(String),
    /// 409, with the size that was cosigned.
    #[error("{0}")]
    Conflict(u64),
    /// 422.
    #[error("the proof does not show that the checkpoint continues the one of size {0}")]
    NotConsistent(u64),
    /// 500. It stays so until the witness is started again: only a start knows which of the two states the disk has.
    #[error("this witness can't write down what it has seen ({0}); its operator has to mend the disk and start it again")]
    Unwritable(String),
}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<NoteError> for Refusal {
    fn from(error: NoteError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The file `seen`, after its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// Text form of the witness's key.
    witness: String,
    /// By origin.
    logs: BTreeMap<String, Latest>,
}

/// The largest checkpoint of a log that was cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Latest {
    size: u64,
    /// Hex.
    root: String,
}

/// What is held under the lock: what the disk is known to hold, or that it is not known.
#[derive(Debug)]
enum Known {
    Seen(Seen),
    Unknown(String),
}

/// A witness in use: its folder is locked as long as this lives.
#[derive(Debug)]
pub struct Witness {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    known: Mutex<Known>,
    _lock: File,
}

impl Witness {
    /// Opens a witness's folder, and makes it on the first start.
    pub fn open(folder: &Path, name: &str, logs: Vec<VerifierKey>, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let lock = lock(folder, &*disk)?;
        let (key_path, seen_path) = (folder.join("witness.key"), folder.join("seen"));
        let (seed, seen) = (read_seed(&*disk, &key_path)?, read_seen(&*disk, &seen_path)?);
        let (seed, seen) = match (seed, seen) {
            (Some(_), None) => return Err(OpenError::SeenLost(seen_path)),
            (None, Some(seen)) if !seen.logs.is_empty() => return Err(OpenError::KeyLost(key_path)),
            (Some(seed), Some(seen)) => (seed, seen),
            // The first start, or one after it stopped between the two files: nothing was cosigned without a key.
            (None, _) => make(&*disk, folder, name)?,
        };
        let cosigner = Cosigner::from_seed(name, &seed).map_err(|_| OpenError::BadName(name.to_owned()))?;
        if seen.witness != cosigner.public().to_string() {
            return Err(OpenError::OtherName(seen.witness));
        }
        Ok(Self { cosigner, logs, disk, folder: folder.to_owned(), known: Mutex::new(Known::Seen(seen)), _lock: lock })
    }

    /// Text form of its key, for policies.
    pub fn key(&self) -> String {
        self.cosigner.public().to_string()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.cosigner.public().name()
    }

    /// Takes the body of an `add-checkpoint` and answers with a cosignature line. Blocks on the disk.
    ///
    /// Checking and writing happen under one lock, or two requests could each continue the same checkpoint.
    pub fn add(&self, body: &[u8], now_seconds: u64) -> Result<String, Refusal> {
        let request = AddCheckpoint::parse(body)?;
        let (text, checkpoint) = self.trusted(&request.note)?;
        if request.old > checkpoint.size {
            return Err(Refusal::Malformed("the old size is larger than the checkpoint's".to_owned()));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = match &*known {
            Known::Seen(seen) => seen,
            Known::Unknown(why) => return Err(Refusal::Unwritable(why.clone())),
        };
        let next = Latest { size: checkpoint.size, root: checkpoint.root.to_string() };
        if continues(seen.logs.get(&checkpoint.origin), &request, &checkpoint)? {
            let mut seen = seen.clone();
            seen.logs.insert(checkpoint.origin, next);
            // A crash in here leaves the old state or the new one. The new one was checked; that nobody has its
            // cosignature only means that the log asks again, and is told the size.
            if let Err(error) = write_seen(&*self.disk, &self.folder, &seen) {
                tracing::error!(%error, "what was seen can't be written; no checkpoint is cosigned until the next start");
                *known = Known::Unknown(error.to_string());
                return Err(Refusal::Unwritable(error.to_string()));
            }
            *known = Known::Seen(seen);
        }
        Ok(self.cosigner.cosign(text, now_seconds))
    }

    /// The text of a checkpoint that a trusted key of its log has signed.
    fn trusted<'a>(&self, note: &'a str) -> Result<(&'a str, Checkpoint), Refusal> {
        // The text says whose log it is, and that says which keys may have signed the text.
        let text = note.rfind("\n\n").and_then(|end| note.get(..=end));
        let checkpoint = Checkpoint::parse(text.ok_or_else(|| Refusal::Malformed("the checkpoint is not signed".to_owned()))?)?;
        if checkpoint.extensions.iter().any(String::is_empty) {
            return Err(Refusal::Malformed("an extension line is empty".to_owned()));
        }
        let mut keys = self.logs.iter().filter(|key| key.name() == checkpoint.origin).peekable();
        if keys.peek().is_none() {
            return Err(Refusal::UnknownLog(checkpoint.origin));
        }
        for key in keys {
            match note::open(note, key) {
                Ok(text) => return Ok((text, checkpoint)),
                Err(NoteError::Malformed(why)) => return Err(Refusal::Malformed(why.to_owned())),
                Err(_) => {}
            }
        }
        Err(Refusal::Untrusted(checkpoint.origin))
    }
}

/// Whether the checkpoint is one to write down: it continues the latest one, and is not the same.
fn continues(latest: Option<&Latest>, request: &AddCheckpoint, checkpoint: &Checkpoint) -> Result<bool, Refusal> {
    let (size, root) = match latest {
        None => (0, Some(empty_root())),
        Some(latest) => (latest.size, Hash::from_hex(&latest.root)),
    };
    let root = root.ok_or_else(|| Refusal::Unwritable("a root in `seen` is not one".to_owned()))?;
    if request.old != size {
        return Err(Refusal::Conflict(size));
    }
    if checkpoint.size == size && checkpoint.root != root {
        tracing::error!(origin = checkpoint.origin, size, note = request.note, "the log signed two roots of one size");
        return Err(Refusal::Conflict(size));
    }
    if !is_consistent(size, &root, checkpoint.size, &checkpoint.root, &request.proof) {
        tracing::warn!(origin = checkpoint.origin, size, note = request.note, "a checkpoint came without a proof that holds");
        return Err(Refusal::NotConsistent(size));
    }
    Ok(checkpoint.size != size)
}

fn lock(folder: &Path, disk: &dyn Disk) -> Result<File, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| OpenError::Disk(path, error)
    };
    disk.create_folder(&folder.join("staging")).map_err(failed(folder))?;
    private(folder)?;
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(failed(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Running(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Disk(path, error)),
    }
}

fn private(path: &Path) -> Result<(), OpenError> {
    let mode = fs::metadata(path).map_err(|error| OpenError::Disk(path.to_owned(), error))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Permissions(path.to_owned(), mode)) }
}

/// Makes a key. `seen` is written before it: a key without `seen` means that `seen` was lost.
fn make(disk: &dyn Disk, folder: &Path, name: &str) -> Result<(Zeroizing<[u8; 32]>, Seen), OpenError> {
    let path = folder.join("witness.key");
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *seed).map_err(|_| OpenError::Disk(path.clone(), io::Error::other("no random bytes")))?;
    let cosigner = Cosigner::from_seed(name, &seed).map_err(|_| OpenError::BadName(name.to_owned()))?;
    let seen = Seen { witness: cosigner.public().to_string(), logs: BTreeMap::new() };
    write_seen(disk, folder, &seen).map_err(|error| OpenError::Disk(folder.join("seen"), error))?;
    let text = Zeroizing::new(format!("{}\n", Hash(*seed)));
    write_durably(disk, &folder.join("staging"), &path, text.as_bytes()).map_err(|error| OpenError::Disk(path, error))?;
    Ok((seed, seen))
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Disk(path.to_owned(), error)),
    }
}

fn read_seed(disk: &dyn Disk, path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, OpenError> {
    let Some(bytes) = read(disk, path)?.map(Zeroizing::new) else { return Ok(None) };
    private(path)?;
    let seed = std::str::from_utf8(&bytes).ok().and_then(|text| Hash::from_hex(text.trim()));
    seed.map(|seed| Some(Zeroizing::new(seed.0))).ok_or_else(|| OpenError::BadKey(path.to_owned()))
}

fn read_seen(disk: &dyn Disk, path: &Path) -> Result<Option<Seen>, OpenError> {
    let Some(bytes) = read(disk, path)? else { return Ok(None) };
    let seen = std::str::from_utf8(&bytes).ok().and_then(|text| text.split_once('\n')).and_then(|(hash, rest)| {
        let whole = Hash::of(&[rest.as_bytes()]).to_string() == hash;
        whole.then(|| serde_json::from_str(rest).ok()).flatten()
    });
    seen.map(Some).ok_or_else(|| OpenError::SeenLost(path.to_owned()))
}

fn write_seen(disk: &dyn Disk, folder: &Path, seen: &Seen) -> io::Result<()> {
    let rest = serde_json::to_string_pretty(seen)? + "\n";
    let text = format!("{}\n{rest}", Hash::of(&[rest.as_bytes()]));
    write_durably(disk, &folder.join("staging"), &folder.join("seen"), text.as_bytes())
}
