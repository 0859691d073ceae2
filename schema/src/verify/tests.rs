//! Verification of a small sealed ledger and its log, changed in every way.

use super::*;
use crate::{
    Chain, Record,
    log::{Entry, Event, KeyAction, LOG_FOLDER, handover_name, origin},
    merkle::{Tree, empty_root, leaf_hash},
    note::{Checkpoint, SigningKey},
    parquet, samples,
    seal::{MANIFEST_FORMAT, Manifest, NOTE_NAME, PartFile, Table},
    tiles::{self, Kind},
};
use bytes::Bytes;
use std::collections::BTreeMap;

type Files = BTreeMap<String, Bytes>;

fn identity(seed: u8) -> SigningKey {
    SigningKey::from_seed(&origin(samples::ledger().gateway()), &[seed; 32]).unwrap()
}

fn window_key() -> SigningKey {
    SigningKey::from_seed(&samples::ledger().origin(), &[9; 32]).unwrap()
}

fn folder() -> String {
    let ledger = samples::ledger();
    format!("{}/{}", ledger.gateway(), ledger.window())
}

fn path(name: &str) -> String {
    format!("{}/{name}", folder())
}

fn log_path(name: &str) -> String {
    format!("{}/{LOG_FOLDER}/{name}", samples::ledger().gateway())
}

/// The sample records, the call with an outcome, sealed as one part, and its log.
fn sealed(change: impl FnOnce(&mut Vec<(Record, Hash)>)) -> Files {
    let ledger = samples::ledger();
    let mut chain = Chain::new(ledger.clone());
    let mut rows = Vec::new();
    let mut fields: Vec<_> = samples::records().into_iter().map(|record| record.fields).collect();
    let mut outcome = crate::record::Fields::new(crate::record::Kind::Outcome);
    outcome.call = Some(1);
    fields.insert(2, outcome);
    fields[3].detail = Some(r#"{"counts":{"intent":1,"outcome":1,"window_close":1,"window_open":1}}"#.into());
    for fields in fields {
        let record = chain.append(fields, 1, &mut Vec::new());
        rows.push((record, chain.head()));
    }
    change(&mut rows);
    let payloads = vec![samples::payloads().swap_remove(0)];
    let mut files = Files::from([
        (path(&Table::Records.file_name(0)), parquet::write_records(&ledger, 0, &rows).unwrap().into()),
        (path(&Table::Payloads.file_name(0)), parquet::write_payloads(&ledger, 0, &payloads).unwrap().into()),
    ]);
    let part = |table: Table, rows| {
        let bytes = &files[&path(&table.file_name(0))];
        PartFile {
            name: table.file_name(0),
            table,
            first_seq: 0,
            records: 4,
            rows,
            bytes: bytes.len() as u64,
            sha256: Hash::of(&[bytes]).to_string(),
            key: None,
        }
    };
    let manifest = Manifest {
        format: MANIFEST_FORMAT.into(),
        gateway: ledger.gateway().to_string(),
        window: ledger.window().to_string(),
        state: State::Sealed,
        records: 4,
        head: chain.head().to_string(),
        counts: ["intent", "outcome", "window_close", "window_open"].map(|kind| (kind.to_owned(), 1)).into(),
        files: vec![part(Table::Records, rows.len() as u64), part(Table::Payloads, 1)],
        software: "test".into(),
    };
    let note = manifest.sign(chain.root(), &window_key()).unwrap();
    let seal = Event::Seal {
        window: ledger.window().to_string(),
        records: 4,
        root: chain.root().to_string(),
        note: Some(Hash::of(&[note.as_bytes()]).to_string()),
    };
    files.insert(path(NOTE_NAME), note.into());
    write_log(&mut files, vec![adopt(1, 1), open(), seal]);
    files
}

fn adopt(seed: u8, from: u64) -> Event {
    Event::Key { action: KeyAction::Adopt, key: identity(seed).verifier().to_string(), from, reason: "test".into() }
}

fn open() -> Event {
    let key = window_key().verifier().to_string();
    Event::Open { window: samples::ledger().window().to_string(), key, records: 0, root: empty_root().to_string() }
}

/// Writes a log of these entries; the first identity key has seed 1, a second one seed 2.
fn write_log(files: &mut Files, events: Vec<Event>) {
    let entries: Vec<Vec<u8>> = events.iter().map(|event| Entry { time: 1, event: event.clone() }.encode().unwrap()).collect();
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    files.retain(|path, _| !path.starts_with(&log_path("")));
    for tile in tiles::tiles(0, leaves.len() as u64) {
        let bytes = match tile.kind {
            Kind::Entries => tiles::write_entries(entries.iter().map(Vec::as_slice)).unwrap(),
            Kind::Hashes(level) => tiles::write_hashes(&mut leaves.as_slice(), &tile, level).unwrap(),
        };
        files.insert(log_path(&tile.path()), bytes.into());
    }
    let (mut tree, mut key) = (Tree::default(), identity(1));
    let text = |tree: &Tree| {
        let origin = origin(samples::ledger().gateway());
        Checkpoint { origin, size: tree.size(), root: tree.root(), extensions: Vec::new() }.text()
    };
    for (event, entry) in events.iter().zip(&entries) {
        tree.push(entry);
        if let Event::Key { action: KeyAction::Adopt, from: 2.., .. } = event {
            let note = key.sign(&text(&tree)) + &identity(2).line(&text(&tree));
            files.insert(log_path(&handover_name(tree.size())), note.into());
            key = identity(2);
        }
    }
    files.insert(log_path("checkpoint"), key.sign(&text(&tree)).into());
}

fn asked(seed: u8, pins: &[String]) -> Asked {
    Asked { keys: vec![identity(seed).verifier().clone()], pins: pins.to_vec(), ..Asked::default() }
}

fn verify(files: &Files) -> EvidenceReport {
    verify_evidence(files, &asked(1, &[]))
}

fn exit(report: &EvidenceReport) -> u8 {
    if report.tampered() { 1 } else { 2 * u8::from(report.incomplete()) }
}

fn seqs(report: &EvidenceReport) -> Vec<u64> {
    report.ledgers[0].findings.list.iter().filter_map(|finding| finding.seq).collect()
}

fn checkpoint(files: &Files) -> String {
    String::from_utf8(files[&log_path("checkpoint")].to_vec()).unwrap()
}

#[test]
fn an_untouched_ledger_holds() {
    let files = sealed(|_| ());
    let report = verify(&files);
    assert_eq!((report.logs[0].findings.list.as_slice(), report.ledgers[0].findings.list.as_slice()), (&[][..], &[][..]));
    assert_eq!(exit(&report), 0);
    assert_eq!(report.ledgers[0].verdict(Level::L3), Verdict::NotChecked);
    let pinned = verify_evidence(&files, &asked(1, &[checkpoint(&files)]));
    assert_eq!((exit(&pinned), pinned.ledgers[0].verdict(Level::L3)), (0, Verdict::Pass));
    assert_eq!(pinned.ledgers[0].verdict(Level::L5), Verdict::Pass);
}

/// Even when the sealer itself signed the changed file: the record hashes tell.
#[test]
fn a_changed_cell_is_named_by_its_record() {
    let report = verify(&sealed(|rows| rows[1].0.fields.principal = Some("mallory".into())));
    assert_eq!(seqs(&report), [1]);
    assert_eq!(report.ledgers[0].verdict(Level::L2), Verdict::Fail);
}

#[test]
fn a_changed_seq_is_named_by_the_record_that_it_was() {
    for seq in [0, 3, 7, u64::MAX] {
        assert_eq!(seqs(&verify(&sealed(|rows| rows[1].0.seq = seq))), [1], "{seq}");
    }
}

#[test]
fn a_deleted_inserted_or_swapped_row_is_found() {
    type Change = fn(&mut Vec<(Record, Hash)>);
    let changes: [Change; 3] = [|rows| drop(rows.remove(1)), |rows| rows.insert(2, rows[1].clone()), |rows| rows.swap(1, 2)];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(verify(&sealed(change)).ledgers[0].verdict(Level::L2), Verdict::Fail, "change {index}");
    }
}

#[test]
fn every_removed_file_and_an_added_one_are_found() {
    let good = sealed(|_| ());
    for name in good.keys() {
        let mut files = good.clone();
        files.remove(name);
        assert_eq!(exit(&verify(&files)), 1, "{name}");
    }
    for name in
        [path("records-000000000004.parquet"), log_path("x"), log_path("tile/0/001"), log_path("handover-000000000003"), "x".into()]
    {
        let mut files = good.clone();
        files.insert(name.clone(), Bytes::new());
        assert_eq!(exit(&verify(&files)), 1, "{name}");
    }
}

#[test]
fn every_flipped_byte_of_every_file_is_found() {
    let good = sealed(|_| ());
    for (name, bytes) in &good {
        for place in (0..bytes.len()).step_by(11) {
            let mut flipped = bytes.to_vec();
            flipped[place] ^= 1;
            let mut files = good.clone();
            files.insert(name.clone(), flipped.into());
            assert_eq!(exit(&verify(&files)), 1, "{name} at {place}");
        }
    }
}

#[test]
fn a_window_that_is_not_there_is_incomplete_and_a_whole_log_too() {
    let good = sealed(|_| ());
    let mut files = good.clone();
    files.retain(|name, _| !name.starts_with(&path("")));
    assert_eq!(exit(&verify(&files)), 2);
    assert_eq!(exit(&verify(&Files::new())), 2);
    let report = verify_evidence(&Files::new(), &asked(1, &[checkpoint(&good)]));
    assert_eq!((exit(&report), report.missing.len()), (2, 1));
}

#[test]
fn what_was_asked_for_and_is_nowhere_is_incomplete() {
    let good = sealed(|_| ());
    let named = Asked { window: Some("CHG-0".into()), ..asked(1, &[]) };
    assert_eq!(exit(&verify_evidence(&good, &named)), 2, "a window that no log names");
    let mut two = asked(1, &[]);
    two.keys.push(SigningKey::from_seed(&origin("gw-other"), &[3; 32]).unwrap().verifier().clone());
    let report = verify_evidence(&good, &two);
    assert_eq!((exit(&report), report.missing.len()), (2, 1), "a gateway whose key was given");
    let mut fresh = good.clone();
    write_log(&mut fresh, vec![adopt(1, 1)]);
    fresh.retain(|name, _| !name.starts_with(&path("")));
    assert_eq!(exit(&verify(&fresh)), 2, "a log begun anew, without a window");
}

#[test]
fn files_of_a_log_that_claims_more_entries_than_it_has_are_not_all_named() {
    let mut files = sealed(|_| ());
    let note = String::from_utf8(files[&log_path("checkpoint")].to_vec()).unwrap();
    files.insert(log_path("checkpoint"), note.replacen("\n3\n", &format!("\n{ENTRIES_MAX}\n"), 1).into());
    let report = verify(&files);
    let log = &report.logs[0];
    assert_eq!((exit(&report), log.size), (1, ENTRIES_MAX));
    let strays = log.findings.list.iter().filter(|finding| finding.what.contains("does not have this file"));
    assert_eq!(strays.count(), 0, "the size is a claim: no file can be said not to belong");
}

#[test]
fn a_log_rolled_back_or_forked_does_not_have_the_pin() {
    let (good, mut back, mut fork) = (sealed(|_| ()), sealed(|_| ()), sealed(|_| ()));
    let pin = [checkpoint(&good)];
    // The window goes with the log: without the pin nothing is amiss but that it is not there.
    write_log(&mut back, vec![adopt(1, 1), open()]);
    back.retain(|name, _| !name.starts_with(&path("")));
    assert_eq!(exit(&verify(&back)), 2);
    assert_eq!(exit(&verify_evidence(&back, &asked(1, &pin))), 1);
    let hold = Event::Hold { window: samples::ledger().window().to_string(), set: true, authority: "x".into(), reason: "x".into() };
    write_log(&mut fork, vec![adopt(1, 1), open(), hold]);
    assert_eq!(exit(&verify_evidence(&fork, &asked(1, &pin))), 1);
}

#[test]
fn a_note_under_a_key_that_is_not_bound_does_not_hold() {
    let mut files = sealed(|_| ());
    let note = String::from_utf8(files[&path(NOTE_NAME)].to_vec()).unwrap();
    let signed = identity(1).sign(crate::note::text(&note).unwrap());
    files.insert(path(NOTE_NAME), signed.into());
    let report = verify(&files);
    assert_eq!(report.ledgers[0].verdict(Level::L0), Verdict::Fail);
}

#[test]
fn an_old_identity_key_leads_to_the_new_one_until_it_is_revoked_below_its_handover() {
    let good = sealed(|_| ());
    let entries = tiles::read_entries(&good[&log_path("tile/entries/000.p/3")], 3).unwrap();
    let mut events: Vec<Event> = entries.into_iter().map(|entry| Entry::decode(entry).unwrap().event).collect();
    let mut files = good.clone();
    events.push(adopt(2, 4));
    let key = identity(1).verifier().to_string();
    let revoke = |from| Event::Key { action: KeyAction::Revoke, key: key.clone(), from, reason: "stolen".into() };
    events.push(revoke(4));
    write_log(&mut files, events.clone());
    let with = |seed, pins: &[String]| exit(&verify_evidence(&files, &asked(seed, pins)));
    assert_eq!((with(1, &[]), with(2, &[]), with(3, &[])), (0, 0, 1));
    assert_eq!(with(2, &[checkpoint(&good)]), 0, "a pin of before the handover");
    *events.last_mut().unwrap() = revoke(2);
    write_log(&mut files, events);
    let with = |seed, pins: &[String]| exit(&verify_evidence(&files, &asked(seed, pins)));
    assert_eq!((with(1, &[]), with(2, &[]), with(2, &[checkpoint(&good)])), (1, 0, 1));
}
