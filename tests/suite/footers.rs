//! Footers and page headers that lie, in files that were signed with the lie: both verifiers refuse all of them at L1.
//!
//! The ledgers are made from the schema crate alone, without a gateway, each in a window of its own so that one run of a
//! verifier looks at all of them.

use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, Record,
    log::{Entry, Event, KeyAction, LOG_FOLDER},
    merkle::empty_root,
    note::SigningKey,
    parquet,
    payload::Capture,
    record::{Fields, Kind},
    seal::{MANIFEST_FORMAT, Manifest, NOTE_NAME, PartFile, State, Table},
};
use sealgate_tests::{
    footer_forge::{footer_start, page_headers},
    forge::{
        log::{Identity, log_files},
        write_files,
    },
    forgeries::FORGERIES,
    programs::{verify_py, verify_rust},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

const GATEWAY: &str = "gw-0011223344556677";
const KEY_NAME: &str = "sealgate/gw-0011223344556677";
/// Every so many bits one is flipped, unless `SEALGATE_FLIPS=all`. A prime, so that each bit of a byte has its turn.
const FLIPS_STEP: usize = 397;

/// The files of one sealed ledger, before they are signed.
struct Ledger {
    id: LedgerId,
    chain: Chain,
    counts: BTreeMap<String, u64>,
    files: Vec<(Table, Vec<u8>)>,
}

fn ledger(window: &str) -> Ledger {
    let id = LedgerId::new(GATEWAY, window.to_owned()).unwrap();
    let mut payload = Payload::new(*b"0123456789abcdef");
    payload.query = Some("X-Amz-Signature=REDACTED".into());
    payload.headers = Some(vec![("host".into(), "sts.amazonaws.com".into()), ("accept".into(), "*/*".into())]);
    payload.body_capture = Some(Capture::Omitted);
    let commitment = payload.commitment();
    let mut chain = Chain::new(id.clone());
    let (mut records, mut counts): (Vec<(Record, Hash)>, BTreeMap<String, u64>) = Default::default();
    for kind in [Kind::WindowOpen, Kind::Intent, Kind::Outcome, Kind::WindowClose] {
        *counts.entry(kind.as_str().to_owned()).or_default() += 1;
        let closing = serde_json::json!({ "counts": counts }).to_string();
        let mut out = Vec::new();
        let record = chain.append(fields(kind, commitment, closing), 1_790_000_000_000_000, &mut out);
        records.push((record, chain.head()));
    }
    let files = vec![
        (Table::Records, parquet::write_records(&id, 0, &records).unwrap()),
        (Table::Payloads, parquet::write_payloads(&id, 0, &[(1, payload)]).unwrap()),
    ];
    Ledger { id, chain, counts, files }
}

fn fields(kind: Kind, commitment: Hash, closing: String) -> Fields {
    match kind {
        Kind::Intent => Fields {
            call: Some(1),
            session: Some("S-1".into()),
            principal: Some("alice".into()),
            credential_chain: vec!["ASIACHILD".into(), "AKIAEXAMPLE".into()],
            resources: vec!["arn:aws:iam::123456789012:user/ü".into()],
            payload_hash: Some(commitment),
            ..Fields::new(kind)
        },
        Kind::Outcome => Fields { call: Some(1), status: Some(200), duration_us: Some(1 << 33), ..Fields::new(kind) },
        Kind::WindowClose => Fields { detail: Some(closing.into()), ..Fields::new(kind) },
        _ => Fields::new(kind),
    }
}

/// Signs the files as they are, and puts the ledger below `evidence`. The one place here that knows keys and notes.
fn seal(evidence: &Path, ledger: &Ledger) {
    let folder = evidence.join(GATEWAY).join(ledger.id.window().as_str());
    fs::create_dir_all(&folder).unwrap();
    let records = ledger.chain.size();
    let files = ledger.files.iter().map(|(table, bytes)| {
        let name = table.file_name(0);
        fs::write(folder.join(&name), bytes).unwrap();
        let rows = if *table == Table::Records { records } else { 1 };
        let sha256 = Hash::of(&[bytes]).to_string();
        PartFile { name, table: *table, first_seq: 0, records, rows, bytes: bytes.len() as u64, sha256, key: None }
    });
    let manifest = Manifest {
        format: MANIFEST_FORMAT.into(),
        gateway: GATEWAY.into(),
        window: ledger.id.window().to_string(),
        state: State::Sealed,
        records,
        head: ledger.chain.head().to_string(),
        counts: ledger.counts.clone(),
        files: files.collect(),
        software: "test".into(),
    };
    fs::write(folder.join(NOTE_NAME), manifest.sign(ledger.chain.root(), &window_key(&ledger.id)).unwrap()).unwrap();
}

fn window_key(ledger: &LedgerId) -> SigningKey {
    SigningKey::from_seed(&ledger.origin(), &Hash::of(&[ledger.origin().as_bytes()]).0).unwrap()
}

/// The log of all the ledgers that were sealed below `evidence`.
fn write_log(evidence: &Path, identity: Identity) {
    let key = identity.key.verifier().to_string();
    let mut events = vec![Event::Key { action: KeyAction::Adopt, key, from: 1, reason: "test".into() }];
    for window in fs::read_dir(evidence.join(GATEWAY)).unwrap().map(|entry| entry.unwrap()) {
        let ledger = LedgerId::new(GATEWAY, window.file_name().into_string().unwrap()).unwrap();
        let (name, key) = (ledger.window().to_string(), window_key(&ledger));
        let note = fs::read_to_string(window.path().join(NOTE_NAME)).unwrap();
        let (manifest, root) = Manifest::open(&note, key.verifier()).unwrap();
        let open =
            Event::Open { window: name.clone(), key: key.verifier().to_string(), records: 0, root: empty_root().to_string() };
        let note = Some(Hash::of(&[note.as_bytes()]).to_string());
        events.extend([open, Event::Seal { window: name, records: manifest.records, root: root.to_string(), note }]);
    }
    let entries: Vec<_> = events.into_iter().map(|event| Entry { time: 1, event }.encode().unwrap()).collect();
    let files = log_files(GATEWAY, &entries, &[identity]);
    write_files(&files, &evidence.join(GATEWAY).join(LOG_FOLDER));
}

/// Bytes of the page headers and of the footer.
fn places(file: &[u8]) -> Vec<usize> {
    page_headers(file).into_iter().flatten().chain(0..4).chain(footer_start(file)..file.len()).collect()
}

/// Which levels hold, by window.
fn verdicts(output: &Output) -> BTreeMap<String, [bool; 2]> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let ledgers = report["ledgers"].as_array().unwrap().iter();
    let levels = |ledger: &serde_json::Value| ["L0", "L1"].map(|level| ledger["levels"][level] == "PASS");
    ledgers.map(|ledger| (ledger["window"].as_str().unwrap().to_owned(), levels(ledger))).collect()
}

/// A folder for evidence, the key to sign it with, and a file with the public one.
fn evidence() -> (tempfile::TempDir, Identity, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed(KEY_NAME, &[7; 32]).unwrap();
    let public = folder.path().join("gateway.vkey");
    fs::write(&public, key.verifier().to_string()).unwrap();
    (folder, Identity { from: 1, key }, public)
}

/// Both verifiers take the bytes for those that were signed, and refuse the structure, of every ledger in `lies` and of no other.
fn check(evidence: &Path, identity: Identity, public: &Path, lies: &BTreeMap<String, String>) {
    write_log(evidence, identity);
    for (verifier, output) in [("sealgate", verify_rust(evidence, public)), ("verify.py", verify_py(evidence, public))] {
        let verdicts = verdicts(&output);
        let taken: Vec<_> = lies.iter().filter(|(window, _)| verdicts.get(*window) != Some(&[true, false])).collect();
        assert!(taken.is_empty(), "{verifier} takes, or finds at another level: {taken:#?}");
        let honest: Vec<_> = verdicts.iter().filter(|(window, _)| !lies.contains_key(*window)).collect();
        assert_eq!(honest, [(&"CHG-1".to_owned(), &[true; 2])], "{verifier}");
    }
}

#[test]
fn both_verifiers_refuse_every_flipped_bit_of_a_signed_footer_or_page_header() {
    let (folder, key, public) = evidence();
    let evidence = folder.path().join("evidence");
    seal(&evidence, &ledger("CHG-1"));
    let step = if std::env::var_os("SEALGATE_FLIPS").is_some_and(|flips| flips == "all") { 1 } else { FLIPS_STEP };
    let mut lies = BTreeMap::new();
    for file in 0..2 {
        let bits = places(&ledger("F-000000").files[file].1).len() * 8;
        for bit in (0..bits).step_by(step) {
            let window = format!("F-{:06}", lies.len());
            let mut flipped = ledger(&window);
            let (_, bytes) = &mut flipped.files[file];
            let place = places(bytes)[bit / 8];
            bytes[place] ^= 1 << (bit % 8);
            seal(&evidence, &flipped);
            lies.insert(window, format!("bit {} of byte {place} of file {file}", bit % 8));
        }
    }
    check(&evidence, key, &public, &lies);
    println!("{} flips refused by both", lies.len());
}

#[test]
fn both_verifiers_refuse_every_forged_footer_that_was_signed() {
    let (folder, key, public) = evidence();
    let evidence = folder.path().join("evidence");
    seal(&evidence, &ledger("CHG-1"));
    let mut lies = BTreeMap::new();
    for (index, (name, forge)) in FORGERIES.iter().enumerate() {
        let mut forged = ledger(&format!("F-{index:06}"));
        let (_, bytes) = &mut forged.files[0];
        let genuine = std::mem::take(bytes);
        *bytes = forge(&genuine);
        assert_ne!(*bytes, genuine, "{name} changes nothing");
        seal(&evidence, &forged);
        lies.insert(forged.id.window().to_string(), (*name).to_owned());
    }
    check(&evidence, key, &public, &lies);
}
