//! Verification of everything a gateway wrote, and its records as a test reads them.

use sealgate::evidence::Folder;
use sealgate_schema::{
    LedgerId, Payload, Record,
    log::LOG_FOLDER,
    note::VerifierKey,
    parquet::{self, Rows},
    record::Kind,
    seal::Table,
    verify::{Asked, EvidenceReport, Report, Source as _, verify_evidence},
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
    let named = windows.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder));
    named.filter(|(name, _)| name != LOG_FOLDER).collect()
}

/// Verifies a folder of evidence, and finds nothing amiss and nothing missing.
pub fn holds(evidence: &Path, key: VerifierKey) -> EvidenceReport {
    let report = verify_evidence(&Folder::new(evidence), &Asked { keys: vec![key], ..Asked::default() });
    let findings: Vec<_> = report.ledgers.iter().map(|ledger| (&ledger.folder, &ledger.findings.list)).collect();
    let logs: Vec<_> = report.logs.iter().map(|log| &log.findings.list).collect();
    assert!(!report.tampered() && !report.incomplete(), "{findings:#?} {logs:#?} {:?}", report.strays);
    report
}

/// Verifies everything a stopped gateway left: all of it must hold. Returns it by window.
pub fn check(home: &Path) -> BTreeMap<String, Evidence> {
    let evidence = home.join("evidence");
    let report = holds(&evidence, key(home));
    let named = report.ledgers.into_iter().map(|ledger| {
        let name = ledger.ledger.as_ref().unwrap().window().to_string();
        (name, read(&evidence, ledger))
    });
    named.collect()
}

fn read(evidence: &Path, report: Report) -> Evidence {
    let (folder, ledger): (_, LedgerId) = (Folder::new(evidence), report.ledger.clone().unwrap());
    let (mut records, mut payloads) = (Vec::new(), BTreeMap::new());
    for standing in &report.files {
        let bytes = folder.read(&format!("{}/{}", report.folder, standing.name)).unwrap();
        match (standing.file.table, parquet::read(standing.file.table, &ledger, standing.file.first_seq, &bytes).rows) {
            (Table::Records, Rows::Records(rows)) => records.extend(rows.into_iter().map(|row| row.record)),
            (Table::Payloads, Rows::Payloads(rows)) => payloads.extend(rows.into_iter().map(|row| (row.seq, row.payload))),
            _ => unreachable!("a file holds the table it was asked for"),
        }
    }
    Evidence { report, records, payloads }
}

/// The evidence of one window.
pub fn window(home: &Path, window: &str) -> Evidence {
    check(home).remove(window).expect("the window has evidence")
}
