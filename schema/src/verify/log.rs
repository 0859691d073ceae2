//! The walk over a windows log: its files, its tree, its keys, its grammar (`schema/FORMAT.md` §10).
//!
//! What can be read is taken in even where the log does not hold, so that the windows can still be looked at and the
//! changed record named. What was found wrong decides the verdict.

use super::{Finding, Findings, Level, Source};
use crate::{
    Hash,
    log::{CHECKPOINT_NAME, COSIGNED_NAME, Entry, LOG_FOLDER, handover_name, origin},
    merkle::{Tree, leaf_hash, range_root},
    note::{self, Checkpoint, VerifierKey},
    tiles::{self, Kind, TILE_WIDTH, Tile},
    windows::{Heads, Windows},
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The most entries of a log that are read: a head a second for thirty years.
pub const ENTRIES_MAX: u64 = 1 << 30;
/// Folders below one another that are looked into: more than a log of [`ENTRIES_MAX`] has.
const FOLDERS_MAX: usize = 8;

/// A log as it was read.
#[derive(Debug)]
pub struct Log {
    /// Whose.
    pub gateway: String,
    /// What its entries say in sum.
    pub windows: Windows,
    /// Entries that the checkpoint speaks of; 0 where there is none.
    pub size: u64,
    /// Root over the entries that were read.
    pub root: Hash,
    /// Whether a checkpoint that the caller kept was compared.
    pub pinned: bool,
    /// Entries that witnesses cosigned, where the log has such a checkpoint: its bytes.
    pub cosigned: Option<Bytes>,
    /// What does not hold.
    pub findings: Findings,
}

/// Reads and checks the log of one gateway.
pub(super) fn read(source: &dyn Source, gateway: &str, keys: &[VerifierKey], pins: &[String]) -> Log {
    let mut reader = Reader {
        source,
        folder: format!("{gateway}/{LOG_FOLDER}"),
        log: Log {
            gateway: gateway.to_owned(),
            windows: Windows::new(gateway, Heads::All),
            size: 0,
            root: crate::merkle::empty_root(),
            pinned: false,
            cosigned: None,
            findings: Findings::default(),
        },
        roots: BTreeMap::new(),
        tree: Tree::default(),
        levels: Vec::new(),
    };
    let pins = reader.own_pins(pins);
    let Some((note, checkpoint)) = reader.checkpoint() else { return reader.log };
    reader.log.cosigned = reader.source.read(&reader.path(COSIGNED_NAME)).ok();
    let cosigned = reader.log.cosigned.as_ref().and_then(|note| parse(note).ok());
    let wanted: BTreeSet<u64> = pins.iter().chain(&cosigned).map(|(_, checkpoint)| checkpoint.size).collect();
    reader.entries(&checkpoint, &wanted);
    reader.check_root(&checkpoint);
    reader.check_files(cosigned.is_some());
    reader.check_keys(&note, keys);
    for (note, pin) in &pins {
        reader.check_older("the pinned checkpoint", note, pin);
        reader.log.pinned = true;
    }
    match (&reader.log.cosigned, &cosigned) {
        (Some(_), None) => reader.find(COSIGNED_NAME, "it is no signed checkpoint"),
        (_, Some((note, checkpoint))) => reader.check_older(COSIGNED_NAME, note, checkpoint),
        (None, None) => {}
    }
    reader.log
}

/// A note and the checkpoint in it, whoever signed it.
fn parse(bytes: &[u8]) -> Result<(String, Checkpoint), String> {
    let note = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let checkpoint = note::text(note).and_then(Checkpoint::parse).map_err(|error| error.to_string())?;
    match checkpoint.extensions.is_empty() {
        true => Ok((note.to_owned(), checkpoint)),
        false => Err("a checkpoint of a log has three lines".to_owned()),
    }
}

struct Reader<'a> {
    source: &'a dyn Source,
    folder: String,
    log: Log,
    /// Roots at the sizes that somebody asks for.
    roots: BTreeMap<u64, Hash>,
    tree: Tree,
    /// The hashes of the tile that is being filled, a level each, and its number.
    levels: Vec<(u64, Vec<Hash>)>,
}

impl Reader<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn find(&mut self, place: impl Into<String>, what: impl Into<String>) {
        let place = format!("{LOG_FOLDER}/{}", place.into());
        self.log.findings.add(Finding { level: Level::L3, seq: None, place, what: what.into() });
    }

    /// The pins that are of this log. One that can't be read is a finding of every log: it is not passed over.
    fn own_pins(&mut self, pins: &[String]) -> Vec<(String, Checkpoint)> {
        let mut own = Vec::new();
        for pin in pins {
            match parse(pin.as_bytes()) {
                Ok((note, checkpoint)) if checkpoint.origin == origin(&self.log.gateway) => own.push((note, checkpoint)),
                Ok(_) => {}
                Err(what) => self.find("", format!("the pinned checkpoint can't be read: {what}")),
            }
        }
        own
    }

    fn checkpoint(&mut self) -> Option<(String, Checkpoint)> {
        let read = self.source.read(&self.path(CHECKPOINT_NAME)).and_then(|bytes| parse(&bytes));
        let (note, checkpoint) = match read {
            Ok(read) => read,
            Err(what) => {
                self.find(CHECKPOINT_NAME, what);
                return None;
            }
        };
        if checkpoint.origin != origin(&self.log.gateway) {
            self.find(CHECKPOINT_NAME, format!("it is of {}, the folder is {}'s", checkpoint.origin, self.log.gateway));
        }
        if checkpoint.size > ENTRIES_MAX {
            self.find(CHECKPOINT_NAME, format!("it has more than {ENTRIES_MAX} entries"));
            return None;
        }
        self.log.size = checkpoint.size;
        Some((note, checkpoint))
    }

    /// Takes in the entries tile by tile; stops at the first that is not there.
    fn entries(&mut self, checkpoint: &Checkpoint, wanted: &BTreeSet<u64>) {
        self.mark(wanted);
        for index in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
            let width = (checkpoint.size - index * TILE_WIDTH).min(TILE_WIDTH);
            let path = Tile { kind: Kind::Entries, index, width }.path();
            let bytes = match self.source.read(&self.path(&path)) {
                Ok(bytes) => bytes,
                Err(what) => return self.find(path, what),
            };
            let Some(entries) = tiles::read_entries(&bytes, width) else {
                return self.find(path, format!("it does not hold {width} entries"));
            };
            for entry in entries {
                self.entry(entry, &path);
                self.mark(wanted);
            }
        }
        for level in 0..self.levels.len() {
            self.check_tile(level);
        }
    }

    fn mark(&mut self, wanted: &BTreeSet<u64>) {
        // The last entry may have adopted a key: then somebody will ask for this root too.
        let adopted = self.log.windows.identities().last().is_some_and(|identity| identity.from == self.tree.size());
        if adopted || wanted.contains(&self.tree.size()) {
            self.roots.insert(self.tree.size(), self.tree.root());
        }
    }

    fn entry(&mut self, bytes: &[u8], path: &str) {
        let index = self.tree.size();
        self.tree.push(bytes);
        self.push(0, leaf_hash(bytes));
        let taken = match Entry::decode(bytes) {
            Ok(entry) => self.log.windows.take(&entry).map_err(str::to_owned),
            Err(error) => {
                self.log.windows.skip();
                Err(error.to_string())
            }
        };
        if let Err(what) = taken {
            self.find(path, format!("entry {index}: {what}"));
        }
    }

    /// A hash more on a level. A full tile is compared with its file, and is a hash of the level above.
    fn push(&mut self, level: usize, hash: Hash) {
        if self.levels.len() == level {
            self.levels.push((0, Vec::new()));
        }
        let Some((_, hashes)) = self.levels.get_mut(level) else { return };
        hashes.push(hash);
        if hashes.len() as u64 == TILE_WIDTH {
            self.check_tile(level);
            let Some((index, hashes)) = self.levels.get_mut(level) else { return };
            let root = range_root(&mut hashes.as_slice(), 0, TILE_WIDTH);
            hashes.clear();
            *index += 1;
            // A full tile has all its hashes: the root is there.
            if let Ok(root) = root {
                self.push(level + 1, root);
            }
        }
    }

    fn check_tile(&mut self, level: usize) {
        let Some((index, hashes)) = self.levels.get(level).filter(|(_, hashes)| !hashes.is_empty()) else { return };
        let tile = Tile { kind: Kind::Hashes(level as u32), index: *index, width: hashes.len() as u64 };
        let expected: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        let what = match self.source.read(&self.path(&tile.path())) {
            Ok(bytes) if bytes == expected => return,
            Ok(_) => "it does not hold the hashes of the entries".to_owned(),
            Err(what) => what,
        };
        self.find(tile.path(), what);
    }

    fn check_root(&mut self, checkpoint: &Checkpoint) {
        self.log.root = self.tree.root();
        if self.tree.size() != checkpoint.size || self.log.root != checkpoint.root {
            self.find(CHECKPOINT_NAME, "the entries do not have the signed root");
        }
    }

    /// The log's folder holds what its size calls for, and nothing else.
    fn check_files(&mut self, cosigned: bool) {
        // Where entries are missing, which is found already, the size is but a claim, and as many names are not made from it.
        let whole = self.tree.size() == self.log.size;
        let tiles = tiles::tiles(0, if whole { self.log.size } else { 0 });
        let mut expected: BTreeSet<String> = tiles.iter().map(Tile::path).collect();
        expected.insert(CHECKPOINT_NAME.to_owned());
        expected.extend(cosigned.then(|| COSIGNED_NAME.to_owned()));
        expected.extend(self.log.windows.identities().iter().skip(1).map(|identity| handover_name(identity.from)));
        let mut open = vec![String::new()];
        while let Some(folder) = open.pop() {
            let names = match self.source.list(self.path(&folder).trim_end_matches('/')) {
                Ok(names) => names,
                Err(what) => {
                    self.find(folder, what);
                    continue;
                }
            };
            for name in names {
                let path = if folder.is_empty() { name.name } else { format!("{folder}/{}", name.name) };
                match name.folder {
                    // An empty folder holds nothing that could mislead.
                    true if path.matches('/').count() < FOLDERS_MAX => open.push(path),
                    false if expected.contains(&path) || (!whole && path.starts_with("tile/")) => {}
                    _ => self.find(path, "a log of this size does not have this file"),
                }
            }
        }
    }

    /// The checkpoint is the newest identity key's, and the caller's key leads to that one.
    fn check_keys(&mut self, checkpoint: &str, keys: &[VerifierKey]) {
        let identities = self.log.windows.identities().to_vec();
        let Some(signer) = self.log.windows.identity_at(self.log.size).cloned() else {
            return self.find(CHECKPOINT_NAME, "the log names no identity key");
        };
        if let Err(error) = note::open_exactly(checkpoint, &[&signer.key]) {
            self.find(CHECKPOINT_NAME, error.to_string());
        }
        for pair in identities.windows(2) {
            let [before, adopted] = pair else { continue };
            if let Err(what) = self.check_handover(&before.key, &adopted.key, adopted.from) {
                self.find(handover_name(adopted.from), what);
            }
        }
        let Some(trusted) = identities.iter().position(|identity| keys.contains(&identity.key)) else {
            let own = keys.iter().any(|key| key.name() == origin(&self.log.gateway));
            let what = if own { "the key given is none of this log's identity keys" } else { "no key was given for this gateway" };
            return self.find(CHECKPOINT_NAME, what);
        };
        // Where several keys of this log are given, the newest is the one to go by.
        let trusted = identities.iter().rposition(|identity| keys.contains(&identity.key)).unwrap_or(trusted);
        let next = identities.get(trusted + 1).map(|next| next.from);
        if let (Some(handed_over), Some(revoked)) = (next, identities.get(trusted).and_then(|identity| identity.revoked))
            && revoked < handed_over
        {
            let what = format!(
                "the key given was revoked from entry {revoked} on, before it handed over to the next: get the gateway's new key from its operator"
            );
            self.find(CHECKPOINT_NAME, what);
        }
    }

    fn check_handover(&mut self, before: &VerifierKey, adopted: &VerifierKey, size: u64) -> Result<(), String> {
        let bytes = self.source.read(&self.path(&handover_name(size)))?;
        let (note, checkpoint) = parse(&bytes)?;
        note::open_exactly(&note, &[before, adopted]).map_err(|error| error.to_string())?;
        match checkpoint.size == size && checkpoint.origin == origin(&self.log.gateway) && self.has_root(&checkpoint) {
            true => Ok(()),
            false => Err("it is not the checkpoint that ends with the new key's entry".to_owned()),
        }
    }

    fn has_root(&self, checkpoint: &Checkpoint) -> bool {
        self.roots.get(&checkpoint.size) == Some(&checkpoint.root)
    }

    /// A checkpoint of an earlier size, or of this one: this log goes on from it.
    fn check_older(&mut self, place: &str, note: &str, checkpoint: &Checkpoint) {
        if checkpoint.size > self.log.size {
            let what = format!("{} has {} entries, the log here ends at {}", place, checkpoint.size, self.log.size);
            return self.find(CHECKPOINT_NAME, what);
        }
        if checkpoint.origin != origin(&self.log.gateway) || !self.has_root(checkpoint) {
            return self.find(CHECKPOINT_NAME, format!("this log does not go on from {place}: it is another one"));
        }
        let identity = self.log.windows.identity_at(checkpoint.size);
        let signed = identity.is_some_and(|identity| {
            note::open(note, &identity.key).is_ok() && identity.revoked.is_none_or(|revoked| checkpoint.size <= revoked)
        });
        if !signed {
            self.find(CHECKPOINT_NAME, format!("{place} is not signed by the identity key of its size, or that key was revoked"));
        }
    }
}
