//! What is erased is gone and everything still verifies; a hold refuses it, time brings it, and no crash leaves it half done.

use crate::cli::command;
use sealgate::ledger::redact::{RedactError, Rows, Selection, Warrant};
use sealgate_policies::session::Session;
use sealgate_schema::{payload::FIELDS, record::Kind, verify::Payloads};
use sealgate_tests::{
    check::{Evidence, check, ledgers, window},
    client::{Client, Speak, authorization, whole},
    faults::{Fault, Form, Operation},
    gateway::TestGateway,
    programs::{python, verify_py},
    setting::length,
    upstream::{Handler, Offer, Upstream, handler, text},
};
use std::{collections::BTreeMap, fs, num::NonZeroU32, path::Path, sync::Arc};

const HOST: &str = "iam.amazonaws.com";
const EIO: i32 = 5;
const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Answers with what was asked, and a name of its own.
fn echo() -> Handler {
    handler(|request| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        text([b"ANSWER-", &body[..]].concat())
    })
}

/// A call whose request and answer name a user.
async fn call(gateway: &TestGateway, session: &Session, user: &str) {
    let request = http::Request::post("/")
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-amz-date", "20261123T000000Z")
        .header("authorization", authorization("iam"))
        .body(whole(format!("Action=CreateUser&Version=2010-05-08&UserName={user}")))
        .unwrap();
    let mut client = Client::open(gateway, session, HOST, Speak::Http1).await;
    assert_eq!(client.call(request).await.0, 200);
}

async fn close(gateway: &TestGateway, window: &str) {
    gateway.running().gateway.sessions.close_window(window, "test").await.unwrap();
}

/// `sealgate` in the gateway's home: its exit code and what it printed.
fn sealgate(gateway: &TestGateway, arguments: &[&str]) -> (i32, String) {
    let output = command(&gateway.home(), arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

/// `sealgate erase` on somebody's word; it has to succeed.
fn erase(gateway: &TestGateway, arguments: &[&str]) -> String {
    let warrant = ["--authority", "dpo", "--reason", "request 17"];
    let (code, said) = sealgate(gateway, &[&["erase"], arguments, &warrant].concat());
    assert_eq!(code, 0, "{said}");
    said
}

/// A command that fails with one line that says what to do.
fn refused(gateway: &TestGateway, arguments: &[&str], says: &[&str]) {
    let (code, said) = sealgate(gateway, arguments);
    assert!(code == 1 && said.trim().lines().count() == 1, "{arguments:?}: {code} {said}");
    says.iter().for_each(|part| assert!(said.contains(part), "{arguments:?}: {said}"));
}

/// A query of the home's evidence, as CSV.
fn query(gateway: &TestGateway, sql: &str) -> String {
    let duckdb = python("duckdb");
    let (code, said) = sealgate(gateway, &["query", sql, "--format", "csv", "--duckdb", duckdb.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    said.replace('\r', "")
}

/// Everything holds, by the second verifier too.
fn second_verifier_agrees(gateway: &TestGateway) {
    let output = verify_py(&gateway.home().join("evidence"), &gateway.home().join("keys/gateway.vkey"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Everything that the files of the home say, packed and unpacked.
fn everything(home: &Path) -> String {
    fn bytes(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                bytes(&path, all);
            } else if path.is_file() {
                all.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
            }
        }
    }
    let mut all = String::new();
    bytes(home, &mut all);
    for evidence in check(home).into_values() {
        all.push_str(&format!("{:?}", evidence.records));
        for payload in evidence.payloads.values() {
            all.push_str(&String::from_utf8_lossy(payload.body.as_deref().unwrap_or_default()));
            all.push_str(&format!("{payload:?}"));
        }
    }
    all
}

fn erasures(evidence: &Evidence) -> BTreeMap<u64, Vec<String>> {
    let rows = evidence.payloads.iter().filter(|(_, payload)| !payload.erased.is_empty());
    rows.map(|(seq, payload)| (*seq, payload.erased.iter().map(|(name, _)| name.to_string()).collect())).collect()
}

/// Two sessions, three calls: of alice, of bob, of alice, in a window that is sealed. Returns the sessions.
async fn three_calls(part_records: u64) -> (TestGateway, Arc<Session>, Arc<Session>) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, echo()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.ledger.part_records = part_records;
    gateway.start().await;
    let (first, second) = (gateway.open_session("CHG-1").await, gateway.open_session("CHG-1").await);
    call(&gateway, &first, "ALICE").await;
    call(&gateway, &second, "BOB").await;
    call(&gateway, &first, "CAROL").await;
    close(&gateway, "CHG-1").await;
    (gateway, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_field_is_erased_and_only_it() {
    let (mut gateway, ..) = three_calls(50_000).await;
    let before = {
        gateway.stop().await;
        let before = window(&gateway.home(), "CHG-1");
        gateway.start().await;
        before
    };
    // window_open, two session_open, then the calls.
    let said = erase(&gateway, &["--window", "CHG-1", "--seq", "3", "--field", "body,parameters"]);
    assert!(said.contains("2 values (body 1, parameters 1) of 1 records in 1 files"), "{said}");
    let users = query(&gateway, "select count(*) as n from payloads where body_text like '%ALICE%'");
    assert_eq!(users, "n\n1\n", "the answer has it, the request no longer");
    assert_eq!(query(&gateway, "select count(*) as n from calls where request_headers is not null"), "n\n3\n");
    gateway.stop().await;
    let after = window(&gateway.home(), "CHG-1");
    second_verifier_agrees(&gateway);
    assert_eq!(after.report.payloads, Payloads::Erased);
    assert_eq!(erasures(&after), BTreeMap::from([(3, vec!["body".to_owned(), "parameters".to_owned()])]));
    assert_eq!((before.records, before.report.root), (after.records, after.report.root));
    for (seq, payload) in &before.payloads {
        let kept = &after.payloads[seq];
        assert_eq!(payload.commitment(), kept.commitment());
        assert!(*seq == 3 || payload == kept);
        assert_eq!(payload.headers, kept.headers);
    }
    let names: Vec<String> = fs::read_dir(ledgers(&gateway.home()).remove("CHG-1").unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains(&"payloads-000000000000.r1.parquet".to_owned()), "{names:?}");
    assert!(!names.contains(&"payloads-000000000000.parquet".to_owned()), "{names:?}");
}

/// What a verifier derives from two fields must not fail where one of them is gone.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_can_go_alone_and_first() {
    let (mut gateway, ..) = three_calls(50_000).await;
    for (seq, field) in [(3, "body_bytes"), (4, "body_sha256"), (5, "body_capture"), (6, "body"), (7, "headers")] {
        erase_field(&gateway, (seq, field), Some(&warrant())).unwrap();
    }
    gateway.stop().await;
    assert_eq!(erasures(&window(&gateway.home(), "CHG-1")).len(), 5);
    second_verifier_agrees(&gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_a_session_are_erased_from_every_file_of_the_home() {
    for part_records in [50_000, 1] {
        let (mut gateway, first, _) = three_calls(part_records).await;
        let said = erase(&gateway, &["--window", "CHG-1", "--call", "5"]);
        assert!(said.contains("of 2 records"), "{said}");
        // A query is itself on record: it must not name what was erased.
        let left = query(&gateway, "select seq from payloads where change_window = 'CHG-1' and body is not null order by seq");
        assert_eq!(left, "seq\n3\n4\n7\n8\n");
        gateway.stop().await;
        let all = everything(&gateway.home());
        assert!(!all.contains("BOB") && all.contains("ALICE") && all.contains("CAROL"));
        gateway.start().await;
        // Its file was written again before: the successor of a successor.
        erase(&gateway, &["--window", "CHG-1", "--session", &first.id]);
        gateway.stop().await;
        let all = everything(&gateway.home());
        assert!(!all.contains("ALICE") && !all.contains("CAROL"));
        second_verifier_agrees(&gateway);
        let evidence = window(&gateway.home(), "CHG-1");
        assert_eq!(evidence.of(&Kind::Intent).len(), 3);
        let erased = erasures(&evidence);
        assert_eq!(erased.keys().copied().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
        // Null fields stay null: they are not secret.
        assert!(erased.values().all(|fields| fields.iter().all(|field| FIELDS.contains(&field.as_str())) && fields.len() >= 5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_window_loses_its_payloads_and_a_dry_run_nothing() {
    let (mut gateway, ..) = three_calls(2).await;
    let (code, said) = sealgate(&gateway, &["erase", "--window", "CHG-1", "--all", "--dry-run"]);
    assert!(code == 0 && said.contains("would erase") && said.contains("records: 3, 4, 5, 6, 7, 8"), "{said}");
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").report.payloads, Payloads::Full);
    gateway.start().await;
    erase(&gateway, &["--window", "CHG-1", "--all"]);
    refused(
        &gateway,
        &["erase", "--window", "CHG-1", "--all", "--authority", "dpo", "--reason", "again"],
        &["nothing to erase", "no longer"],
    );
    gateway.stop().await;
    assert!(!everything(&gateway.home()).contains("ALICE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_selection_gets_one_line_that_says_what_to_do() {
    let (gateway, ..) = three_calls(50_000).await;
    gateway.open_session("CHG-2").await;
    let warrant = ["--authority", "dpo", "--reason", "x"];
    let wrong = |arguments: &[&str], says: &[&str]| refused(&gateway, &[&["erase"], arguments, &warrant].concat(), says);
    wrong(&["--window", "CHG-1", "--seq", "99"], &["has the records 0 to", "no 99"]);
    wrong(&["--window", "CHG-1", "--seq", "0"], &["nothing to erase", "record 0"]);
    wrong(&["--window", "CHG-1", "--seq", "3", "--field", "bodi"], &["no field \"bodi\"", "body_sha256"]);
    wrong(&["--window", "CHG-1", "--call", "4"], &["(outcome) is not the intent", "--call 3"]);
    wrong(&["--window", "CHG-1", "--call", "1"], &["(session_open) is not the intent", "--seq 1"]);
    wrong(&["--window", "CHG-1", "--session", "S-none"], &["no record", "S-none"]);
    wrong(&["--window", "CHG-9", "--all"], &["no window CHG-9", "sealgate window list"]);
    wrong(&["--window", "CHG-2", "--all"], &["is open", "sealgate window close CHG-2"]);
    let day = gateway.running().gateway.standing_window().unwrap().to_string();
    wrong(&["--window", &day, "--all"], &["the gateway's own", "when its day is over"]);
    for (arguments, says) in [
        (&["erase", "--window", "CHG-1", "--all"][..], "--authority"),
        (&["erase", "--window", "CHG-1", "--dry-run"], "--seq"),
        (&["erase", "--window", "CHG-1", "--all", "--seq", "1", "--dry-run"], "cannot be used with"),
        (&["erase", "--window", "a b", "--all", "--dry-run"], "is not a name"),
    ] {
        let (code, said) = sealgate(&gateway, arguments);
        assert!(code == 3 && said.contains(says), "{arguments:?}: {code} {said}");
    }
    refused(&gateway, &["erase", "--window", "CHG-1", "--all", "--authority", " ", "--reason", "x"], &["authority is a line"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_refuses_until_it_is_cleared() {
    let (mut gateway, ..) = three_calls(50_000).await;
    let hold = |how: &'static str| ["hold", how, "--window", "CHG-1", "--authority", "counsel", "--reason", "case 7"];
    refused(&gateway, &hold("clear"), &["no legal hold", "sealgate hold list"]);
    assert_eq!(sealgate(&gateway, &hold("set")).0, 0);
    refused(&gateway, &hold("set"), &["already", "counsel"]);
    let (_, listed) = sealgate(&gateway, &["hold", "list"]);
    assert!(listed.contains("CHG-1") && listed.contains("counsel") && listed.contains("case 7"), "{listed}");
    // A restart does not lose it, and no gateway is needed to be told.
    gateway.stop().await;
    let all = ["erase", "--window", "CHG-1", "--all", "--authority", "dpo", "--reason", "x"];
    refused(&gateway, &all, &["legal hold of counsel", "case 7", "cleared"]);
    assert_eq!(window(&gateway.home(), "CHG-1").report.payloads, Payloads::Full);
    gateway.start().await;
    assert_eq!(sealgate(&gateway, &hold("clear")).0, 0);
    assert_eq!(sealgate(&gateway, &all).0, 0);
    let (_, listed) = sealgate(&gateway, &["hold", "list", "--json"]);
    assert_eq!(listed.trim(), "[]");
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").report.payloads, Payloads::Erased);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_not_written_again() {
    let (mut gateway, ..) = three_calls(50_000).await;
    let path = ledgers(&gateway.home()).remove("CHG-1").unwrap().join("payloads-000000000000.parquet");
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&path, bad).unwrap();
    let all = ["erase", "--window", "CHG-1", "--all", "--authority", "dpo", "--reason", "x"];
    refused(&gateway, &all, &["not as it was sealed", "sealgate verify"]);
    fs::write(&path, good).unwrap();
    assert_eq!(sealgate(&gateway, &all).0, 0);
    gateway.stop().await;
    check(&gateway.home());
}

fn warrant() -> Warrant {
    Warrant::new("dpo", "a test").unwrap()
}

/// Erases one field of one record; without a warrant only asks whether there is something to erase.
fn erase_field(gateway: &TestGateway, (seq, field): (u64, &str), warrant: Option<&Warrant>) -> Result<(), RedactError> {
    let selection = Selection::new(Rows::Record(seq), &[field.to_owned()]).unwrap();
    tokio::task::block_in_place(|| gateway.running().gateway.redactor.erase("CHG-1", &selection, warrant).map(drop))
}

/// Fails one operation of an erasure and all after it, as a crash does; starts again, and looks. Returns whether the fault was met.
async fn crashes(gateway: &mut TestGateway, value: (u64, &str), fault: Fault) -> bool {
    gateway.disk.fail(fault);
    let result = erase_field(gateway, value, Some(&warrant()));
    gateway.stop_anyhow().await;
    gateway.disk.mend();
    // The start settles it.
    gateway.start().await;
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let gone = evidence.payloads[&value.0].erased.iter().any(|(name, _)| name == value.1);
    assert!(result.is_err() || gone, "{fault:?}: it was said to be done");
    gateway.start().await;
    let left = erase_field(gateway, value, None);
    assert_eq!(matches!(left, Err(RedactError::Conflict(_))), gone, "{fault:?} {left:?}");
    result.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_leaves_a_value_there_or_gone_and_everything_verifies() {
    use Operation::{Append, Create, Remove, Rename, Sync, SyncFolder};
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, echo()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    for _ in 0..length(6, 12) {
        call(&gateway, &session, "ALICE").await;
    }
    close(&gateway, "CHG-1").await;
    // Values that every request and every answer have.
    let fields = ["headers", "body", "body_bytes", "body_sha256", "body_capture"];
    let mut values = (2..).flat_map(|seq| fields.map(|field| (seq, field)));
    let faults: &[(Operation, Form)] = length(
        &[(Rename, Form::Lost), (Rename, Form::Kept), (Remove, Form::Lost)],
        &[
            (Create, Form::Lost),
            (Create, Form::Kept),
            (Append, Form::Lost),
            (Append, Form::Half),
            (Append, Form::Kept),
            (Sync, Form::Lost),
            (Sync, Form::Kept),
            (Rename, Form::Lost),
            (Rename, Form::Kept),
            (SyncFolder, Form::Lost),
            (SyncFolder, Form::Kept),
            (Remove, Form::Lost),
            (Remove, Form::Kept),
        ],
    );
    let mut met = 0;
    for (operation, form) in faults.iter().copied() {
        let mut after = 0;
        while crashes(&mut gateway, values.next().unwrap(), Fault { operation, after, form, errno: EIO }).await {
            (after, met) = (after + 1, met + 1);
        }
        assert!(after > 0, "{operation:?} {form:?} was never met");
    }
    gateway.stop().await;
    println!("{met} faults were met");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_settled_by_the_next_start_and_strangers_are_not() {
    let (mut gateway, ..) = three_calls(50_000).await;
    let folder = ledgers(&gateway.home()).remove("CHG-1").unwrap();
    let (file, successor) = (folder.join("payloads-000000000000.parquet"), folder.join("payloads-000000000000.r1.parquet"));
    let original = fs::read(&file).unwrap();
    gateway.stop().await;
    // Before the entry: the successor goes.
    fs::write(&successor, "begun").unwrap();
    gateway.start().await;
    assert!(!successor.exists() && file.exists());
    // After it: the old file does.
    erase(&gateway, &["--window", "CHG-1", "--call", "3"]);
    gateway.stop().await;
    fs::write(&file, &original).unwrap();
    let stranger = folder.join("payloads-000000000099.r1.parquet");
    fs::write(&stranger, "x").unwrap();
    gateway.start().await;
    assert!(successor.exists() && !file.exists() && stranger.exists());
    gateway.stop().await;
    fs::remove_file(stranger).unwrap();
    check(&gateway.home());
}

/// Lets time go by while the gateway is stopped, and has it take away what is due.
async fn retain(gateway: &mut TestGateway, later: i64) {
    gateway.stop().await;
    gateway.clock.step(later);
    gateway.start().await;
    let gateway = gateway.running().gateway.clone();
    tokio::task::spawn_blocking(move || gateway.retain().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_and_then_records_go_when_their_time_is_over_and_not_before() {
    let (mut gateway, ..) = three_calls(2).await;
    let held = gateway.open_session("CHG-2").await;
    call(&gateway, &held, "DAVE").await;
    close(&gateway, "CHG-2").await;
    gateway.stop().await;
    gateway.config.retention.payloads_keep_days = NonZeroU32::new(90);
    gateway.config.retention.records_keep_days = NonZeroU32::new(365);
    gateway.start().await;
    let hold = |how: &'static str| ["hold", how, "--window", "CHG-2", "--authority", "counsel", "--reason", "case 7"];
    assert_eq!(sealgate(&gateway, &hold("set")).0, 0);
    retain(&mut gateway, 90 * DAY - HOUR).await;
    assert_eq!(payloads(&mut gateway).await, [Payloads::Full; 2]);
    retain(&mut gateway, 2 * HOUR).await;
    // A second look finds nothing more to do.
    retain(&mut gateway, HOUR).await;
    assert_eq!(payloads(&mut gateway).await, [Payloads::Removed, Payloads::Full]);
    refused(
        &gateway,
        &["erase", "--window", "CHG-1", "--all", "--authority", "dpo", "--reason", "x"],
        &["has no payloads, or has them no longer"],
    );
    assert_eq!(query(&gateway, "select count(*) as n from calls where change_window = 'CHG-1'"), "n\n3\n");
    assert_eq!(sealgate(&gateway, &hold("clear")).0, 0);
    retain(&mut gateway, 275 * DAY).await;
    gateway.stop().await;
    let all = check(&gateway.home());
    for name in ["CHG-1", "CHG-2"] {
        let evidence = &all[name];
        assert_eq!((evidence.report.payloads, evidence.records.len(), evidence.report.files.len()), (Payloads::Removed, 0, 0));
        let names: Vec<_> = fs::read_dir(ledgers(&gateway.home()).remove(name).unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "the note is left: {names:?}");
    }
    second_verifier_agrees(&gateway);
    let text = everything(&gateway.home());
    assert!(!["ALICE", "BOB", "CAROL", "DAVE"].iter().any(|user| text.contains(user)));
}

/// Verifies one window with `sealgate verify`, with the key of its payloads or without; what it says of the payloads.
fn verified(gateway: &TestGateway, window: &str, key: Option<&Path>) -> String {
    let (evidence, public) = (ledgers(&gateway.home()).remove(window).unwrap(), gateway.home().join("keys/gateway.vkey"));
    let mut arguments = vec!["verify", evidence.to_str().unwrap(), "--key", public.to_str().unwrap(), "--json"];
    if let Some(key) = key {
        arguments.extend(["--payload-key", key.to_str().unwrap()]);
    }
    let (code, said) = sealgate(gateway, &arguments);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<serde_json::Value>(&said).unwrap()["ledgers"][0]["payloads"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_payloads_are_queried_erased_and_shredded() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, echo()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    (gateway.config.ledger.part_records, gateway.config.ledger.encrypt_payloads) = (2, true);
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    call(&gateway, &session, "ALICE").await;
    // A window goes on with the key that it has, also after a start that encrypts no new one.
    gateway.stop().await;
    gateway.config.ledger.encrypt_payloads = false;
    gateway.start().await;
    call(&gateway, &session, "BOB").await;
    close(&gateway, "CHG-1").await;
    let key = gateway.home().join("keys/payloads/CHG-1.key");
    let copy = gateway.folder.path().join("copy.key");
    fs::copy(&key, &copy).unwrap();
    assert_eq!(verified(&gateway, "CHG-1", None), "encrypted");
    assert_eq!(verified(&gateway, "CHG-1", Some(&copy)), "full");
    let named = "select count(*) as n from payloads where change_window = 'CHG-1' and body is not null and len(headers) > 0";
    assert_eq!(query(&gateway, named), "n\n4\n");
    // window_open, session_open, the intent; after it another start, which needs no record in this window.
    erase(&gateway, &["--window", "CHG-1", "--call", "2"]);
    assert_eq!(query(&gateway, named), "n\n2\n");
    assert_eq!(verified(&gateway, "CHG-1", Some(&copy)), "erased");
    erase(&gateway, &["--window", "CHG-1", "--shred"]);
    assert!(!key.exists());
    let (code, said) = sealgate(&gateway, &["query", named, "--format", "csv", "--duckdb", python("duckdb").to_str().unwrap()]);
    assert!(code == 0 && said.contains("its key is not here") && said.replace('\r', "").starts_with("n\n0\n"), "{said}");
    let all = ["erase", "--window", "CHG-1", "--all", "--authority", "dpo", "--reason", "x"];
    refused(&gateway, &all, &["nobody can read", "key was destroyed"]);
    // A key whose end is in the log does not come back.
    gateway.stop().await;
    fs::copy(&copy, &key).unwrap();
    gateway.start().await;
    assert!(!key.exists());
    assert_eq!(verified(&gateway, "CHG-1", None), "encrypted");
    gateway.stop().await;
    check(&gateway.home());
    second_verifier_agrees(&gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_payloads_have_no_key_to_destroy() {
    let (gateway, ..) = three_calls(50_000).await;
    let shred = ["erase", "--window", "CHG-1", "--shred", "--authority", "dpo", "--reason", "x"];
    refused(&gateway, &shred, &["not encrypted", "--all"]);
}

/// What became of the payloads of both windows.
async fn payloads(gateway: &mut TestGateway) -> [Payloads; 2] {
    gateway.stop().await;
    let mut all = check(&gateway.home());
    gateway.start().await;
    ["CHG-1", "CHG-2"].map(|name| all.remove(name).unwrap().report.payloads)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_an_entry_holds_are_taken_away_by_several() {
    const CALLS: usize = 36;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, echo()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.ledger.part_records = 1;
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    for _ in 0..CALLS {
        call(&gateway, &session, "ALICE").await;
    }
    close(&gateway, "CHG-1").await;
    let redactions = |gateway: &TestGateway| {
        let window = tokio::task::block_in_place(|| gateway.running().gateway.log.window("CHG-1").unwrap().unwrap());
        window.redactions.len()
    };
    erase(&gateway, &["--window", "CHG-1", "--all"]);
    assert_eq!(redactions(&gateway), 2);
    assert_eq!(payloads_of_one(&mut gateway).await, Payloads::Erased);
    gateway.config.retention.records_keep_days = NonZeroU32::new(1);
    retain(&mut gateway, 2 * DAY).await;
    // 72 successors, and a records file for each record.
    assert!(redactions(&gateway) >= 4);
    assert_eq!(payloads_of_one(&mut gateway).await, Payloads::Removed);
    gateway.stop().await;
}

async fn payloads_of_one(gateway: &mut TestGateway) -> Payloads {
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    second_verifier_agrees(gateway);
    gateway.start().await;
    evidence.report.payloads
}
