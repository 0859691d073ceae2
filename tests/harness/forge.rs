//! Whole evidence folders from a seed, by the functions of `schema` alone: no gateway, no network, no clock.
//!
//! What comes out holds at every level: random ledgers, open and sealed, in several parts, with payloads of every capture,
//! restarts, redactions, holds, timestamps, and a windows log whose identity key changes hands. A test then takes something
//! away or changes it. The keys are at hand, so that it can also sign what should not be signed.
//!
//! A timestamp here is a few random bytes, and an encrypted payloads file one of random bytes between its two magic words:
//! their bytes are bound, nothing reads them.

mod afterlife;
pub mod log;
pub mod people;
pub mod random;
pub mod story;

use afterlife::Window;
use log::{Identity, Witness, checkpoint_text, identity_at, interleave, log_files};
use random::Random;
use sealgate_schema::{
    Hash, LedgerId,
    log::{COSIGNED_NAME, Entry, Event, RedactionAction},
    merkle::{empty_root, leaf_hash},
    note::SigningKey,
    parquet::{write_payloads, write_records},
    seal::{MANIFEST_FORMAT, Manifest, NOTE_NAME, PartFile, State, Table},
};
use std::{collections::BTreeMap, fs, path::Path};
use story::{Rows, story};

/// How much is forged.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Windows with records: 1 to so many.
    pub windows: usize,
    /// Records of a ledger: so many at most, and a few more where calls have to end.
    pub records: usize,
    /// Windows that were opened and sealed without a record: two entries of the log each.
    pub quiet: usize,
}

impl Size {
    /// What a property test takes by the thousand.
    pub const SMALL: Self = Self { windows: 3, records: 40, quiet: 1 };
    /// A log of several bundles, and tiles above one another.
    pub const WIDE: Self = Self { windows: 2, records: 20, quiet: 280 };
}

/// A forged window that has records.
#[derive(Debug)]
pub struct ForgedWindow {
    /// Its names.
    pub ledger: LedgerId,
    /// What its note says.
    pub manifest: Manifest,
    /// All rows, as they were before any redaction.
    pub rows: Rows,
    /// Its keys, each with the number of records from which it signs.
    pub keys: Vec<(u64, SigningKey)>,
    /// What redactions took away.
    pub redactions: Vec<RedactionAction>,
}

/// Forged evidence.
pub struct Forged {
    /// The one gateway.
    pub gateway: String,
    /// Contents by path below `evidence/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Windows that have records.
    pub windows: Vec<ForgedWindow>,
    /// Entries of the windows log.
    pub entries: Vec<Entry>,
    /// Identity keys, oldest first.
    pub identities: Vec<Identity>,
    /// Who cosigned `cosigned`, where it is there.
    pub witnesses: Vec<Witness>,
}

/// Forges evidence. The same seed and size give the same bytes.
pub fn forge(seed: u64, size: Size) -> Forged {
    let mut random = Random::new(seed);
    let gateway = format!("gw-{:x}", random.bits());
    let mut forged = Forged {
        gateway: gateway.clone(),
        files: BTreeMap::new(),
        windows: Vec::new(),
        entries: Vec::new(),
        identities: Vec::new(),
        witnesses: Vec::new(),
    };
    let mut queues = Vec::new();
    for number in 0..=random.below(size.windows) {
        let name = format!("{}{number}", random.pick(&["CHG-", "day-2026-11-2", "a.b_c-", "x"]));
        queues.push(forged.window(&mut random, &name, size.records));
    }
    for number in 0..size.quiet {
        queues.push(quiet_window(&mut random, &gateway, &format!("quiet-{number}")));
    }
    let (entries, identities) = interleave(&mut random, &gateway, queues);
    let bytes: Vec<Vec<u8>> = entries.iter().map(|entry| entry.encode().unwrap()).collect();
    forged.place("_log", log_files(&gateway, &bytes, &identities));
    (forged.entries, forged.identities) = (entries, identities);
    if random.chance(40) {
        forged.cosign(&mut random);
    }
    forged
}

impl Forged {
    /// Text form of the newest identity key, which a verifier is given.
    pub fn vkey(&self) -> String {
        self.identities.last().unwrap().key.verifier().to_string()
    }

    /// Writes `evidence/…` into a folder, which need not be there.
    pub fn write_to(&self, evidence: &Path) {
        write_files(&self.files, evidence);
    }

    /// A witness policy (C2SP tlog-policy) that `cosigned` meets.
    pub fn policy(&self) -> String {
        let mut policy = format!("log {}\n", self.vkey());
        for (number, witness) in self.witnesses.iter().enumerate() {
            policy += &format!("witness w{number} {}\n", witness.vkey());
        }
        if self.witnesses.is_empty() {
            return policy + "quorum none\n";
        }
        let names: Vec<_> = (0..self.witnesses.len()).map(|number| format!("w{number}")).collect();
        policy + &format!("group every all {}\nquorum every\n", names.join(" "))
    }

    /// Puts other rows into a window's folder, signed by its own key: what an attacker who has that key alone can do.
    pub fn rewrite(&mut self, random: &mut Random, index: usize, rows: &Rows) {
        let ForgedWindow { ledger, manifest: before, keys, .. } = &self.windows[index];
        let (mut files, parts) = write_parts(random, ledger, rows);
        let manifest = manifest(ledger, rows, parts, before.state == State::Sealed);
        let note = manifest.sign(rows.roots[rows.records.len()], signer(keys, rows)).unwrap();
        files.insert(NOTE_NAME.to_owned(), note.into());
        let window = ledger.window().to_string();
        let folder = format!("{}/{window}/", self.gateway);
        self.files.retain(|path, _| !path.starts_with(&folder));
        self.place(&window, files);
    }

    fn place(&mut self, folder: &str, files: BTreeMap<String, Vec<u8>>) {
        let folder = format!("{}/{folder}", self.gateway);
        self.files.extend(files.into_iter().map(|(path, bytes)| (format!("{folder}/{path}"), bytes)));
    }

    /// Forges one window with its files, and gives its entries of the log.
    fn window(&mut self, random: &mut Random, name: &str, records: usize) -> Vec<Event> {
        let ledger = LedgerId::new(self.gateway.clone(), name.to_owned()).unwrap();
        let sealed = random.chance(65);
        let length = 1 + random.below(records);
        let rows = story(random, &ledger, length, sealed);
        let (files, parts) = write_parts(random, &ledger, &rows);
        let manifest = manifest(&ledger, &rows, parts, sealed);
        let (mut events, keys) = growth(random, &ledger, &rows);
        let total = rows.records.len() as u64;
        let note = manifest.sign(rows.roots[rows.records.len()], signer(&keys, &rows)).unwrap();
        let mut window = Window::new(files, &rows, &manifest);
        if sealed {
            let (root, note) = (rows.roots[rows.records.len()].to_string(), Some(Hash::of(&[note.as_bytes()]).to_string()));
            events.push(Event::Seal { window: name.to_owned(), records: total, root, note });
            window.live_on(random, &ledger, &mut events);
        }
        let Window { mut files, taken, .. } = window;
        files.insert(NOTE_NAME.to_owned(), note.into());
        self.place(name, files);
        self.windows.push(ForgedWindow { ledger, manifest, rows, keys, redactions: taken });
        events
    }

    fn cosign(&mut self, random: &mut Random) {
        self.witnesses = (0..1 + random.below(3)).map(|n| Witness::new(&format!("witness.example/{n}"), &random.seed())).collect();
        let newest = self.identities.last().unwrap().from;
        let size = newest + random.below((self.entries.len() as u64 - newest + 1) as usize) as u64;
        let leaves: Vec<Hash> = self.entries.iter().map(|entry| leaf_hash(&entry.encode().unwrap())).collect();
        let mut note = identity_at(&self.identities, size).sign(&checkpoint_text(&self.gateway, &leaves, size));
        for witness in &self.witnesses {
            note = witness.cosign(&note, 1_790_000_000);
        }
        self.place("_log", BTreeMap::from([(COSIGNED_NAME.to_owned(), note.into_bytes())]));
    }
}

/// Writes files by their paths below a folder.
pub fn write_files(files: &BTreeMap<String, Vec<u8>>, below: &Path) {
    for (path, bytes) in files {
        let path = below.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn quiet_window(random: &mut Random, gateway: &str, name: &str) -> Vec<Event> {
    let key = SigningKey::from_seed(&format!("sealgate/{gateway}/{name}"), &random.seed()).unwrap().verifier().to_string();
    let (window, root) = (name.to_owned(), empty_root().to_string());
    vec![
        Event::Open { window: window.clone(), key, records: 0, root: root.clone() },
        Event::Seal { window, records: 0, root, note: None },
    ]
}

/// The key whose note of all these rows counts.
fn signer<'a>(keys: &'a [(u64, SigningKey)], rows: &Rows) -> &'a SigningKey {
    let total = rows.records.len() as u64;
    &keys.iter().rev().find(|(from, _)| *from < total).unwrap_or(&keys[0]).1
}

/// Cuts rows into parts at random places.
fn write_parts(random: &mut Random, ledger: &LedgerId, rows: &Rows) -> (BTreeMap<String, Vec<u8>>, Vec<PartFile>) {
    let (mut files, mut parts, mut first) = (BTreeMap::new(), Vec::new(), 0);
    while first < rows.records.len() {
        let rest = rows.records.len() - first;
        let end = first + if random.chance(40) { rest } else { 1 + random.below(rest) };
        let records = write_records(ledger, first as u64, &rows.records[first..end]).unwrap();
        let payloads: Vec<_> = rows.payloads.iter().filter(|(seq, _)| (first..end).contains(&(*seq as usize))).cloned().collect();
        let part = |table: Table, rows: usize, bytes: &[u8]| PartFile {
            name: table.file_name(first as u64),
            table,
            first_seq: first as u64,
            records: (end - first) as u64,
            rows: rows as u64,
            bytes: bytes.len() as u64,
            sha256: Hash::of(&[bytes]).to_string(),
            key: None,
        };
        parts.push(part(Table::Records, end - first, &records));
        files.insert(Table::Records.file_name(first as u64), records);
        if !payloads.is_empty() {
            let bytes = write_payloads(ledger, first as u64, &payloads).unwrap();
            parts.push(part(Table::Payloads, payloads.len(), &bytes));
            files.insert(Table::Payloads.file_name(first as u64), bytes);
        }
        first = end;
    }
    if random.chance(5) {
        encrypt(random, &mut files, &mut parts);
    }
    (files, parts)
}

/// Makes every payloads file one that nobody here can read.
fn encrypt(random: &mut Random, files: &mut BTreeMap<String, Vec<u8>>, parts: &mut [PartFile]) {
    let key: String = random.bytes(8).iter().map(|byte| format!("{byte:02x}")).collect();
    for part in parts.iter_mut().filter(|part| part.table == Table::Payloads) {
        let bytes = [b"PARE", random.bytes(300).as_slice(), b"PARE"].concat();
        (part.bytes, part.sha256, part.key) = (bytes.len() as u64, Hash::of(&[&bytes]).to_string(), Some(key.clone()));
        files.insert(part.name.clone(), bytes);
    }
}

/// The manifest of a ledger whose files are these.
pub fn manifest(ledger: &LedgerId, rows: &Rows, files: Vec<PartFile>, sealed: bool) -> Manifest {
    let mut counts = BTreeMap::new();
    for (record, _) in &rows.records {
        *counts.entry(record.fields.kind.as_str().to_owned()).or_default() += 1;
    }
    Manifest {
        format: MANIFEST_FORMAT.into(),
        gateway: ledger.gateway().to_string(),
        window: ledger.window().to_string(),
        state: if sealed { State::Sealed } else { State::Open },
        records: rows.records.len() as u64,
        head: rows.records.last().unwrap().1.to_string(),
        counts,
        files,
        software: "forge".into(),
    }
}

/// The `open` and `head` entries of a ledger, and its keys: a new one at each start.
fn growth(random: &mut Random, ledger: &LedgerId, rows: &Rows) -> (Vec<Event>, Vec<(u64, SigningKey)>) {
    let window = ledger.window().to_string();
    let total = rows.records.len();
    let (mut events, mut keys): (Vec<Event>, Vec<(u64, SigningKey)>) = (Vec::new(), Vec::new());
    let open = |random: &mut Random, size: usize, keys: &mut Vec<(u64, SigningKey)>| {
        let key = SigningKey::from_seed(&ledger.origin(), &random.seed()).unwrap();
        let (text, root) = (key.verifier().to_string(), rows.roots[size].to_string());
        keys.push((size as u64, key));
        Event::Open { window: window.clone(), key: text, records: size as u64, root }
    };
    events.push(open(random, 0, &mut keys));
    // A long ledger is there for its speed: as many heads as a gateway would write.
    let heads = if total > 1_000 { 1 } else { 30 };
    for size in 1..=total {
        if random.chance(heads) {
            events.push(Event::Head { window: window.clone(), records: size as u64, root: rows.roots[size].to_string() });
        }
        while random.chance(heads / 6) {
            events.push(open(random, size, &mut keys));
        }
    }
    (events, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_folder() {
        assert_eq!(forge(7, Size::SMALL).files, forge(7, Size::SMALL).files);
        assert_ne!(forge(7, Size::SMALL).files, forge(8, Size::SMALL).files);
    }

    #[test]
    fn many_seeds_forge_every_kind_of_window() {
        let all: Vec<_> = (0..60).map(|seed| forge(seed, Size::SMALL)).collect();
        let windows = || all.iter().flat_map(|forged| &forged.windows);
        for action in [RedactionAction::Erase, RedactionAction::Payloads, RedactionAction::Records] {
            assert!(windows().any(|window| window.redactions.contains(&action)), "{action:?}");
        }
        assert!(windows().any(|window| window.manifest.state == State::Open));
        assert!(windows().any(|window| window.manifest.files.iter().any(|file| file.key.is_some())));
        assert!(windows().any(|window| window.keys.len() > 1));
        assert!(all.iter().any(|forged| forged.identities.len() > 1 && !forged.witnesses.is_empty()));
        assert!(forge(1, Size::WIDE).files.keys().any(|path| path.ends_with("_log/tile/0/001")));
    }
}
