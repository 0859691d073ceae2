//! Verification of everything a gateway wrote, and its records as a test reads them.

use bytes::Bytes;
use sealgate_schema::{
    LedgerId, Payload, Record,
    note::VerifierKey,
    parquet::{self, Rows},
    record::Kind,
    seal::{Manifest, NOTE_NAME, Table},
    verify::{Report, verify_ledger},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// One window's evidence, verified.
pub struct Evidence {
    /// What verification says.
    pub report: Report,
    /// The records in order.
    pub records: Vec<Record>,
    /// The payloads by `seq`.
    pub payloads: BTreeMap<u64, Payload>,
}

impl Evidence {
    /// Records of a kind.
    pub fn of(&self, kind: &Kind) -> Vec<&Record> {
        self.records.iter().filter(|record| record.fields.kind == *kind).collect()
    }

    /// The kinds in order, as words.
    pub fn kinds(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.fields.kind.as_str()).collect()
    }
}

/// The public key of a home.
pub fn key(home: &Path) -> VerifierKey {
    VerifierKey::parse(&std::fs::read_to_string(home.join("keys/gateway.vkey")).unwrap()).unwrap()
}

/// Folders of a home's ledgers, by window.
pub fn ledgers(home: &Path) -> BTreeMap<String, PathBuf> {
    let gateways = std::fs::read_dir(home.join("evidence")).unwrap().map(|entry| entry.unwrap().path());
    let windows = gateways.flat_map(|gateway| std::fs::read_dir(gateway).unwrap().map(|entry| entry.unwrap().path()));
    windows.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder)).collect()
}

/// Verifies one ledger's folder.
pub fn verify(folder: &Path, key: &VerifierKey) -> Report {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name != NOTE_NAME).collect();
    names.sort();
    let note = std::fs::read(folder.join(NOTE_NAME)).map(|note| String::from_utf8_lossy(&note).into_owned()).unwrap_or_default();
    verify_ledger(key, &note, &names, &mut |name| {
        std::fs::read(folder.join(name)).map(Bytes::from).map_err(|error| error.to_string())
    })
}

/// Verifies everything a stopped gateway left: all of it must hold. Returns it by window.
pub fn check(home: &Path) -> BTreeMap<String, Evidence> {
    let key = key(home);
    let evidence = ledgers(home).into_iter().map(|(window, folder)| {
        let report = verify(&folder, &key);
        assert!(report.holds(), "{window}: {:#?}", report.findings);
        (window, read(&folder, &key, report))
    });
    evidence.collect()
}

fn read(folder: &Path, key: &VerifierKey, report: Report) -> Evidence {
    let note = std::fs::read_to_string(folder.join(NOTE_NAME)).unwrap();
    let (manifest, _) = Manifest::open(&note, key).unwrap();
    let ledger: LedgerId = manifest.ledger().unwrap();
    let mut evidence = Evidence { report, records: Vec::new(), payloads: BTreeMap::new() };
    for file in manifest.files {
        let bytes = Bytes::from(std::fs::read(folder.join(&file.name)).unwrap());
        match (file.table, parquet::read(file.table, &ledger, file.first_seq, &bytes).rows) {
            (Table::Records, Rows::Records(rows)) => evidence.records.extend(rows.into_iter().map(|row| row.record)),
            (Table::Payloads, Rows::Payloads(rows)) => evidence.payloads.extend(rows.into_iter().map(|row| (row.seq, row.payload))),
            _ => unreachable!("a file holds the table it was asked for"),
        }
    }
    evidence
}

/// The evidence of one window.
pub fn window(home: &Path, window: &str) -> Evidence {
    check(home).remove(window).expect("the window has evidence")
}
