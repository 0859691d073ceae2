//! A small ledger with its log, as bundles are made of, and what its tests ask.

use crate::{
    Chain, Hash, Payload, Record,
    log::{Entry, Event, KeyAction, LOG_FOLDER, handover_name, origin},
    merkle::{Tree, empty_root, leaf_hash},
    note::{Checkpoint, SigningKey},
    parquet,
    proof::{Bundle, ProveError, Reveal, Wanted, build},
    record::{Fields, Kind},
    samples,
    seal::{MANIFEST_FORMAT, Manifest, NOTE_NAME, PartFile, State, Table},
    tiles,
    verify::{Asked, EvidenceReport, verify_evidence},
};
use bytes::Bytes;
use std::collections::BTreeMap;

pub(super) type Files = BTreeMap<String, Bytes>;

/// Records: 0 window_open, 1 session_open, then calls (intent with payload, outcome), 1 session_close, window_close.
pub(super) struct Ledger {
    pub(super) files: Files,
    chain: Chain,
    pub(super) rows: Vec<(Record, Hash)>,
    roots: Vec<Hash>,
    pub(super) events: Vec<Event>,
}

pub(super) const INTENT: u64 = 2;
pub(super) const OUTCOME: u64 = 3;

pub(super) fn identity(seed: u8) -> SigningKey {
    SigningKey::from_seed(&origin(samples::ledger().gateway()), &[seed; 32]).unwrap()
}

pub(super) fn window_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&samples::ledger().origin(), &[seed; 32]).unwrap()
}

pub(super) fn path(name: &str) -> String {
    format!("{}/{}/{name}", samples::ledger().gateway(), samples::ledger().window())
}

pub(super) fn log_path(name: &str) -> String {
    format!("{}/{LOG_FOLDER}/{name}", samples::ledger().gateway())
}

pub(super) fn adopt(seed: u8, from: u64) -> Event {
    Event::Key { action: KeyAction::Adopt, key: identity(seed).verifier().to_string(), from, reason: "test".into() }
}

pub(super) fn fields(kind: Kind) -> Fields {
    let mut fields = Fields::new(kind);
    fields.session = Some("S-1".into());
    fields.principal = Some("alice".into());
    fields
}

impl Ledger {
    /// An open ledger of so many calls in one part, and its log.
    pub(super) fn open(calls: u64, payload: &Payload) -> Self {
        let mut ledger = Self {
            files: Files::new(),
            chain: Chain::new(samples::ledger()),
            rows: Vec::new(),
            roots: vec![empty_root()],
            events: vec![adopt(1, 1)],
        };
        ledger.push(Fields::new(Kind::WindowOpen));
        ledger.push(fields(Kind::SessionOpen));
        for _ in 0..calls {
            let call = ledger.chain.size();
            let hash = Some(payload.commitment());
            ledger.push(Fields { call: Some(call), payload_hash: hash, ..fields(Kind::Intent) });
            ledger.push(Fields { call: Some(call), ..Fields::new(Kind::Outcome) });
        }
        ledger.bind(9, 0);
        // The gateway started again in between.
        ledger.bind(8, 2);
        ledger.event(|window, at| Event::Head { window, records: at.0, root: at.1 }, ledger.chain.size());
        ledger.write(payload, State::Open);
        ledger
    }

    pub(super) fn sealed(calls: u64, payload: &Payload) -> Self {
        let mut ledger = Self::open(calls, payload);
        ledger.push(fields(Kind::SessionClose));
        let counts = ledger.counts();
        let mut close = Fields::new(Kind::WindowClose);
        let mut with_close = counts;
        with_close.insert("window_close".into(), 1);
        close.detail = Some(serde_json::json!({ "counts": with_close }).to_string().into());
        ledger.push(close);
        ledger.write(payload, State::Sealed);
        let note = Hash::of(&[&ledger.files[&path(NOTE_NAME)]]).to_string();
        let seal = |window, at: (u64, String)| Event::Seal { window, records: at.0, root: at.1, note: Some(note) };
        ledger.event(seal, ledger.chain.size());
        ledger.write_log();
        ledger
    }

    pub(super) fn push(&mut self, fields: Fields) {
        let record = self.chain.append(fields, 1_790_000_000_000_000, &mut Vec::new());
        self.rows.push((record, self.chain.head()));
        self.roots.push(self.chain.root());
    }

    pub(super) fn event(&mut self, event: impl FnOnce(String, (u64, String)) -> Event, records: u64) {
        let at = (records, self.roots[records as usize].to_string());
        self.events.push(event(samples::ledger().window().to_string(), at));
    }

    fn bind(&mut self, seed: u8, records: u64) {
        let key = window_key(seed).verifier().to_string();
        self.event(|window, at| Event::Open { window, key, records: at.0, root: at.1 }, records);
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        self.rows.iter().for_each(|(row, _)| *counts.entry(row.fields.kind.as_str().to_owned()).or_default() += 1);
        counts
    }

    /// Writes the part, the note and the log.
    fn write(&mut self, payload: &Payload, state: State) {
        let id = samples::ledger();
        let payloads: Vec<_> = self.rows.iter().filter(|(row, _)| row.fields.payload_hash.is_some()).collect();
        let payloads: Vec<_> = payloads.into_iter().map(|(row, _)| (row.seq, payload.clone())).collect();
        let tables = [
            (Table::Records, parquet::write_records(&id, 0, &self.rows).unwrap(), self.rows.len()),
            (Table::Payloads, parquet::write_payloads(&id, 0, &payloads).unwrap(), payloads.len()),
        ];
        let files = tables.map(|(table, bytes, rows)| {
            let part = PartFile {
                name: table.file_name(0),
                table,
                first_seq: 0,
                records: self.rows.len() as u64,
                rows: rows as u64,
                bytes: bytes.len() as u64,
                sha256: Hash::of(&[&bytes]).to_string(),
                key: None,
            };
            self.files.insert(path(&part.name), bytes.into());
            part
        });
        let manifest = Manifest {
            format: MANIFEST_FORMAT.into(),
            gateway: id.gateway().to_string(),
            window: id.window().to_string(),
            state,
            records: self.chain.size(),
            head: self.chain.head().to_string(),
            counts: self.counts(),
            files: files.into(),
            software: "test".into(),
        };
        self.files.insert(path(NOTE_NAME), manifest.sign(self.chain.root(), &window_key(8)).unwrap().into());
        self.write_log();
    }

    /// Writes a log of the events; the first identity key has seed 1, the next one 2, and so on.
    pub(super) fn write_log(&mut self) {
        let encode = |event: &Event| Entry { time: 1, event: event.clone() }.encode().unwrap();
        let entries: Vec<Vec<u8>> = self.events.iter().map(encode).collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        self.files.retain(|path, _| !path.starts_with(&log_path("")));
        for tile in tiles::tiles(0, leaves.len() as u64) {
            let bytes = match tile.kind {
                tiles::Kind::Entries => {
                    tiles::write_entries(entries[tile.first() as usize..].iter().take(tile.width as usize).map(Vec::as_slice))
                        .unwrap()
                }
                tiles::Kind::Hashes(level) => tiles::write_hashes(&mut leaves.as_slice(), &tile, level).unwrap(),
            };
            self.files.insert(log_path(&tile.path()), bytes.into());
        }
        let (mut tree, mut seed) = (Tree::default(), 1);
        for (event, entry) in self.events.iter().zip(&entries) {
            tree.push(entry);
            if let Event::Key { action: KeyAction::Adopt, from: 2.., .. } = event {
                let text = checkpoint(&tree);
                seed += 1;
                let note = identity(seed - 1).sign(&text) + &identity(seed).line(&text);
                self.files.insert(log_path(&handover_name(tree.size())), note.into());
            }
        }
        self.files.insert(log_path("checkpoint"), identity(seed).sign(&checkpoint(&tree)).into());
    }

    pub(super) fn pin(&self) -> String {
        String::from_utf8(self.files[&log_path("checkpoint")].to_vec()).unwrap()
    }

    pub(super) fn verified(&self) -> EvidenceReport {
        let keys = (1..4).map(|seed| identity(seed).verifier().clone()).collect();
        let report = verify_evidence(&self.files, &Asked { keys, ..Asked::default() });
        assert!(!report.tampered(), "{:?} {:?}", report.logs[0].findings, report.ledgers[0].findings);
        report
    }

    pub(super) fn prove(&self, seq: u64, reveal: Reveal, pin: Option<String>) -> Result<Bundle, ProveError> {
        let report = self.verified();
        build(&self.files, &report.ledgers[0], &report.logs[0], &Wanted { seq, reveal, pin })
    }
}

pub(super) fn checkpoint(tree: &Tree) -> String {
    let origin = origin(samples::ledger().gateway());
    Checkpoint { origin, size: tree.size(), root: tree.root(), extensions: Vec::new() }.text()
}

pub(super) fn payload() -> Payload {
    samples::payloads().swap_remove(0).1
}

pub(super) fn asked(seed: u8, pins: &[String]) -> Asked {
    Asked { keys: vec![identity(seed).verifier().clone()], pins: pins.to_vec(), ..Asked::default() }
}

pub(super) fn fields_named(names: &[&str]) -> Reveal {
    Reveal::Fields(names.iter().map(|name| (*name).to_owned()).collect())
}
