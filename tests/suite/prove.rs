//! A record is proved to somebody who gets one file and a public key, and who learns nothing that was not shown.

use crate::cli::{Gateway, command};
use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate_policies::session::Status;
use sealgate_schema::{note, payload::Salts, record::Kind, witness::Cosigner};
use sealgate_tests::{
    check::{Evidence, window},
    client::{Client, Speak, caller_identity},
    gateway::TestGateway,
    programs::{python, root, sealgate},
    upstream::{Offer, Upstream, sts},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HOST: &str = "sts.us-east-1.amazonaws.com";

/// A home with a sealed window of three calls and a refusal, whose gateway is stopped.
async fn sealed() -> (TestGateway, Evidence) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    for call in 0..3 {
        assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
        if call == 1 {
            gateway.running().gateway.ledger.cut().await.unwrap();
        }
    }
    gateway.running().gateway.sessions.end_session(&session.id, Status::Revoked, "test", "no more").await.unwrap();
    assert_eq!(client.call(caller_identity(HOST)).await.0, 403);
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    (gateway, evidence)
}

fn key(home: &Path) -> PathBuf {
    home.join("keys/gateway.vkey")
}

/// Makes a bundle of what is in the home, as one who has the evidence and no gateway.
fn prove(home: &Path, seq: u64, more: &[&str]) -> Output {
    let (evidence, key, seq) = (home.join("evidence"), key(home), seq.to_string());
    let mut command = command(home, &["prove", "--window", "CHG-1", "--seq", &seq]);
    command.arg("--evidence").arg(evidence).arg("--key").arg(key).args(more).output().unwrap()
}

fn bundle(home: &Path, seq: u64, more: &[&str]) -> Vec<u8> {
    let output = prove(home, seq, more);
    assert!(output.status.success(), "{seq}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Both verifiers look at a bundle that lies in a folder of its own: their exit code, and what the Rust one says.
fn checked(bytes: &[u8], key: &Path) -> (i32, Value) {
    checked_with(bytes, key, None)
}

/// The same under a policy.
fn checked_with(bytes: &[u8], key: &Path, policy: Option<&str>) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let (file, named) = (folder.path().join("x.proof"), folder.path().join("policy"));
    fs::write(&file, bytes).unwrap();
    let mut python_command = Command::new(python("python3"));
    python_command.arg(root().join("schema/verify.py"));
    let mut rust_command = Command::new(sealgate());
    rust_command.arg("verify");
    let [rust, python] = [rust_command, python_command].map(|mut command| {
        command.arg(&file).arg("--key").arg(key).arg("--json");
        if let Some(policy) = policy {
            fs::write(&named, policy).unwrap();
            command.arg("--policy").arg(&named);
        }
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), said)
    });
    assert_eq!((rust.0, &rust.1["levels"]), (python.0, &python.1["levels"]), "{} {}", rust.1, python.1);
    rust
}

#[tokio::test]
async fn a_record_of_every_kind_is_proved_by_one_file_and_the_public_key() {
    let (gateway, evidence) = sealed().await;
    let home = gateway.home();
    let kinds = evidence.kinds();
    for kind in ["window_open", "session_open", "intent", "outcome", "session_revoke", "refusal", "window_close"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    for record in &evidence.records {
        let (code, said) = checked(&bundle(&home, record.seq, &[]), &key(&home));
        assert_eq!(code, 0, "{said}");
        let (shown, kind) = (&said["shown"], record.fields.kind.as_str());
        assert_eq!((shown["record"]["seq"].as_u64(), shown["record"]["kind"].as_str()), (Some(record.seq), Some(kind)));
        assert_eq!((shown["state"].as_str(), &shown["payload"]), (Some("sealed"), &Value::Array(Vec::new())));
        let with_session = matches!(record.fields.kind, Kind::Intent | Kind::Outcome | Kind::SessionRevoke | Kind::Refusal);
        assert_eq!(shown["session_open"]["kind"] == "session_open", with_session, "{kind}: {shown}");
        assert_eq!(shown["intent"]["kind"] == "intent", record.fields.kind == Kind::Outcome, "{kind}");
    }
    let output = prove(&home, 99, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the window is sealed"), "{output:?}");
}

#[tokio::test]
async fn what_is_not_revealed_is_not_in_the_bundle() {
    let (gateway, evidence) = sealed().await;
    let home = gateway.home();
    let intent = evidence.of(&Kind::Intent)[0].seq;
    let payload = &evidence.payloads[&intent];
    let Salts::Row(row) = &payload.salts else { panic!("nothing was erased") };
    let named = ["headers", "body", "body_bytes", "body_sha256", "body_capture", "parameters"];
    for reveal in [&["none"][..], &["body_bytes"], &["parameters", "headers"], &["all"]] {
        let bytes = bundle(&home, intent, &["--reveal", &reveal.join(",")]);
        let (code, said) = checked(&bytes, &key(&home));
        assert_eq!(code, 0, "{said}");
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        for secret in [&row[..], STANDARD.encode(row).as_bytes(), hex(row).as_bytes()] {
            assert!(!has(secret), "the row's salt");
        }
        for name in named {
            let seen = reveal.contains(&name) || reveal == ["all"];
            let salt = payload.field_salt(name).unwrap().0;
            assert_eq!(has(STANDARD.encode(salt).as_bytes()), seen, "{name}");
            assert!(!has(hex(&salt).as_bytes()) && !has(&salt), "{name}");
            let fields = said["shown"]["payload"].as_array().unwrap();
            let field = fields.iter().find(|field| field["field"] == name);
            assert_eq!(field.is_some_and(|field| field["shown"] == "value"), seen, "{name}");
        }
        // The body as it stands, and as base64 at any place in a longer string.
        let body = payload.body.as_deref().unwrap();
        let found = has(body) || (0..3).any(|shift| has(inner_base64(body, shift).as_bytes()));
        assert_eq!(found, reveal == ["all"]);
    }
    for (seq, reveal, says) in [(intent, "query,bodies", "\"bodies\" is no field"), (0, "body", "record 0 has no payload")] {
        let output = prove(&home, seq, &["--reveal", reveal]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{output:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a long base64 text has in it where `value` stands `shift` bytes past a group's start.
fn inner_base64(value: &[u8], shift: usize) -> String {
    let padded = [&vec![0; shift][..], value].concat();
    let text = STANDARD.encode(&padded[..padded.len() / 3 * 3]);
    text[4..].to_owned()
}

#[tokio::test]
async fn a_bundle_that_was_changed_or_is_of_another_gateway_is_refused() {
    let (gateway, evidence) = sealed().await;
    let home = gateway.home();
    let outcome = evidence.of(&Kind::Outcome)[1].seq;
    let bytes = bundle(&home, outcome, &["--reveal", "body"]);
    for place in (0..bytes.len()).step_by(bytes.len() / 24) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let (code, said) = checked(&changed, &key(&home));
        assert_eq!((code, &said["shown"]), (1, &Value::Null), "byte {place}");
    }
    let (other, _) = sealed().await;
    let (code, said) = checked(&bytes, &key(&other.home()));
    assert_eq!((code, said["levels"]["L3"].as_str()), (1, Some("FAIL")));
}

#[tokio::test]
async fn evidence_that_does_not_hold_is_not_proved_from() {
    let (gateway, evidence) = sealed().await;
    let home = gateway.home();
    let file = home.join("evidence").join(&evidence.report.folder).join("records-000000000000.parquet");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = prove(&home, 2, &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not hold"), "{output:?}");
}

#[tokio::test]
async fn a_cosigned_checkpoint_goes_with_the_record_and_a_policy_checks_it() {
    let (gateway, evidence) = sealed().await;
    let home = gateway.home();
    let log = home.join("evidence").join(evidence.report.ledger.as_ref().unwrap().gateway().as_str()).join("_log");
    let checkpoint = fs::read_to_string(log.join("checkpoint")).unwrap();
    let [cosigner, stranger] = [4, 5].map(|seed| Cosigner::from_seed("witness.example/w", &[seed; 32]).unwrap());
    let policy = |cosigner: &Cosigner| format!("witness w {}\nquorum w\n", cosigner.public());
    let (code, said) = checked_with(&bundle(&home, 2, &[]), &key(&home), Some(&policy(&cosigner)));
    assert_eq!((code, said["levels"]["L4"].as_str(), &said["shown"]), (1, Some("FAIL"), &Value::Null), "nobody cosigned it");
    let line = cosigner.cosign(note::text(&checkpoint).unwrap(), 1_790_000_000);
    fs::write(log.join("cosigned"), checkpoint + &line).unwrap();
    let bytes = bundle(&home, 2, &[]);
    let (code, said) = checked_with(&bytes, &key(&home), Some(&policy(&cosigner)));
    assert_eq!((code, said["levels"]["L4"].as_str()), (0, Some("PASS")), "{said}");
    let (code, said) = checked_with(&bytes, &key(&home), None);
    assert_eq!((code, said["levels"]["L4"].as_str()), (0, Some("NOT CHECKED")), "{said}");
    let (code, said) = checked_with(&bytes, &key(&home), Some(&policy(&stranger)));
    assert_eq!((code, said["levels"]["L4"].as_str()), (1, Some("FAIL")), "{said}");
}

#[test]
fn a_record_is_proved_to_one_who_has_the_key_of_before_a_rotation_or_the_one_after() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("home"), "");
    gateway.session("CHG-1");
    let (key, older) = (key(&gateway.home), folder.path().join("older.vkey"));
    fs::copy(&key, &older).unwrap();
    gateway.ok(&["keys", "rotate", "--reason", "yearly"]);
    assert_ne!(fs::read(&key).unwrap(), fs::read(&older).unwrap());
    let bytes = gateway.ok(&["prove", "--window", "CHG-1", "--seq", "1"]);
    for key in [&key, &older] {
        let (code, said) = checked(bytes.as_bytes(), key);
        assert_eq!(code, 0, "{}: {said}", key.display());
    }
}

#[test]
fn an_open_window_of_a_running_gateway_is_proved_and_so_is_its_pin() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&folder.path().join("home"), "");
    let session = gateway.session("CHG-1");
    let (key, file) = (key(&gateway.home), folder.path().join("x.proof"));
    let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
    let log = fs::read_dir(gateway.home.join("evidence")).unwrap().next().unwrap().unwrap().path().join("_log/checkpoint");
    let kept = folder.path().join("kept");
    fs::copy(log, &kept).unwrap();
    let kept = kept.to_str().unwrap();
    // Its records are in the journal: the gateway makes parts of them first.
    gateway.ok(&["prove", "--window", "CHG-1", "--seq", "1", "--out", file]);
    let said = gateway.ok(&["verify", file, "--key", key]);
    for part in ["session_open", &session, "alice", "not sealed yet", "L0 and L2 hold for record 1", "L3 is not checked"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let sealed = command(&gateway.home, &["verify", file, "--key", key, "--sealed"]).output().unwrap();
    assert_eq!(sealed.status.code(), Some(2), "{sealed:?}");
    // Another window is another entry in the log.
    gateway.session("CHG-2");
    gateway.ok(&["prove", "--window", "CHG-1", "--seq", "1", "--out", file]);
    let unled = command(&gateway.home, &["verify", file, "--key", key, "--pin", kept]).output().unwrap();
    assert_eq!(unled.status.code(), Some(2), "{unled:?}");
    gateway.ok(&["prove", "--window", "CHG-1", "--seq", "1", "--out", file, "--pin", kept]);
    let said = gateway.ok(&["verify", file, "--key", key, "--pin", kept]);
    assert!(said.contains("L3 holds from the pinned checkpoint on"), "{said}");
    let beyond = command(&gateway.home, &["prove", "--window", "CHG-1", "--seq", "9"]).output().unwrap();
    assert_eq!(beyond.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("wait for the next part"), "{beyond:?}");
}
