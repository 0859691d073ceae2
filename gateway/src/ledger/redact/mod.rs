//! Taking away from sealed windows: single fields of payloads, payload files, records; and the legal hold that refuses it.
//!
//! The log is told what went, on whose word and why; nothing else is changed. In this order, for each entry, so that no crash
//! leaves a file that the log knows nothing of for longer than to the next start:
//!
//! 1. the successors are made durable beside the files. A crash leaves successors without an entry: the next start removes
//!    them, and nothing was taken away
//! 2. the entry. A crash leaves old files whose fate the log tells: the next start removes them
//! 3. the old files are removed. The blocks that they had are the file system's matter
//!
//! A shredded key goes by the same order: the entry, then the key; a key whose end is in the log is destroyed by the next start.
//! Open windows are not touched: their records are in the journal too. Which rows are meant: `select`.

mod select;

pub use select::{Rows, Selection};

use super::{
    disk::{self, Disk},
    part::{PartError, PartWriter},
    windows_log::{LogError, WindowsLog},
};
use crate::{
    clock::rfc3339,
    limits::{REASON_BYTES_MAX, REDACTED_FILES_MAX},
};
use sealgate_schema::{
    Hash, LedgerId, Payload, Text,
    columns::PayloadRow,
    encrypted,
    log::{Event, RedactedFile, Redaction, RedactionAction, Successor},
    parquet,
    seal::{Manifest, PartFile, Table},
    verify::{Standing, standing},
    windows::{Hold, Window},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Why nothing, or not all, was taken away.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The caller's word is off.
    #[error("{0}")]
    Invalid(String),
    /// No such window, record, call or session.
    #[error("{0}")]
    NotFound(String),
    /// It can't be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// What is there is not what was sealed. It is not written again: that would hide it.
    #[error("{0} is not as it was sealed: nothing is taken away from a window that does not hold; see: sealgate verify")]
    Damaged(String),
    /// The disk, or the note.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The windows log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Parquet could not be encoded.
    #[error("encoding: {0}")]
    Encoding(String),
}

/// On whose word, and why.
#[derive(Debug, Clone)]
pub struct Warrant {
    authority: String,
    reason: String,
}

impl Warrant {
    /// Both are one line.
    pub fn new(authority: &str, reason: &str) -> Result<Self, RedactError> {
        for (what, text) in [("authority", authority), ("reason", reason)] {
            if text.trim().is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
                let why = format!("the {what} is a line of 1 to {REASON_BYTES_MAX} bytes; this one is not");
                return Err(RedactError::Invalid(why));
            }
        }
        Ok(Self { authority: authority.to_owned(), reason: reason.to_owned() })
    }
}

/// What an erasure took away, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Records that lose something.
    pub records: BTreeSet<u64>,
    /// Number of values by field.
    pub fields: BTreeMap<String, u64>,
    /// Payload files that have a successor.
    pub files: u64,
}

impl Erased {
    fn add(&mut self, other: Self) {
        self.records.extend(other.records);
        self.files += other.files;
        for (field, count) in other.fields {
            *self.fields.entry(field).or_default() += count;
        }
    }
}

/// Takes away. One at a time: a file has one successor at a time.
#[derive(Debug)]
pub struct Redactor {
    parts: PartWriter,
    gateway: Text,
    staging: PathBuf,
    disk: Arc<dyn Disk>,
    /// Whether the gateway stops.
    stopped: Mutex<bool>,
}

/// A sealed window, as it stands.
pub(super) struct Place {
    ledger: LedgerId,
    folder: PathBuf,
    manifest: Manifest,
    files: Vec<Standing>,
}

impl Redactor {
    /// Works on the evidence that `parts` writes.
    pub fn new(gateway: Text, parts: PartWriter, staging: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { parts, gateway, staging, disk, stopped: Mutex::new(false) }
    }

    /// Erases fields of payloads; without a warrant only says what would go. Blocks.
    pub fn erase(&self, window: &str, selection: &Selection, warrant: Option<&Warrant>) -> Result<Erased, RedactError> {
        let _one = self.begin()?;
        self.readable(window)?;
        let place = self.place(window)?;
        if !place.files.iter().any(|file| file.file.table == Table::Payloads) {
            return Err(RedactError::NotFound(format!("window {window} has no payloads, or has them no longer")));
        }
        let chosen = select::choose(&selection.rows, &place, |file| self.read(&place, file))?;
        let (mut erased, mut concerned) = (Erased::default(), Vec::new());
        // All of it is read before anything is written: a damaged file is found first.
        for file in place.files.iter().filter(|file| chosen.concerns(file)) {
            let (_, gone) = self.rewrite(&place, file, &chosen, &selection.fields)?;
            if !gone.fields.is_empty() {
                concerned.push(file);
            }
            erased.add(gone);
        }
        if concerned.is_empty() {
            return Err(chosen.nothing(&selection.rows, window));
        }
        let Some(warrant) = warrant else { return Ok(erased) };
        for files in concerned.chunks(REDACTED_FILES_MAX) {
            self.exchange(&place, files, &chosen, &selection.fields, warrant)?;
        }
        Ok(erased)
    }

    /// Takes payload files away (`Payloads`), or everything but the note (`Records`). Returns the number of files. Blocks.
    pub fn remove(&self, window: &str, action: RedactionAction, warrant: &Warrant) -> Result<usize, RedactError> {
        let _one = self.begin()?;
        let place = self.place(window)?;
        let goes = |file: &&Standing| action == RedactionAction::Records || file.file.table == Table::Payloads;
        let files: Vec<&Standing> = place.files.iter().filter(goes).collect();
        let entry = |files: &[&Standing]| {
            let gone = files.iter().map(|file| redacted(file, None)).collect();
            self.entry(&place, action, warrant, BTreeMap::new(), gone)
        };
        // Where there are several entries, the log takes all or none: they come with one checkpoint.
        self.log().append(files.chunks(REDACTED_FILES_MAX).map(entry).collect()).map_err(refused)?;
        self.clear(&place, files.iter().map(|file| file.name.as_str()))?;
        Ok(files.len())
    }

    /// Destroys the key of a window's encrypted payload files: they stay, and nobody can read them or any copy. Blocks.
    pub fn shred(&self, window: &str, warrant: &Warrant) -> Result<(), RedactError> {
        let _one = self.begin()?;
        self.readable(window)?;
        let place = self.place(window)?;
        let mut payloads = place.files.iter().filter(|file| file.file.table == Table::Payloads).peekable();
        if payloads.peek().is_none() {
            return Err(RedactError::NotFound(format!("window {window} has no payloads, or has them no longer")));
        }
        if payloads.any(|file| file.file.key.is_none()) {
            let what =
                format!("the payloads of window {window} are not encrypted, and have no key to destroy: erase them with --all");
            return Err(RedactError::Conflict(what));
        }
        let entry = self.entry(&place, RedactionAction::Shred, warrant, BTreeMap::new(), Vec::new());
        self.log().append(vec![entry]).map_err(refused)?;
        Ok(self.parts.payload_keys().destroy(window)?)
    }

    /// Sets or clears a legal hold. Blocks.
    pub fn hold(&self, name: &str, set: bool, warrant: &Warrant) -> Result<(), RedactError> {
        match (self.window(name)?.hold, set) {
            (Some(hold), true) => return Err(RedactError::Conflict(format!("{} already", held(name, &hold)))),
            (None, false) => {
                return Err(RedactError::Conflict(format!("window {name} is under no legal hold; see: sealgate hold list")));
            }
            _ => {}
        }
        let Warrant { authority, reason } = warrant.clone();
        let event = Event::Hold { window: name.to_owned(), set, authority, reason };
        self.log().append(vec![event]).map_err(refused)
    }

    /// What the log says of each window. Blocks.
    pub fn windows(&self) -> Result<Vec<(String, Window)>, RedactError> {
        Ok(self.log().windows()?)
    }

    /// Removes what a crash left in the folders of sealed windows. A window whose note does not hold is left as it is, for
    /// inspection: a verifier says so. Blocks.
    pub fn settle(&self) -> Result<(), PartError> {
        for (name, window) in self.log().windows()? {
            match self.settle_window(&name, &window) {
                Err(PartError::Disagreement(..)) => {
                    tracing::warn!(window = name, "the window's evidence does not hold: left as it is")
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    /// Waits for what is being taken away, and takes nothing away from here on. Blocks.
    pub fn stop(&self) {
        *self.lock() = true;
    }

    fn begin(&self) -> Result<MutexGuard<'_, bool>, RedactError> {
        let stopped = self.lock();
        if *stopped { Err(RedactError::Conflict("the gateway is stopping".to_owned())) } else { Ok(stopped) }
    }

    // A panic under this lock leaves on disk what a crash leaves, which the next redaction of the window settles.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> &WindowsLog {
        self.parts.keys().log()
    }

    fn ledger(&self, window: &str) -> Result<LedgerId, PartError> {
        LedgerId::new(self.gateway.clone(), window.to_owned())
            .map_err(|error| PartError::Disagreement(window.to_owned(), error.to_string()))
    }

    fn window(&self, name: &str) -> Result<Window, RedactError> {
        let missing = || RedactError::NotFound(format!("there is no window {name}; see: sealgate window list"));
        self.log().window(name)?.ok_or_else(missing)
    }

    /// Whether the key of a window's payloads was not destroyed.
    fn readable(&self, name: &str) -> Result<(), RedactError> {
        match self.window(name)?.lost(RedactionAction::Shred) {
            true => Err(RedactError::Conflict(format!(
                "nobody can read the payloads of window {name} any more: their key was destroyed"
            ))),
            false => Ok(()),
        }
    }

    /// A window from which something may be taken away now.
    fn place(&self, name: &str) -> Result<Place, RedactError> {
        let window = self.window(name)?;
        may_lose(name, &window).map_err(RedactError::Conflict)?;
        self.settle_window(name, &window)?;
        let ledger = self.ledger(name)?;
        let manifest = self.parts.manifest(&ledger)?;
        let manifest = manifest.ok_or_else(|| RedactError::Damaged(format!("the note of window {name}")))?;
        let (files, wrong) = standing(&manifest, &window);
        match wrong.first() {
            Some((index, what)) => Err(RedactError::Damaged(format!("window {name} (entry {index}: {what})"))),
            None => Ok(Place { folder: self.parts.folder(&ledger), ledger, manifest, files }),
        }
    }

    fn settle_window(&self, name: &str, window: &Window) -> Result<(), PartError> {
        if window.seal.is_none_or(|seal| seal.note.is_none()) {
            return Ok(());
        }
        if window.lost(RedactionAction::Shred) {
            self.parts.payload_keys().destroy(name)?;
        }
        let ledger = self.ledger(name)?;
        let folder = self.parts.folder(&ledger);
        let names = match self.disk.list(&folder) {
            Ok(names) => names,
            // Kept elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PartError::Disk(folder, error)),
        };
        if window.redactions.is_empty() && !names.iter().any(|name| name.contains(".r")) {
            return Ok(());
        }
        let Some(manifest) = self.parts.manifest(&ledger)? else { return Ok(()) };
        let (files, _) = standing(&manifest, window);
        let stands = |name: &String| files.iter().any(|file| file.name == *name);
        let known = |name: &String| manifest.files.iter().any(|file| file.name == *name || is_successor(file, name));
        let left: Vec<_> = names.iter().filter(|name| known(name) && !stands(name)).collect();
        if left.is_empty() {
            return Ok(());
        }
        tracing::warn!(window = name, files = ?left, "the window had files of an unfinished redaction, as a crash leaves them: removed");
        let place = Place { ledger, folder, manifest, files };
        self.clear(&place, left.into_iter().map(String::as_str))
    }

    fn path(&self, place: &Place, name: &str) -> PathBuf {
        place.folder.join(name)
    }

    /// The rows of a file, whose bytes are those that stand in the log or the note.
    fn read(&self, place: &Place, file: &Standing) -> Result<parquet::Rows, RedactError> {
        let path = self.path(place, &file.name);
        let bytes = self.disk.read(&path).map_err(|error| PartError::Disk(path, error))?;
        let damaged = || RedactError::Damaged(format!("{} of window {}", file.name, place.ledger.window()));
        if bytes.len() as u64 != file.bytes || Hash::of(&[&bytes]).to_string() != file.sha256 {
            return Err(damaged());
        }
        let (first_seq, bytes) = (file.file.first_seq, bytes.into());
        let contents = match &file.file.key {
            Some(id) => {
                let key = self.parts.payload_keys().for_file(place.ledger.window(), id)?;
                encrypted::read_payloads(&place.ledger, first_seq, &bytes, &key)
            }
            None => parquet::read(file.file.table, &place.ledger, first_seq, &bytes),
        };
        if contents.faults.is_empty() { Ok(contents.rows) } else { Err(damaged()) }
    }

    /// The rows of a payloads file without what is to go, and what goes.
    fn rewrite(
        &self,
        place: &Place,
        file: &Standing,
        chosen: &select::Chosen,
        fields: &[&'static str],
    ) -> Result<(Vec<(u64, Payload)>, Erased), RedactError> {
        let parquet::Rows::Payloads(rows) = self.read(place, file)? else { return Ok(Default::default()) };
        let mut erased = Erased::default();
        let mut erase = |PayloadRow { seq, mut payload, .. }| {
            let commitment = payload.commitment();
            let gone = if chosen.has(seq) { payload.erase(fields) } else { Vec::new() };
            if payload.commitment() != commitment || payload.fault().is_some() {
                return Err(RedactError::Damaged(format!("the payload of record {seq} of window {}", place.ledger.window())));
            }
            if !gone.is_empty() {
                erased.records.insert(seq);
            }
            gone.into_iter().for_each(|field| *erased.fields.entry(field.to_owned()).or_default() += 1);
            Ok((seq, payload))
        };
        let rows = rows.into_iter().map(&mut erase).collect::<Result<Vec<_>, _>>()?;
        erased.files = u64::from(!erased.fields.is_empty());
        Ok((rows, erased))
    }

    /// One entry's worth of files: successors, entry, removal.
    fn exchange(
        &self,
        place: &Place,
        files: &[&Standing],
        chosen: &select::Chosen,
        fields: &[&'static str],
        warrant: &Warrant,
    ) -> Result<(), RedactError> {
        let (mut gone, mut erased) = (Vec::new(), Erased::default());
        let made = files.iter().try_for_each(|file| {
            let (rows, one) = self.rewrite(place, file, chosen, fields)?;
            gone.push(redacted(file, Some(self.succeed(place, file, &rows)?)));
            erased.add(one);
            Ok(())
        });
        let told = made.and_then(|()| {
            let entry = self.entry(place, RedactionAction::Erase, warrant, erased.fields, gone);
            self.log().append(vec![entry]).map_err(refused)
        });
        // Whether the log took the entry is known, save after an error of its disk: then the next start settles it.
        if let Err(error) = told {
            if !matches!(error, RedactError::Log(_)) {
                let successors: Vec<String> = files.iter().map(|file| next_name(file)).collect();
                if let Err(error) = self.clear(place, successors.iter().map(String::as_str)) {
                    tracing::warn!(%error, "successors without an entry are left; the next start removes them");
                }
            }
            return Err(error);
        }
        Ok(self.clear(place, files.iter().map(|file| file.name.as_str()))?)
    }

    /// Writes the file that is to stand in another's place.
    fn succeed(&self, place: &Place, file: &Standing, rows: &[(u64, Payload)]) -> Result<Successor, RedactError> {
        let key = file.file.key.as_ref().map(|id| self.parts.payload_keys().for_file(place.ledger.window(), id)).transpose()?;
        let bytes = encrypted::write(&place.ledger, file.file.first_seq, rows, key.as_ref())
            .map_err(|error| RedactError::Encoding(error.to_string()))?;
        let name = next_name(file);
        let path = self.path(place, &name);
        disk::write_durably(&*self.disk, &self.staging, &path, &bytes).map_err(|error| PartError::Disk(path, error))?;
        Ok(Successor { name, sha256: Hash::of(&[&bytes]).to_string(), bytes: bytes.len() as u64 })
    }

    fn entry(
        &self,
        place: &Place,
        action: RedactionAction,
        warrant: &Warrant,
        fields: BTreeMap<String, u64>,
        files: Vec<RedactedFile>,
    ) -> Event {
        let (window, Warrant { authority, reason }) = (place.ledger.window().to_string(), warrant.clone());
        Event::Redaction(Redaction { window, action, authority, reason, fields, files })
    }

    /// Removes files, durably. All are tried; the first error is returned.
    fn clear<'a>(&self, place: &Place, names: impl Iterator<Item = &'a str>) -> Result<(), PartError> {
        let mut done = Ok(());
        for name in names {
            let path = self.path(place, name);
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => done = done.and(Err(PartError::Disk(path, error))),
                _ => {}
            }
        }
        let synced = self.disk.sync_folder(&place.folder).map_err(|error| PartError::Disk(place.folder.clone(), error));
        done.and(synced)
    }
}

/// Why nothing can be taken away from a window, if so.
pub fn may_lose(name: &str, window: &Window) -> Result<(), String> {
    if let Some(hold) = &window.hold {
        return Err(format!("{}: nothing may be taken away from it before the hold is cleared", held(name, hold)));
    }
    match window.seal {
        None if name.starts_with("day-") => {
            Err(format!("window {name} is open: it is the gateway's own, and is sealed when its day is over; try again then"))
        }
        None => Err(format!("window {name} is open, and only a sealed one can lose something: sealgate window close {name}")),
        Some(seal) if seal.note.is_none() => Err(format!("window {name} never had a record")),
        Some(_) if window.lost(RedactionAction::Records) => Err(format!("the records of window {name} are gone already")),
        Some(_) => Ok(()),
    }
}

fn held(name: &str, hold: &Hold) -> String {
    format!("window {name} is under a legal hold of {} since {} ({})", hold.authority, rfc3339(hold.time), hold.reason)
}

/// What the log refuses was not begun; a hold may have come in between.
fn refused(error: LogError) -> RedactError {
    match error {
        LogError::Refused(why) => RedactError::Conflict(why.to_owned()),
        LogError::Unsigned(why) => RedactError::Encoding(why),
        error => RedactError::Log(error),
    }
}

fn redacted(file: &Standing, successor: Option<Successor>) -> RedactedFile {
    RedactedFile { name: file.name.clone(), sha256: file.sha256.clone(), successor }
}

fn next_name(file: &Standing) -> String {
    file.file.table.revision_name(file.file.first_seq, file.revision + 1)
}

/// Whether a name is that of a successor of this file.
fn is_successor(file: &PartFile, name: &str) -> bool {
    let revision = name.rsplit_once(".r").and_then(|(_, rest)| rest.strip_suffix(".parquet")?.parse().ok());
    let same = |revision: u32| revision > 0 && file.table.revision_name(file.first_seq, revision) == name;
    file.table == Table::Payloads && revision.is_some_and(same)
}
