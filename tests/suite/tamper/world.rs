//! Evidence in the hands of an attacker: its files, what they say, and the keys that were stolen.
//!
//! A tampering edits rows, manifests, entries or bytes. [`World::finish`] then adapts what the attacker's keys allow: the
//! note's file hashes, all record hashes, the windows log.

use bytes::Bytes;
use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, Record,
    log::{CHECKPOINT_NAME, Entry, Event, LOG_FOLDER, origin},
    note::{self, Checkpoint, SigningKey},
    parquet::{self, Rows, write_payloads, write_records},
    record::Kind,
    seal::{Manifest, NOTE_NAME, Table},
    tiles::read_entries,
};
use sealgate_tests::forge::{
    log::{Identity, log_files},
    write_files,
};
use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path, sync::Arc};

/// What an attacker holds beside the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// No key.
    Nothing,
    /// The window's key: the note lists the changed files, and is signed again.
    WindowKey,
    /// The window's key: all record hashes, the root and the note are made again.
    WindowKeyRehashed,
    /// The window's key and the identity keys: the windows log is made again too.
    IdentityKey,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// Contents by path below `evidence`.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Links, each with what it points to.
    pub(super) links: Vec<(String, String)>,
    /// Empty folders.
    pub(super) folders: Vec<String>,
    /// The gateways; the first one is attacked.
    pub(super) gateways: Vec<Gateway>,
    /// Identity keys that the verifier is given.
    pub(super) keys: Vec<String>,
    /// Checkpoints that the verifier kept.
    pub(super) pins: Vec<String>,
    /// The verifier's own file of signers.
    pub(super) signers: Option<String>,
}

/// What one gateway's folder says.
#[derive(Debug, Clone)]
pub(super) struct Gateway {
    pub(super) name: String,
    /// Bytes of the log's entries.
    pub(super) entries: Vec<Vec<u8>>,
    /// The identity keys; none where nobody stole them.
    pub(super) identities: Arc<Vec<Identity>>,
    pub(super) windows: BTreeMap<String, Window>,
    entries_before: Vec<Vec<u8>>,
}

/// What one window's folder says.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) ledger: LedgerId,
    pub(super) manifest: Manifest,
    pub(super) root: Hash,
    pub(super) parts: Vec<Part>,
    /// The key that signs its note; `None` where nobody stole it.
    pub(super) key: Option<Arc<SigningKey>>,
    manifest_before: Manifest,
    root_before: Hash,
    parts_before: Vec<Part>,
}

/// The rows of one part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) records: Vec<(Record, Hash)>,
    pub(super) payloads: Vec<(u64, Payload)>,
    /// Name of the payloads file that stands there.
    pub(super) payloads_name: Option<String>,
}

impl World {
    /// Reads evidence that holds.
    pub(super) fn read(files: BTreeMap<String, Vec<u8>>, keys: Vec<String>) -> Self {
        let mut gateways: Vec<Gateway> = Vec::new();
        for path in files.keys() {
            let name = path.split('/').next().unwrap();
            if gateways.last().is_none_or(|last| last.name != name) {
                gateways.push(read_gateway(&files, name));
            }
        }
        let pins =
            gateways.iter().map(|gateway| text(&files[&format!("{}/{LOG_FOLDER}/{CHECKPOINT_NAME}", gateway.name)])).collect();
        Self { files, links: Vec::new(), folders: Vec::new(), gateways, keys, pins, signers: None }
    }

    /// The gateway that is attacked.
    pub(super) fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateways[0]
    }

    /// A window of the gateway that is attacked.
    pub(super) fn window(&mut self, name: &str) -> &mut Window {
        self.gateways[0].windows.get_mut(name).unwrap()
    }

    /// Path of a file in a window's folder, or in `_log`.
    pub(super) fn path(&self, folder: &str, name: &str) -> String {
        format!("{}/{folder}/{name}", self.gateways[0].name)
    }

    /// The bytes of a file in a window's folder, or in `_log`.
    pub(super) fn file(&mut self, folder: &str, name: &str) -> &mut Vec<u8> {
        let path = self.path(folder, name);
        self.files.get_mut(&path).unwrap_or_else(|| panic!("no file {path}"))
    }

    /// The note of a window.
    pub(super) fn note(&self, window: &str) -> String {
        text(&self.files[&self.path(window, NOTE_NAME)])
    }

    /// Puts a note in a window's folder.
    pub(super) fn set_note(&mut self, window: &str, note: impl Into<Vec<u8>>) {
        let path = self.path(window, NOTE_NAME);
        self.files.insert(path, note.into());
    }

    /// Name of a window's records or payloads file of a part, as it stands.
    pub(super) fn name(&self, window: &str, table: Table, part: usize) -> String {
        let part = &self.gateways[0].windows[window].parts[part];
        match table {
            Table::Records => Table::Records.file_name(part.first),
            Table::Payloads => part.payloads_name.clone().unwrap(),
        }
    }

    /// Names of all files below a folder of the gateway that is attacked.
    pub(super) fn below(&self, folder: &str) -> Vec<String> {
        let folder = self.path(folder, "");
        self.files.keys().filter(|path| path.starts_with(&folder)).cloned().collect()
    }

    /// Takes a folder of the gateway that is attacked away.
    pub(super) fn remove(&mut self, folder: &str) {
        for path in self.below(folder) {
            self.files.remove(&path);
        }
    }

    /// Whether a verifier is given anything else.
    pub(super) fn differs(&self, from: &Self) -> bool {
        self.files != from.files || !self.links.is_empty() || !self.folders.is_empty() || self.keys != from.keys
    }

    /// Puts it all on a disk.
    pub(super) fn write(&self, evidence: &Path) {
        fs::create_dir_all(evidence).unwrap();
        write_files(&self.files, evidence);
        for folder in &self.folders {
            fs::create_dir_all(evidence.join(folder)).unwrap();
        }
        for (path, target) in &self.links {
            symlink(target, evidence.join(path)).unwrap();
        }
    }

    /// Writes what was edited, and makes again what the keys allow.
    pub(super) fn finish(&mut self, holds: Holds) {
        for index in 0..self.gateways.len() {
            let mut gateway = self.gateways[index].clone();
            for window in gateway.windows.values_mut() {
                let edited = window.parts != window.parts_before;
                if edited && matches!(holds, Holds::WindowKeyRehashed | Holds::IdentityKey) {
                    window.rehash();
                }
                self.write_window(&gateway.name, window);
                if holds != Holds::Nothing {
                    self.sign(&gateway.name, window, edited);
                }
            }
            if holds == Holds::IdentityKey {
                self.follow(&mut gateway);
            }
            if gateway.entries != gateway.entries_before {
                self.relog(&gateway, holds);
            }
            self.gateways[index] = gateway;
        }
    }

    /// Writes the parts that were edited, by the writer of the format.
    fn write_window(&mut self, gateway: &str, window: &Window) {
        let folder = format!("{gateway}/{}", window.ledger.window());
        for (part, before) in window.parts.iter().zip(&window.parts_before) {
            let name = |part: &Part| Table::Records.file_name(part.first);
            if part.records != before.records {
                self.files.remove(&format!("{folder}/{}", name(before)));
                let bytes = write_records(&window.ledger, part.first, &part.records).unwrap();
                self.files.insert(format!("{folder}/{}", name(part)), bytes);
            }
            if part.payloads != before.payloads || part.payloads_name != before.payloads_name {
                let old = before.payloads_name.as_ref().map(|name| format!("{folder}/{name}"));
                old.map(|old| self.files.remove(&old));
                if let Some(name) = &part.payloads_name {
                    let bytes = write_payloads(&window.ledger, part.first, &part.payloads).unwrap();
                    self.files.insert(format!("{folder}/{name}"), bytes);
                }
            }
        }
    }

    /// Signs the note again where files or manifest are others now.
    fn sign(&mut self, gateway: &str, window: &mut Window, edited: bool) {
        let folder = format!("{gateway}/{}", window.ledger.window());
        for file in &mut window.manifest.files {
            let Some(bytes) = self.files.get(&format!("{folder}/{}", file.name)) else { continue };
            (file.bytes, file.sha256) = (bytes.len() as u64, Hash::of(&[bytes]).to_string());
            let part = window.parts.iter().find(|part| part.first == file.first_seq).filter(|_| edited);
            if let Some(part) = part {
                file.records = part.records.len() as u64;
                file.rows = if file.table == Table::Records { file.records } else { part.payloads.len() as u64 };
            }
        }
        if window.manifest != window.manifest_before || window.root != window.root_before {
            let key = window.key.as_ref().expect("a stolen key");
            self.files.insert(format!("{folder}/{NOTE_NAME}"), window.manifest.sign(window.root, key).unwrap().into());
        }
    }

    /// Makes the log say of each window what its folder says now.
    fn follow(&mut self, gateway: &mut Gateway) {
        let (name, windows) = (gateway.name.clone(), gateway.windows.clone());
        // A head of more records than there are now can't stay.
        gateway.entries.retain(|bytes| match Entry::decode(bytes).map(|entry| entry.event) {
            Ok(Event::Head { window, records, .. }) => {
                windows.get(&window).is_none_or(|window| window.parts == window.parts_before || records <= window.manifest.records)
            }
            _ => true,
        });
        for bytes in &mut gateway.entries {
            let Ok(mut entry) = Entry::decode(bytes) else { continue };
            let Some(window) = entry.event.window().and_then(|name| windows.get(name)) else { continue };
            let folder = format!("{name}/{}", window.ledger.window());
            let file = |name: &str| self.files.get(&format!("{folder}/{name}"));
            let edited = window.parts != window.parts_before;
            match &mut entry.event {
                Event::Head { records, root, .. } | Event::Open { records, root, .. } if edited => {
                    *root = window.root_at(*records).to_string();
                }
                Event::Seal { records, root, note, .. } => {
                    if edited {
                        (*records, *root) = (window.manifest.records, window.root.to_string());
                    }
                    *note = file(NOTE_NAME).map(|note| Hash::of(&[note]).to_string());
                }
                Event::Redaction(redaction) if edited => {
                    for successor in redaction.files.iter_mut().filter_map(|file| file.successor.as_mut()) {
                        let Some(bytes) = file(&successor.name) else { continue };
                        (successor.bytes, successor.sha256) = (bytes.len() as u64, Hash::of(&[bytes]).to_string());
                    }
                }
                _ => continue,
            }
            *bytes = entry.encode().unwrap();
        }
    }

    /// Puts the entries into the log's files. Without the identity key its checkpoints stay as they are.
    fn relog(&mut self, gateway: &Gateway, holds: Holds) {
        let folder = format!("{}/{LOG_FOLDER}/", gateway.name);
        let stolen = holds == Holds::IdentityKey;
        let stranger = [Identity { from: 1, key: SigningKey::from_seed(&origin(&gateway.name), &[99; 32]).unwrap() }];
        let identities = if stolen { gateway.identities.as_slice() } else { &stranger };
        let made = log_files(&gateway.name, &gateway.entries, identities);
        self.files.retain(|path, _| !path.starts_with(&folder) || (!stolen && !path.contains("/tile/")));
        let new = made.into_iter().filter(|(path, _)| stolen || path.starts_with("tile/"));
        self.files.extend(new.map(|(path, bytes)| (format!("{folder}{path}"), bytes)));
    }
}

impl Gateway {
    /// Changes an entry, the first that the function takes.
    pub(super) fn entry(&mut self, change: impl Fn(&mut Event) -> bool) {
        for bytes in &mut self.entries {
            let mut entry = Entry::decode(bytes).unwrap();
            if change(&mut entry.event) {
                *bytes = entry.encode().unwrap();
                return;
            }
        }
        panic!("no such entry");
    }

    /// The number of the first entry that is meant.
    pub(super) fn place(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.entries.iter().position(|bytes| wanted(&Entry::decode(bytes).unwrap().event)).unwrap()
    }

    /// The log's files are as they have to be already.
    pub(super) fn taken_over(&mut self) {
        self.entries_before.clone_from(&self.entries);
    }

    /// Appends an entry.
    pub(super) fn append(&mut self, event: Event) {
        self.entries.push(Entry { time: 1_790_000_000_500_000, event }.encode().unwrap());
    }
}

impl Window {
    /// All records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &(Record, Hash)> {
        self.parts.iter().flat_map(|part| &part.records)
    }

    /// The tree root over the first so many records, or over all.
    pub(super) fn root_at(&self, records: u64) -> Hash {
        let mut tree = sealgate_schema::merkle::Tree::default();
        self.records().take(records as usize).for_each(|(_, hash)| tree.push(&hash.0));
        tree.root()
    }

    /// Gives every record its place, its commitment and its hash, and adapts what follows from these.
    fn rehash(&mut self) {
        let mut chain = Chain::new(self.ledger.clone());
        let (mut seqs, mut counts) = (BTreeMap::new(), BTreeMap::new());
        for part in &mut self.parts {
            part.first = chain.size();
            let mut payloads = Vec::new();
            for (record, hash) in &mut part.records {
                seqs.insert(record.seq, chain.size());
                let mut fields = record.fields.clone();
                *counts.entry(fields.kind.as_str().to_owned()).or_insert(0) += 1;
                if fields.kind == Kind::WindowClose {
                    fields.detail = Some(serde_json::json!({ "counts": counts }).to_string().into());
                }
                fields.call = fields.call.map(|call| seqs.get(&call).copied().unwrap_or(call));
                if let Some((_, payload)) = part.payloads.iter().find(|(seq, _)| *seq == record.seq) {
                    fields.payload_hash = Some(payload.commitment());
                    payloads.push((chain.size(), payload.clone()));
                }
                *record = chain.append(fields, record.time, &mut Vec::new());
                *hash = chain.head();
            }
            part.payloads = payloads;
        }
        (self.manifest.records, self.manifest.head, self.manifest.counts) = (chain.size(), chain.head().to_string(), counts);
        self.root = chain.root();
        for (part, before) in self.parts.iter_mut().zip(&self.parts_before) {
            let renamed = part.first != before.first;
            for file in self.manifest.files.iter_mut().filter(|file| renamed && file.first_seq == before.first) {
                (file.first_seq, file.name) = (part.first, file.table.file_name(part.first));
            }
            part.payloads_name =
                part.payloads_name.take().map(|name| if renamed { Table::Payloads.file_name(part.first) } else { name });
        }
    }
}

fn read_gateway(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Gateway {
    let folder = format!("{name}/");
    let below: Vec<&str> = files.keys().filter_map(|path| path.strip_prefix(&folder)).collect();
    let bundle = below.iter().find(|path| path.starts_with("_log/tile/entries/000.p/")).expect("a log of less than 256 entries");
    let width = bundle.rsplit('/').next().unwrap().parse().unwrap();
    let bytes = &files[&format!("{folder}{bundle}")];
    let entries: Vec<Vec<u8>> = read_entries(bytes, width).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    let windows = below.iter().filter_map(|path| path.strip_suffix("/ledger.note"));
    let windows = windows.map(|window| (window.to_owned(), read_window(files, &format!("{folder}{window}")))).collect();
    let entries_before = entries.clone();
    Gateway { name: name.to_owned(), entries, identities: Arc::default(), windows, entries_before }
}

fn read_window(files: &BTreeMap<String, Vec<u8>>, folder: &str) -> Window {
    let note = text(&files[&format!("{folder}/{NOTE_NAME}")]);
    let checkpoint = Checkpoint::parse(note::text(&note).unwrap()).unwrap();
    let manifest: Manifest = serde_json::from_str(&checkpoint.extensions[0]).unwrap();
    let ledger = manifest.ledger().unwrap();
    let starts = manifest.files.iter().filter(|file| file.table == Table::Records).map(|file| file.first_seq);
    let parts: Vec<Part> = starts.map(|first| read_part(files, folder, &ledger, first)).collect();
    Window {
        ledger,
        root: checkpoint.root,
        root_before: checkpoint.root,
        manifest_before: manifest.clone(),
        manifest,
        parts_before: parts.clone(),
        parts,
        key: None,
    }
}

fn read_part(files: &BTreeMap<String, Vec<u8>>, folder: &str, ledger: &LedgerId, first: u64) -> Part {
    let rows = |table, name: &str| {
        let bytes = files.get(&format!("{folder}/{name}"))?;
        Some(parquet::read(table, ledger, first, &Bytes::from(bytes.clone())).rows)
    };
    let Some(Rows::Records(records)) = rows(Table::Records, &Table::Records.file_name(first)) else { panic!("no records") };
    let name = (0..3).rev().map(|revision| Table::Payloads.revision_name(first, revision));
    let mut name = name.filter(|name| files.contains_key(&format!("{folder}/{name}")));
    let name = name.next();
    let payloads = match name.as_ref().and_then(|name| rows(Table::Payloads, name)) {
        Some(Rows::Payloads(rows)) => rows.into_iter().map(|row| (row.seq, row.payload)).collect(),
        _ => Vec::new(),
    };
    Part { first, records: records.into_iter().map(|row| (row.record, row.hash)).collect(), payloads, payloads_name: name }
}

/// The text of a note.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
