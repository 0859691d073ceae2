//! The windows log of a running gateway: heads within a second, seals, new keys after a start, handovers, and what a start
//! makes of a disk that was rolled back.

use sealgate_schema::{
    log::{Entry, Event},
    verify::{Asked, Level, Verdict, verify_evidence},
};
use sealgate_tests::{
    check::{holds, key, window},
    client::{Client, Speak, caller_identity},
    faults::{Fault, Form, Operation},
    gateway::TestGateway,
    upstream::{Offer, Upstream, sts},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const HOST: &str = "sts.us-east-1.amazonaws.com";

fn log_folder(gateway: &TestGateway) -> PathBuf {
    gateway.home().join("evidence").join(gateway.running().gateway.name.as_str()).join("_log")
}

/// The entries of a small log, from its one bundle.
fn entries(folder: &Path) -> Vec<Event> {
    let bundle = std::fs::read_dir(folder.join("tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    let width = bundle.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let bytes = std::fs::read(bundle).unwrap();
    let entries = sealgate_schema::tiles::read_entries(&bytes, width).unwrap();
    entries.into_iter().map(|entry| Entry::decode(entry).unwrap().event).collect()
}

async fn call(gateway: &TestGateway, session: &sealgate_policies::session::Session) {
    let mut client = Client::open(gateway, session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
}

/// Copies a home as it stands, without its socket.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    assert!(Command::new("cp").arg("-a").arg(format!("{}/.", from.display())).arg(to).status().unwrap().success());
    let _ = std::fs::remove_file(to.join("admin.sock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_how_far_a_ledger_has_grown_also_when_it_is_idle_again() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    // The checkpoint is awaited, not the clock: with each new one the log is asked until it knows of all four records. It answers
    // when what it knows is durable.
    let log = gateway.running().gateway.log.clone();
    let mut checkpoint = log.checkpoint();
    loop {
        let asked = log.clone();
        let window = tokio::task::spawn_blocking(move || asked.window("CHG-1")).await.unwrap().unwrap().unwrap();
        if window.heads.last().map(|head| head.records) == Some(4) {
            return;
        }
        tokio::time::timeout(Duration::from_secs(60), checkpoint.changed()).await.expect("a head").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_signs_with_a_new_key_and_a_seal_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    gateway.stop().await;
    gateway.start().await;
    call(&gateway, &session).await;
    let log = log_folder(&gateway);
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    window(&gateway.home(), "CHG-1");
    let events = entries(&log);
    let keys: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Open { window, key, records, .. } if window == "CHG-1" => Some((key.clone(), *records)),
            _ => None,
        })
        .collect();
    assert_eq!(keys.iter().map(|(_, records)| *records).collect::<Vec<_>>(), [0, 4]);
    assert_ne!(keys[0].0, keys[1].0);
    assert!(events.iter().any(|event| matches!(event, Event::Seal { window, note: Some(_), .. } if window == "CHG-1")));
    let home = std::process::Command::new("grep").args(["-rlE", "[0-9a-f]{64}"]).arg(gateway.home().join("keys")).output().unwrap();
    let files = String::from_utf8(home.stdout).unwrap();
    assert!(
        files.lines().all(|file| ["gateway.key", "session.key", "broker.key"].iter().any(|key| file.ends_with(key))),
        "no window key is on disk: {files}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_key_hands_over_and_both_public_keys_verify() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    let old = key(&gateway.home());
    let pin = std::fs::read_to_string(log_folder(&gateway).join("checkpoint")).unwrap();
    let sealgate = |arguments: &[&str]| {
        let output =
            Command::new(sealgate_tests::programs::sealgate()).arg("--home").arg(gateway.home()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, said) = sealgate(&["keys", "rotate", "--reason", "yearly"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = sealgate(&["keys", "rotate", "--reason", "wrong", "--revoke-from", "999"]);
    assert!(code == Some(1) && said.contains("before it"), "{said}");
    call(&gateway, &session).await;
    gateway.stop().await;
    gateway.start().await;
    call(&gateway, &session).await;
    gateway.stop().await;
    let new = key(&gateway.home());
    assert_ne!(old, new);
    let evidence = gateway.home().join("evidence");
    for trusted in [old, new] {
        holds(&evidence, trusted.clone());
        let asked = Asked { keys: vec![trusted], pins: vec![pin.clone()], ..Asked::default() };
        let report = verify_evidence(&sealgate::evidence::Folder::new(&evidence), &asked);
        assert!(!report.tampered() && report.ledgers.iter().all(|ledger| ledger.verdict(Level::L3) == Verdict::Pass));
    }
}

/// The home as it was, with all its keys, in place of the home as it is: consistent in itself, and short of what the log's
/// copy elsewhere knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_rolled_back_as_a_whole_does_not_have_the_pin() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    gateway.stop().await;
    let before = tempfile::tempdir().unwrap();
    copy(&gateway.home().join("evidence"), before.path());
    gateway.start().await;
    call(&gateway, &session).await;
    let log = log_folder(&gateway);
    gateway.stop().await;
    let pin = std::fs::read_to_string(log.join("checkpoint")).unwrap();
    let asked = |pins: &[String]| Asked { keys: vec![key(&gateway.home())], pins: pins.to_vec(), ..Asked::default() };
    let verify = |folder: &Path, pins: &[String]| verify_evidence(&sealgate::evidence::Folder::new(folder), &asked(pins));
    assert!(!verify(before.path(), &[]).tampered(), "nothing in it tells");
    assert!(verify(before.path(), std::slice::from_ref(&pin)).tampered());
    assert!(!verify(&gateway.home().join("evidence"), &[pin]).tampered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_journal_or_evidence_that_was_rolled_back_is_refused_and_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    gateway.stop().await;
    let before = tempfile::tempdir().unwrap();
    copy(&gateway.home(), before.path());
    gateway.start().await;
    call(&gateway, &session).await;
    let log = log_folder(&gateway);
    gateway.stop().await;
    for folder in ["journal", "evidence", "journal+evidence"] {
        let copied = tempfile::tempdir().unwrap();
        let home = copied.path().join("home");
        copy(&gateway.home(), &home);
        let gateway_folder = log.parent().unwrap().file_name().unwrap();
        for part in folder.split('+') {
            // The log stays as it is: it is in somebody else's hands.
            let part = if part == "evidence" { Path::new("evidence").join(gateway_folder).join("CHG-1") } else { part.into() };
            std::fs::remove_dir_all(home.join(&part)).unwrap();
            copy(&before.path().join(&part), &home.join(&part));
        }
        let checkpoint = Path::new("evidence").join(gateway_folder).join("_log/checkpoint");
        let signed = std::fs::read(home.join(&checkpoint)).unwrap();
        let mut again = TestGateway::new(copied, &upstream);
        let error = again.try_start().await.unwrap_err().to_string();
        assert!(error.contains("rolled back") || error.contains("does not end where the journal does"), "{folder}: {error}");
        assert_eq!(std::fs::read(home.join(&checkpoint)).unwrap(), signed, "{folder}: nothing is signed over it");
    }
}

/// The windows log may know a window that no record was written into.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_fails_at_any_write_is_mended_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    for operation in [Operation::Append, Operation::Sync, Operation::Rename] {
        for after in (0..).step_by(2) {
            let mut gateway = TestGateway::new(tempfile::tempdir().unwrap(), &upstream);
            gateway.disk.fail(Fault { operation, after, form: Form::Lost, errno: 5 });
            let started = gateway.try_start().await.is_ok();
            if started {
                gateway.stop_anyhow().await;
            }
            gateway.disk.mend();
            gateway.start().await;
            gateway.stop().await;
            holds(&gateway.home().join("evidence"), key(&gateway.home()));
            if started {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_without_its_log_and_a_log_that_was_changed_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    call(&gateway, &session).await;
    let log = log_folder(&gateway);
    gateway.stop().await;
    let aside = gateway.home().join("aside");
    std::fs::rename(&log, &aside).unwrap();
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("evidence beside it"), "{error}");
    let (evidence, gone) = (gateway.home().join("evidence"), gateway.home().join("gone"));
    std::fs::rename(&evidence, &gone).unwrap();
    std::fs::create_dir(&evidence).unwrap();
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(
        error.contains("missing")
            && !evidence.join(std::fs::read_dir(&gone).unwrap().next().unwrap().unwrap().file_name()).join("_log").exists(),
        "a second log begun: {error}"
    );
    std::fs::remove_dir_all(&evidence).unwrap();
    std::fs::rename(&gone, &evidence).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    let bundle = std::fs::read_dir(log.join("tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&bundle).unwrap();
    let changed = String::from_utf8_lossy(&good).replacen("CHG-1", "CHG-2", 1).into_bytes();
    std::fs::write(&bundle, changed).unwrap();
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("does not hold"), "{error}");
    std::fs::write(&bundle, good).unwrap();
    gateway.start().await;
    gateway.stop().await;
    holds(&gateway.home().join("evidence"), key(&gateway.home()));
}
