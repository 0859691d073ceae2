//! Every tampering is found, by two verifiers that agree, on evidence that a gateway wrote.

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    compute::concat_batches,
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use sealgate_tests::{
    check::ledgers,
    client::{Client, Speak, caller_identity},
    gateway::TestGateway,
    programs::{verify_py, verify_rust},
    upstream::{Offer, Upstream, sts},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const HOST: &str = "sts.us-east-1.amazonaws.com";

/// Evidence of one sealed window in two parts, in a folder of its own, with its key.
async fn sealed() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    for call in 0..6 {
        assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
        if call == 3 {
            gateway.running().gateway.ledger.cut().await.unwrap();
        }
    }
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    let ledger = ledgers(&gateway.home()).remove("CHG-1").unwrap();
    let key = gateway.home().join("keys/gateway.vkey");
    (gateway.folder, ledger, key)
}

fn file(ledger: &Path, prefix: &str) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(ledger).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).unwrap()
}

/// Rewrites a Parquet file with its rows changed, by a writer that knows nothing of this format.
fn rewrite(path: &Path, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let bytes = Bytes::from(fs::read(path).unwrap());
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let metadata = builder.metadata().file_metadata().clone();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    let batch = change(concat_batches(&schema, &batches).unwrap());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(metadata.key_value_metadata().cloned())
        .set_created_by(metadata.created_by().unwrap().to_owned())
        .set_compression(parquet::basic::Compression::ZSTD(Default::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).unwrap()] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn take(batch: &RecordBatch, rows: &[usize]) -> RecordBatch {
    let parts: Vec<_> = rows.iter().map(|row| batch.slice(*row, 1)).collect();
    concat_batches(&batch.schema(), &parts).unwrap()
}

fn change_principal(batch: RecordBatch) -> RecordBatch {
    let column = batch.column_by_name("principal").unwrap().as_string::<i32>().clone();
    let changed: StringArray = column.iter().enumerate().map(|(row, text)| if row == 2 { Some("mallory") } else { text }).collect();
    with_column(&batch, "principal", Arc::new(changed))
}

/// A byte of the largest column's statistics in the footer.
fn change_statistics(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let footer = bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let name = b"CHG-1";
    let place = footer + bytes[footer..].windows(name.len()).position(|window| window == name).unwrap();
    bytes[place] = b'X';
    fs::write(path, bytes).unwrap();
}

fn flip(path: &Path, part: usize, of: usize) {
    let mut bytes = fs::read(path).unwrap();
    let place = bytes.len() * part / of;
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

type Tampering = (&'static str, fn(&Path));

const TAMPERINGS: [Tampering; 19] = [
    ("a changed cell", |ledger| rewrite(&file(ledger, "records-"), change_principal)),
    ("a deleted row", |ledger| rewrite(&file(ledger, "records-"), |batch| take(&batch, &[0, 1, 2, 4, 5, 6, 7, 8, 9]))),
    ("an inserted row", |ledger| rewrite(&file(ledger, "records-"), |batch| take(&batch, &[0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]))),
    ("swapped rows", |ledger| rewrite(&file(ledger, "records-"), |batch| take(&batch, &[0, 1, 3, 2, 4, 5, 6, 7, 8, 9]))),
    ("a deleted payload row", |ledger| rewrite(&file(ledger, "payloads-"), |batch| batch.slice(1, batch.num_rows() - 1))),
    ("a removed records file", |ledger| fs::remove_file(file(ledger, "records-")).unwrap()),
    ("a removed payloads file", |ledger| fs::remove_file(file(ledger, "payloads-")).unwrap()),
    ("an added copy of a file", |ledger| {
        fs::copy(file(ledger, "records-"), ledger.join("records-999999999999.parquet")).unwrap();
    }),
    ("an added stranger", |ledger| fs::write(ledger.join("notes.txt"), "x").unwrap()),
    ("an added folder", |ledger| fs::create_dir(ledger.join("change_window=CHG-2")).unwrap()),
    ("two files under each other's names", |ledger| {
        let (a, b, aside) = (file(ledger, "records-000000000000"), file(ledger, "records-00000000001"), ledger.join("aside"));
        fs::rename(&a, &aside).unwrap();
        fs::rename(&b, &a).unwrap();
        fs::rename(&aside, &b).unwrap();
    }),
    ("changed footer statistics", |ledger| change_statistics(&file(ledger, "records-"))),
    ("a re-encoded file", |ledger| rewrite(&file(ledger, "records-"), |batch| batch)),
    ("a truncated file", |ledger| {
        let path = file(ledger, "records-");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    }),
    ("an emptied file", |ledger| fs::write(file(ledger, "payloads-"), "").unwrap()),
    ("a flipped bit in the records", |ledger| flip(&file(ledger, "records-"), 1, 3)),
    ("a flipped bit in the payloads", |ledger| flip(&file(ledger, "payloads-"), 1, 2)),
    ("a flipped bit in the note", |ledger| flip(&file(ledger, "ledger.note"), 1, 2)),
    ("a removed note", |ledger| fs::remove_file(ledger.join("ledger.note")).unwrap()),
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Both verifiers' exit codes, and what they printed.
fn verdicts(ledger: &Path, key: &Path) -> ([Option<i32>; 2], String) {
    let outputs = [verify_rust(ledger, key), verify_py(ledger, key)];
    let text = outputs
        .iter()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        .collect();
    (outputs.map(|output| output.status.code()), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_verifiers_find_every_tampering_and_pass_what_was_not_touched() {
    let (folder, ledger, key) = sealed().await;
    let (codes, text) = verdicts(&ledger, &key);
    assert_eq!(codes, [Some(0); 2], "{text}");
    for (index, (name, tamper)) in TAMPERINGS.iter().enumerate() {
        let copied = folder.path().join(format!("tampered-{index}")).join("CHG-1");
        copy(&ledger, &copied);
        tamper(&copied);
        let (codes, text) = verdicts(&copied, &key);
        // A folder without its note is not a ledger any more when it is all that is asked about: nothing to check, or tampered.
        let expected: &[i32] = if *name == "a removed note" { &[1, 2] } else { &[1] };
        for code in codes {
            assert!(expected.contains(&code.unwrap()), "{name}: {codes:?}\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cell_is_named_by_both_verifiers() {
    let (_folder, ledger, key) = sealed().await;
    rewrite(&file(&ledger, "records-"), change_principal);
    for output in [verify_rust(&ledger, &key), verify_py(&ledger, &key)] {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let named: Vec<_> = report["ledgers"][0]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["level"] == "L2")
            .map(|finding| finding["seq"].as_u64())
            .collect();
        assert_eq!(named, [Some(2)], "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_there_twice_or_under_another_name_is_found() {
    let (folder, ledger, key) = sealed().await;
    let evidence = folder.path().join("home/evidence");
    assert_eq!(verify_rust(&evidence, &key).status.code(), Some(0));
    copy(&ledger, &evidence.join("gw-other/CHG-1"));
    assert_eq!(verify_rust(&evidence, &key).status.code(), Some(1));
    fs::remove_dir_all(evidence.join("gw-other")).unwrap();
    copy(&ledger, &ledger.with_file_name("CHG-2"));
    assert_eq!(verdicts(&evidence, &key).0, [Some(1); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_an_empty_folder_and_a_wrong_command_line_have_their_exit_codes() {
    let (folder, ledger, key) = sealed().await;
    let other = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut stranger = TestGateway::new(tempfile::tempdir().unwrap(), &other);
    stranger.start().await;
    stranger.stop().await;
    assert_eq!(verdicts(&ledger, &stranger.home().join("keys/gateway.vkey")).0, [Some(1); 2]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(verdicts(&empty, &key).0, [Some(2); 2]);
    assert_eq!(verdicts(&ledger, Path::new("/nonexistent")).0, [Some(3); 2]);
    assert_eq!(verdicts(Path::new("/nonexistent"), &key).0, [Some(3); 2]);
}
