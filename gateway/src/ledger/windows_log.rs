//! The windows log: which windows there are, which key signs for each, how far each has grown, how it was sealed.
//!
//! One thread owns it. An entry is told of when it and the checkpoint over it are durable; what a crash leaves behind:
//!
//! 1. before the tiles: nothing
//! 2. after the tiles, before the checkpoint: tiles that no checkpoint calls for; the next start removes them, and nobody
//!    was told of their entries
//! 3. after the checkpoint: the entries, and partial tiles that went out of use; the next start removes those
//!
//! The format is FORMAT.md §10; [`sealgate_schema::windows`] refuses what a verifier would refuse. What witnesses make
//! of the checkpoints is not here.

use super::{
    Health, Signer,
    disk::{Disk, write_durably},
};
use crate::clock::Clock;
use sealgate_schema::{
    Hash,
    log::{CHECKPOINT_NAME, COSIGNED_NAME, Entry, Event, KeyAction, LOG_FOLDER, handover_name, origin},
    merkle::{Tree, leaf_hash, range_root},
    note::{self, Checkpoint, VerifierKey},
    tiles::{self, Kind, TILE_WIDTH, Tile},
    windows::{Heads, Identity, Window, Windows},
};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};
use tokio::sync::watch;

/// Entries that are written together: what a second can bring, with room.
const BATCH_MAX: usize = 1_024;

/// Why the log took no entry, or could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk.
    #[error("{0}: {1}")]
    Disk(PathBuf, String),
    /// What is there is not a log that this gateway wrote.
    #[error("the windows log in {0} does not hold: {1}; it is left as it is for inspection")]
    Damaged(PathBuf, String),
    /// There is evidence, and no log.
    #[error("{0} is missing, and there is evidence beside it or a journal: put it back, or choose another --home")]
    Lost(PathBuf),
    /// The entry can't stand there.
    #[error("the windows log does not take this: {0}")]
    Refused(&'static str),
    /// The signer, or an entry too long.
    #[error("{0}")]
    Unsigned(String),
    /// The thread has ended, or failed before.
    #[error("the windows log can't be written; start the gateway again")]
    Ended,
}

type Told<T> = mpsc::SyncSender<T>;

enum Message {
    Append { events: Vec<Event>, told: Option<Told<Result<(), LogError>>> },
    Ask { window: String, told: Told<Option<Window>> },
    List { told: Told<Vec<(String, Window)>> },
    Unstamped { told: Told<Vec<String>> },
    Identities { told: Told<Vec<Identity>> },
    Rotate { next: Arc<dyn Signer>, reason: String, revoke_from: Option<u64>, told: Told<Result<(), LogError>> },
}

/// Handle to the log. Clones share it; the thread ends with the last.
#[derive(Debug, Clone)]
pub struct WindowsLog {
    sender: mpsc::Sender<Message>,
    checkpoint: watch::Receiver<Arc<str>>,
    identity: watch::Receiver<VerifierKey>,
    folder: PathBuf,
}

impl WindowsLog {
    /// Opens the log of a gateway, makes it where there is no evidence yet, settles what a crash left, and starts its thread.
    pub fn open(start: Start, health: Arc<Health>) -> Result<Self, LogError> {
        let folder = start.evidence.join(&start.gateway).join(LOG_FOLDER);
        let mut writer = Writer::open(start, folder.clone(), health)?;
        let (sender, receiver) = mpsc::channel::<Message>();
        let (checkpoint, identity) = (writer.published.subscribe(), writer.identity.subscribe());
        let run = move || {
            while let Ok(message) = receiver.recv() {
                // What is in memory is ahead of the disk after an error: nothing more is written.
                if writer.take(message, &receiver).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("windows-log".to_owned()).spawn(run);
        thread.map_err(|error| LogError::Disk(folder.clone(), error.to_string()))?;
        Ok(Self { sender, checkpoint, identity, folder })
    }

    /// Writes entries; when this returns, they are durable. Blocks.
    pub fn append(&self, events: Vec<Event>) -> Result<(), LogError> {
        self.ask(|told| Message::Append { events, told: Some(told) })?
    }

    /// Writes entries and does not wait for them.
    pub fn submit(&self, events: Vec<Event>, done: Told<Result<(), LogError>>) {
        // A thread that has ended has said so in the health.
        let _ = self.sender.send(Message::Append { events, told: Some(done) });
    }

    /// What the log says of a window. Blocks.
    pub fn window(&self, name: &str) -> Result<Option<Window>, LogError> {
        self.ask(|told| Message::Ask { window: name.to_owned(), told })
    }

    /// All windows by name. Blocks.
    pub fn windows(&self) -> Result<Vec<(String, Window)>, LogError> {
        self.ask(|told| Message::List { told })
    }

    /// Sealed windows without a timestamp. Blocks.
    pub fn unstamped(&self) -> Result<Vec<String>, LogError> {
        self.ask(|told| Message::Unstamped { told })
    }

    /// The identity keys, oldest first. Blocks.
    pub fn identities(&self) -> Result<Vec<Identity>, LogError> {
        self.ask(|told| Message::Identities { told })
    }

    /// Hands over to another identity key, and revokes the one before from an entry on where asked. Blocks.
    pub fn rotate(&self, next: Arc<dyn Signer>, reason: String, revoke_from: Option<u64>) -> Result<(), LogError> {
        self.ask(|told| Message::Rotate { next, reason, revoke_from, told })?
    }

    /// The newest checkpoint, signed.
    pub fn checkpoint(&self) -> watch::Receiver<Arc<str>> {
        self.checkpoint.clone()
    }

    /// The identity key that signs checkpoints now.
    pub fn identity(&self) -> watch::Receiver<VerifierKey> {
        self.identity.clone()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn ask<T>(&self, message: impl FnOnce(Told<T>) -> Message) -> Result<T, LogError> {
        let (told, answer) = mpsc::sync_channel(1);
        self.sender.send(message(told)).map_err(|_| LogError::Ended)?;
        answer.recv().map_err(|_| LogError::Ended)
    }
}

/// What a log starts from.
#[derive(Debug)]
pub struct Start {
    /// Name of the gateway.
    pub gateway: String,
    /// The evidence's folder.
    pub evidence: PathBuf,
    /// Files on their way there.
    pub staging: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock of the entries.
    pub clock: Arc<dyn Clock>,
    /// The identity key.
    pub identity: Arc<dyn Signer>,
}

struct Writer {
    start: Start,
    folder: PathBuf,
    windows: Windows,
    tree: Tree,
    /// Entries of the bundle that is being filled.
    entries: Vec<Vec<u8>>,
    /// Hashes of the tile that is being filled, a level each.
    levels: Vec<Vec<Hash>>,
    /// Folders whose names this process made durable.
    durable: BTreeSet<PathBuf>,
    published: watch::Sender<Arc<str>>,
    identity: watch::Sender<VerifierKey>,
    health: Arc<Health>,
}

impl Writer {
    fn open(start: Start, folder: PathBuf, health: Arc<Health>) -> Result<Self, LogError> {
        let mut writer = Self {
            windows: Windows::new(&start.gateway, Heads::Last),
            identity: watch::Sender::new(start.identity.verifier().clone()),
            start,
            folder,
            tree: Tree::default(),
            entries: Vec::new(),
            levels: Vec::new(),
            durable: BTreeSet::new(),
            health,
            published: watch::Sender::new(Arc::from("")),
        };
        match writer.start.disk.read(&writer.folder.join(CHECKPOINT_NAME)) {
            Ok(note) => writer.read(&note)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => writer.begin()?,
            Err(error) => return Err(writer.disk_error(CHECKPOINT_NAME, &error)),
        }
        Ok(writer)
    }

    /// The first entry of a new log. Nothing else may be there: evidence without its log was robbed of it.
    fn begin(&mut self) -> Result<(), LogError> {
        let above = self.start.evidence.join(&self.start.gateway);
        let names = match self.start.disk.list(&above) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LogError::Disk(above, error.to_string())),
        };
        if names.iter().any(|name| name != LOG_FOLDER) {
            return Err(LogError::Lost(self.folder.join(CHECKPOINT_NAME)));
        }
        self.clean()?;
        let key = self.start.identity.verifier().to_string();
        self.write(vec![Event::Key { action: KeyAction::Adopt, key, from: 1, reason: "first start".to_owned() }]).map(drop)
    }

    /// Takes in a log that is there. All of it is read and has to hold: what is appended vouches for what stands before.
    fn read(&mut self, note: &[u8]) -> Result<(), LogError> {
        let damaged = |what: String| LogError::Damaged(self.folder.clone(), what);
        let note = String::from_utf8(note.to_vec()).map_err(|_| damaged("the checkpoint is not UTF-8".to_owned()))?;
        let text = note::open_exactly(&note, &[self.start.identity.verifier()]).map_err(|error| damaged(error.to_string()))?;
        let checkpoint = Checkpoint::parse(text).map_err(|error| damaged(error.to_string()))?;
        for index in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
            let width = (checkpoint.size - index * TILE_WIDTH).min(TILE_WIDTH);
            let path = Tile { kind: Kind::Entries, index, width }.path();
            let bytes = self.start.disk.read(&self.folder.join(&path)).map_err(|error| self.disk_error(&path, &error))?;
            let place = self.folder.join(&path);
            let damaged = |what: &str| LogError::Damaged(place.clone(), what.to_owned());
            let entries = tiles::read_entries(&bytes, width).ok_or_else(|| damaged("it does not hold its entries"))?;
            for entry in entries {
                let decoded = Entry::decode(entry).map_err(|error| damaged(&error.to_string()))?;
                self.windows.take(&decoded).map_err(damaged)?;
                self.push(entry.to_vec(), &mut Vec::new());
            }
        }
        if self.tree.root() != checkpoint.root || checkpoint.origin != origin(&self.start.gateway) {
            return Err(LogError::Damaged(self.folder.clone(), "the entries do not have the signed root".to_owned()));
        }
        // The checkpoint's name may be in memory alone, left by a process that could not sync it. A crash would bring the one
        // before it back, and its tiles would be gone.
        self.start.disk.sync_folder(&self.folder).map_err(|error| self.disk_error("", &error))?;
        self.clean()?;
        self.published.send_replace(note.into());
        Ok(())
    }

    /// Removes what a crash left: tiles and handovers that the checkpoint does not call for, around the place where it ends.
    /// What is amiss elsewhere is no crash's doing, and is left for a verifier to find.
    fn clean(&self) -> Result<(), LogError> {
        let size = self.tree.size();
        let expected: BTreeSet<String> = tiles::tiles(0, size).iter().map(Tile::path).collect();
        let reach = BATCH_MAX as u64;
        for tile in tiles::tiles(size.saturating_sub(reach), size.saturating_add(reach)) {
            let whole = Tile { width: TILE_WIDTH, ..tile }.path();
            let partial = format!("{whole}.p");
            for path in self.names(&partial)?.into_iter().map(|name| format!("{partial}/{name}")).chain([whole]) {
                self.remove_unexpected(&path, &expected)?;
            }
        }
        let handovers: BTreeSet<_> = self.windows.identities().iter().map(|identity| handover_name(identity.from)).collect();
        let names = self.names("")?;
        names.iter().filter(|name| name.starts_with("handover-")).try_for_each(|name| self.remove_unexpected(name, &handovers))
    }

    /// Names in a folder; none where it is not there.
    fn names(&self, folder: &str) -> Result<Vec<String>, LogError> {
        match self.start.disk.list(&self.folder.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(|error| self.disk_error(folder, &error)),
        }
    }

    fn remove_unexpected(&self, path: &str, expected: &BTreeSet<String>) -> Result<(), LogError> {
        if expected.contains(path) {
            return Ok(());
        }
        match self.start.disk.remove(&self.folder.join(path)) {
            Ok(()) => tracing::warn!(path, "the windows log had a file beyond its checkpoint, as a crash leaves it: removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.disk_error(path, &error)),
        }
        Ok(())
    }

    fn disk_error(&self, path: &str, error: &io::Error) -> LogError {
        LogError::Disk(self.folder.join(path), error.to_string())
    }

    /// Does what a message asks, together with the appends that wait behind it. An error here ends the log.
    fn take(&mut self, message: Message, queue: &mpsc::Receiver<Message>) -> Result<(), LogError> {
        let mut next = Some(message);
        while let Some(message) = next.take() {
            match message {
                Message::Append { events, told } => next = self.append(events, told, queue)?,
                // Whoever asked may be gone.
                Message::Ask { window, told } => drop(told.send(self.windows.window(&window).cloned())),
                Message::List { told } => {
                    let all = self.windows.iter().map(|(name, window)| (name.to_owned(), window.clone())).collect();
                    let _ = told.send(all);
                }
                Message::Unstamped { told } => {
                    let lacks = |window: &Window| window.timestamp.is_none() && window.seal.is_some_and(|seal| seal.note.is_some());
                    let lacking = self.windows.iter().filter(|(_, window)| lacks(window)).map(|(name, _)| name.to_owned());
                    let _ = told.send(lacking.collect());
                }
                Message::Identities { told } => drop(told.send(self.windows.identities().to_vec())),
                Message::Rotate { next, reason, revoke_from, told } => {
                    let result = self.rotate(next, reason, revoke_from);
                    self.fail_on(&result);
                    let _ = told.send(result.clone());
                    // What is refused was not begun.
                    if !matches!(result, Err(LogError::Refused(_))) {
                        result?;
                    }
                }
            }
        }
        Ok(())
    }

    fn fail_on(&self, result: &Result<(), LogError>) {
        if let Err(error) = result
            && !matches!(error, LogError::Refused(_))
        {
            self.health.fail(&error.to_string());
        }
    }

    /// Writes these events and those of the appends right behind them with one checkpoint. Returns the message that ended the run.
    fn append(
        &mut self,
        events: Vec<Event>,
        told: Option<Told<Result<(), LogError>>>,
        queue: &mpsc::Receiver<Message>,
    ) -> Result<Option<Message>, LogError> {
        let (mut waiting, mut taken, mut next) = (Vec::new(), Vec::new(), Some(Message::Append { events, told }));
        let mut ended = None;
        while let Some(message) = next.take() {
            match message {
                Message::Append { events, told } => {
                    let staged = events.into_iter().map(|event| self.stage(event, &mut taken));
                    waiting.push((told, staged.fold(Ok(()), Result::and)));
                }
                other => ended = Some(other),
            }
            if ended.is_none() && taken.len() < BATCH_MAX {
                next = queue.try_recv().ok();
            }
        }
        let written = if taken.is_empty() { Ok(()) } else { self.publish(taken) };
        // Before anybody is told: whoever is told looks there next.
        self.fail_on(&written);
        for (told, result) in waiting {
            if let Some(told) = told {
                let _ = told.send(result.and(written.clone()));
            }
        }
        written.map(|()| ended)
    }

    /// Takes an event into the sum and encodes it.
    fn stage(&mut self, event: Event, taken: &mut Vec<Vec<u8>>) -> Result<(), LogError> {
        let entry = Entry { time: self.start.clock.now(), event };
        let bytes = entry.encode().map_err(|error| LogError::Unsigned(error.to_string()))?;
        self.windows.try_take(&entry).map_err(LogError::Refused)?;
        taken.push(bytes);
        Ok(())
    }

    fn write(&mut self, events: Vec<Event>) -> Result<(), LogError> {
        let mut taken = Vec::new();
        for event in events {
            self.stage(event, &mut taken)?;
        }
        self.publish(taken)
    }

    fn publish(&mut self, entries: Vec<Vec<u8>>) -> Result<(), LogError> {
        let old = self.tiles(entries)?;
        self.sign(CHECKPOINT_NAME, |writer, text| writer.start.identity.sign(text))?;
        self.retire(old)
    }

    /// Writes the tiles of new entries; returns those partial ones that went out of use.
    fn tiles(&mut self, entries: Vec<Vec<u8>>) -> Result<Vec<Tile>, LogError> {
        let before = self.tree.size();
        let mut files = Vec::new();
        for entry in entries {
            self.push(entry, &mut files);
        }
        files.extend(self.partial());
        for (tile, bytes) in files {
            self.put(&tile.path(), &bytes)?;
        }
        let now = tiles::partial_tiles(self.tree.size());
        Ok(tiles::partial_tiles(before).into_iter().filter(|tile| !now.contains(tile)).collect())
    }

    /// Takes an entry into the tree; tiles that it fills go to `files`.
    fn push(&mut self, entry: Vec<u8>, files: &mut Vec<(Tile, Vec<u8>)>) {
        let number = self.tree.size() / TILE_WIDTH;
        self.tree.push(&entry);
        let mut hash = leaf_hash(&entry);
        self.entries.push(entry);
        if self.entries.len() as u64 == TILE_WIDTH {
            files.extend(self.bundle(number));
            self.entries.clear();
        }
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let below = tiles::TILE_HEIGHT * level as u32;
            let index = ((self.tree.size() >> below) - 1) / TILE_WIDTH;
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            files.push((Tile { kind: Kind::Hashes(level as u32), index, width: TILE_WIDTH }, hash_bytes(hashes)));
            // A full tile has all its hashes.
            let Ok(root) = range_root(&mut hashes.as_slice(), 0, TILE_WIDTH) else { return };
            hashes.clear();
            hash = root;
        }
    }

    fn bundle(&self, index: u64) -> Option<(Tile, Vec<u8>)> {
        let tile = Tile { kind: Kind::Entries, index, width: self.entries.len() as u64 };
        // Entries were measured when they were encoded.
        tiles::write_entries(self.entries.iter().map(Vec::as_slice)).map(|bytes| (tile, bytes))
    }

    /// The tiles that are not full.
    fn partial(&self) -> Vec<(Tile, Vec<u8>)> {
        let size = self.tree.size();
        let mut files = Vec::new();
        if !self.entries.is_empty() {
            files.extend(self.bundle(size / TILE_WIDTH));
        }
        for (level, hashes) in self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            let index = (size >> (tiles::TILE_HEIGHT * level as u32)) / TILE_WIDTH;
            files.push((Tile { kind: Kind::Hashes(level as u32), index, width: hashes.len() as u64 }, hash_bytes(hashes)));
        }
        files
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.folder.join(name);
        let error = |error: io::Error| LogError::Disk(path.clone(), error.to_string());
        if let Some(folder) = path.parent() {
            self.make_folder(folder).map_err(error)?;
        }
        write_durably(&*self.start.disk, &self.start.staging, &path, bytes).map_err(error)
    }

    /// Makes a folder, and its name durable. Also where it is there: a process that was killed may have left it in memory alone.
    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        if self.durable.contains(folder) {
            return Ok(());
        }
        self.start.disk.create_folder(folder)?;
        let mut above = folder.ancestors().skip(1).take_while(|above| above.starts_with(&self.start.evidence));
        above.try_for_each(|above| self.start.disk.sync_folder(above))?;
        self.durable.insert(folder.to_owned());
        Ok(())
    }

    /// Signs the log as it stands, writes it under a name, and tells those who wait for checkpoints.
    fn sign(&mut self, name: &str, sign: impl FnOnce(&Self, &str) -> Result<String, String>) -> Result<(), LogError> {
        let origin = origin(&self.start.gateway);
        let text = Checkpoint { origin, size: self.tree.size(), root: self.tree.root(), extensions: Vec::new() }.text();
        let note = sign(self, &text).map_err(LogError::Unsigned)?;
        self.put(name, note.as_bytes())?;
        if name == CHECKPOINT_NAME {
            self.published.send_replace(note.into());
        }
        Ok(())
    }

    fn retire(&self, old: Vec<Tile>) -> Result<(), LogError> {
        for tile in old {
            let path = tile.path();
            match self.start.disk.remove(&self.folder.join(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.disk_error(&path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The entry, the handover signed by both, then the checkpoint under the new key. A crash before the checkpoint leaves
    /// the old key in charge; the next start removes the rest.
    fn rotate(&mut self, next: Arc<dyn Signer>, reason: String, revoke_from: Option<u64>) -> Result<(), LogError> {
        let size = self.tree.size();
        if revoke_from.is_some_and(|from| from > size) {
            return Err(LogError::Refused("a revocation counts from an entry before it"));
        }
        let (old, key) = (self.start.identity.verifier().to_string(), next.verifier().to_string());
        let mut taken = Vec::new();
        self.stage(Event::Key { action: KeyAction::Adopt, key, from: size + 1, reason: reason.clone() }, &mut taken)?;
        let retired = self.tiles(taken)?;
        self.sign(&handover_name(size + 1), |writer, text| Ok(writer.start.identity.sign(text)? + &next.line(text)?))?;
        self.start.identity = next;
        self.identity.send_replace(self.start.identity.verifier().clone());
        self.sign(CHECKPOINT_NAME, |writer, text| writer.start.identity.sign(text))?;
        self.retire(retired)?;
        match revoke_from {
            Some(from) => {
                // What the old key signed of more entries does not count any more, also where witnesses cosigned it.
                match self.start.disk.remove(&self.folder.join(COSIGNED_NAME)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.disk_error(COSIGNED_NAME, &error)),
                    _ => {}
                }
                self.write(vec![Event::Key { action: KeyAction::Revoke, key: old, from, reason }])
            }
            None => Ok(()),
        }
    }
}

fn hash_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
