//! Finished segments → Parquet parts and the signed note of each ledger.
//!
//! What is written is a function of the segment and of the parts before it, so a crash at any step is mended by doing all
//! of it again (invariant 10). Steps for each ledger of a segment: the records file, the payloads file, the note. A
//! crash between them leaves files that the note does not list yet; the segment is still there and the next start writes
//! the same bytes again. The segment goes only when all its notes are durable and were read back.

use super::{
    Health, LedgerError, Paths,
    disk::{self, Disk},
    journal::{self, Ending, Share},
    keys::WindowKeys,
    sequencer::{segment_number, segment_path},
    windows_log::LogError,
};
use crate::limits::SEGMENTS_BEHIND_MAX;
use sealgate_schema::{
    Hash, LedgerId,
    log::Event,
    parquet,
    record::Kind,
    seal::{MANIFEST_FORMAT, Manifest, NOTE_NAME, PartFile, State, Table},
    windows::Mark,
};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// `software` of every manifest.
const SOFTWARE: &str = concat!("sealgate ", env!("CARGO_PKG_VERSION"));

/// Why a segment did not become parts.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The disk.
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    /// The segment.
    #[error("journal segment {0}: {1}")]
    Journal(u64, #[source] journal::JournalError),
    /// Parts and journal tell different stories: somebody changed one of them.
    #[error("{0}: the evidence on disk and the journal disagree: {1}")]
    Disagreement(String, String),
    /// The windows log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Parquet or JSON could not be encoded.
    #[error("encoding: {0}")]
    Encoding(String),
}

/// Makes parts.
#[derive(Debug, Clone)]
pub struct PartWriter {
    paths: Paths,
    disk: Arc<dyn Disk>,
    keys: Arc<WindowKeys>,
}

impl PartWriter {
    /// Writes below `paths.evidence`.
    pub fn new(paths: Paths, disk: Arc<dyn Disk>, keys: Arc<WindowKeys>) -> Self {
        Self { paths, disk, keys }
    }

    /// The keys that it signs with.
    pub fn keys(&self) -> &WindowKeys {
        &self.keys
    }

    /// Folder of a ledger's evidence.
    pub fn folder(&self, ledger: &LedgerId) -> PathBuf {
        self.paths.evidence.join(ledger.gateway().as_str()).join(ledger.window().as_str())
    }

    /// The signed manifest of a ledger; `None` where it has none yet.
    pub fn manifest(&self, ledger: &LedgerId) -> Result<Option<Manifest>, PartError> {
        Ok(self.note(ledger)?.map(|(manifest, _)| manifest))
    }

    /// The signed manifest of a ledger, and what stands of it in the windows log once it is sealed.
    fn note(&self, ledger: &LedgerId) -> Result<Option<(Manifest, Event)>, PartError> {
        let path = self.folder(ledger).join(NOTE_NAME);
        let note = match self.disk.read(&path) {
            Ok(note) => String::from_utf8_lossy(&note).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PartError::Disk(path, error)),
        };
        let disagreement = |what: String| PartError::Disagreement(ledger.origin(), what);
        let window = self.keys.log().window(ledger.window())?;
        let records = Manifest::records_of(&note).map_err(|error| disagreement(error.to_string()))?;
        let key = window.as_ref().and_then(|window| window.key_at(records));
        let key = key.ok_or_else(|| disagreement("the windows log binds no key to its note".to_owned()))?;
        let (manifest, root) = Manifest::open(&note, key).map_err(|error| disagreement(error.to_string()))?;
        let seal = seal_of(ledger, manifest.records, root, &note);
        Ok(Some((manifest, seal)))
    }

    /// Puts a seal into the windows log where it is not there yet, and forgets the window's key.
    pub fn declare_seal(&self, ledger: &LedgerId) -> Result<(), PartError> {
        let Some((manifest, seal)) = self.note(ledger)? else { return Ok(()) };
        let declared = self.keys.log().window(ledger.window())?.is_some_and(|window| window.seal.is_some());
        if manifest.state == State::Sealed && !declared {
            self.keys.log().append(vec![seal])?;
        }
        if manifest.state == State::Sealed {
            self.keys.erase(ledger);
        }
        Ok(())
    }

    /// Turns a finished segment into parts, then removes it, after those before it: a start that failed at its end has left
    /// them, and a gap between segments is damage.
    pub fn finish(&self, number: u64) -> Result<(), PartError> {
        self.make(number)?;
        let names = self.disk.list(&self.paths.journal).map_err(|error| PartError::Disk(self.paths.journal.clone(), error))?;
        let mut due = names.iter().filter_map(|name| segment_number(name)).filter(|there| *there <= number);
        due.try_for_each(|number| self.remove(number))
    }

    /// Turns a segment into parts; those that are there already are left.
    pub fn make(&self, number: u64) -> Result<(), PartError> {
        let path = segment_path(&self.paths, number);
        let bytes = self.disk.read(&path).map_err(|error| PartError::Disk(path, error))?;
        let segment = journal::read(&bytes, Ending::Any).map_err(|error| PartError::Journal(number, error))?;
        drop(bytes);
        for share in segment.shares.into_values().filter(|share| !share.records.is_empty()) {
            self.share(share)?;
        }
        Ok(())
    }

    /// Removes a segment whose parts are durable.
    pub fn remove(&self, number: u64) -> Result<(), PartError> {
        let path = segment_path(&self.paths, number);
        let removed = self.disk.remove(&path).and_then(|()| self.disk.sync_folder(&self.paths.journal));
        removed.map_err(|error| PartError::Disk(path, error))
    }

    fn share(&self, share: Share) -> Result<(), PartError> {
        let ledger = share.standing.chain.ledger().clone();
        let folder = self.folder(&ledger);
        let mut manifest = match self.manifest(&ledger)? {
            // A crash came after the note and before the segment was removed; or the note's name could not be made durable,
            // and would go with the next crash.
            Some(manifest) if manifest.records >= share.standing.chain.size() => {
                self.disk.sync_folder(&folder).map_err(|error| PartError::Disk(folder, error))?;
                return self.declare_seal(&ledger);
            }
            Some(manifest) => manifest,
            None => empty_manifest(&ledger),
        };
        if manifest.records != share.first_seq() {
            let why = format!("the note ends at {}, the journal goes on at {}", manifest.records, share.first_seq());
            return Err(PartError::Disagreement(ledger.origin(), why));
        }
        let key = self.keys.signer(&ledger, Mark { records: manifest.records, root: share.before.root() })?;
        self.create_folder(&folder)?;
        manifest.files.extend(self.files(&ledger, &folder, &share)?);
        manifest.records = share.standing.chain.size();
        manifest.head = share.standing.chain.head().to_string();
        manifest.counts = share.standing.counts.clone();
        let closed = share.records.last().is_some_and(|(record, _)| record.fields.kind == Kind::WindowClose);
        manifest.state = if closed { State::Sealed } else { State::Open };
        let text = manifest.text(share.standing.chain.root()).map_err(|error| PartError::Encoding(error.to_string()))?;
        self.write(folder.join(NOTE_NAME), key.sign(&text).as_bytes())?;
        if closed { self.declare_seal(&ledger) } else { Ok(()) }
    }

    fn create_folder(&self, folder: &std::path::Path) -> Result<(), PartError> {
        let synced = self.disk.create_folder(folder).and_then(|()| {
            // The new names of the ledger and of the gateway.
            let above = folder.ancestors().skip(1).take(2);
            above.into_iter().try_for_each(|above| self.disk.sync_folder(above))
        });
        synced.map_err(|error| PartError::Disk(folder.to_owned(), error))
    }

    fn files(&self, ledger: &LedgerId, folder: &std::path::Path, share: &Share) -> Result<Vec<PartFile>, PartError> {
        let encoding = |error: ::parquet::errors::ParquetError| PartError::Encoding(error.to_string());
        let first_seq = share.first_seq();
        let mut files = vec![(
            Table::Records,
            share.records.len(),
            parquet::write_records(ledger, first_seq, &share.records).map_err(encoding)?,
        )];
        if !share.payloads.is_empty() {
            let bytes = parquet::write_payloads(ledger, first_seq, &share.payloads).map_err(encoding)?;
            files.push((Table::Payloads, share.payloads.len(), bytes));
        }
        files.into_iter().map(|(table, rows, bytes)| self.file(folder, share, table, rows as u64, &bytes)).collect()
    }

    fn file(&self, folder: &std::path::Path, share: &Share, table: Table, rows: u64, bytes: &[u8]) -> Result<PartFile, PartError> {
        let name = table.file_name(share.first_seq());
        self.write(folder.join(&name), bytes)?;
        Ok(PartFile {
            name,
            table,
            first_seq: share.first_seq(),
            records: share.records.len() as u64,
            rows,
            bytes: bytes.len() as u64,
            sha256: Hash::of(&[bytes]).to_string(),
            key: None,
        })
    }

    fn write(&self, path: PathBuf, bytes: &[u8]) -> Result<(), PartError> {
        disk::write_durably(&*self.disk, &self.paths.staging, &path, bytes).map_err(|error| PartError::Disk(path, error))
    }
}

fn seal_of(ledger: &LedgerId, records: u64, root: Hash, note: &str) -> Event {
    Event::Seal {
        window: ledger.window().to_string(),
        records,
        root: root.to_string(),
        note: Some(Hash::of(&[note.as_bytes()]).to_string()),
    }
}

fn empty_manifest(ledger: &LedgerId) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        gateway: ledger.gateway().to_string(),
        window: ledger.window().to_string(),
        state: State::Open,
        records: 0,
        head: Hash::ZERO.to_string(),
        counts: BTreeMap::new(),
        files: Vec::new(),
        software: SOFTWARE.to_owned(),
    }
}

type Replies = Vec<oneshot::Sender<Result<(), LedgerError>>>;

enum Job {
    Finish(u64, Replies),
    Stop,
}

/// The thread that makes parts while the writer goes on.
pub(super) struct Finisher {
    jobs: mpsc::SyncSender<Job>,
    thread: Option<JoinHandle<()>>,
    writer: PartWriter,
    health: Arc<Health>,
}

impl Finisher {
    pub(super) fn start(writer: PartWriter, health: Arc<Health>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(SEGMENTS_BEHIND_MAX);
        let (thread_writer, thread_health) = (writer.clone(), health.clone());
        let run = move || {
            while let Ok(Job::Finish(number, replies)) = queue.recv() {
                let result = finish_one(&thread_writer, &thread_health, number);
                replies.into_iter().for_each(|reply| drop(reply.send(result.clone())));
            }
        };
        let thread = std::thread::Builder::new().name("parts".to_owned()).spawn(run)?;
        Ok(Self { jobs, thread: Some(thread), writer, health })
    }

    /// Hands a segment over; waits while [`SEGMENTS_BEHIND_MAX`] are waiting already.
    pub(super) fn finish(&self, number: u64, replies: Replies) {
        if let Err(mpsc::SendError(Job::Finish(_, replies))) = self.jobs.send(Job::Finish(number, replies)) {
            self.health.fail("the thread that makes parts has ended");
            replies.into_iter().for_each(|reply| drop(reply.send(Err(LedgerError::Stopping))));
        }
    }

    /// The keys of the windows.
    pub(super) fn keys(&self) -> &WindowKeys {
        self.writer.keys()
    }

    /// Whether a window of this name was opened before.
    pub(super) fn exists(&self, ledger: &LedgerId) -> bool {
        // What can't be read counts as existing: nothing may be written over it.
        !matches!((self.keys().log().window(ledger.window()), self.writer.manifest(ledger)), (Ok(None), Ok(None)))
    }

    /// Makes the parts still queued, and ends.
    pub(super) fn stop(&mut self) -> Result<(), LedgerError> {
        let _ = self.jobs.send(Job::Stop);
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(LedgerError::Unwritable("the thread that makes parts panicked".to_owned())),
            _ => Ok(()),
        }
    }
}

/// After one segment failed, none later may become parts: their ledgers would have a gap.
fn finish_one(writer: &PartWriter, health: &Health, number: u64) -> Result<(), LedgerError> {
    if let Some(failure) = health.failure() {
        return Err(LedgerError::Unwritable(failure.to_string()));
    }
    writer.finish(number).map_err(|error| {
        health.fail(&error.to_string());
        LedgerError::Unwritable(error.to_string())
    })
}
