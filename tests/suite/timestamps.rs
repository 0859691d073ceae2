//! Timestamps over seals: a real authority (openssl), and calls to it that fail, lost and kept.

use sealgate::{
    ledger::{
        disk::LocalDisk,
        timestamp::{Stamped, Stamping, TimestampError, Waits, stamp},
    },
    remote::{Remote, url},
};
use sealgate_schema::Hash;
use sealgate_tests::{
    relay::{Fate, Relay},
    tsa::{Tsa, is_stamped},
};
use std::{fs, path::Path, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Short, but long enough for openssl on a busy machine.
const WAITS: Waits =
    Waits { request: Duration::from_secs(20), retry_min: Duration::from_millis(5), retry_max: Duration::from_millis(20) };

fn seal(evidence: &Path, window: &str) {
    fs::create_dir_all(evidence.join(window)).unwrap();
    fs::write(evidence.join(window).join("ledger.note"), format!("the note of {window}")).unwrap();
}

fn stamping(folder: &Path, relay: &Relay, waits: Waits) -> Stamping {
    fs::create_dir_all(folder.join("staging")).unwrap();
    Stamping {
        remote: Remote::new().unwrap(),
        url: url(&relay.url()).unwrap(),
        disk: Arc::new(LocalDisk),
        evidence: folder.join("evidence"),
        staging: folder.join("staging"),
        waits,
    }
}

/// Works off `windows` in a task of its own; returns what it tells of each.
async fn stamp_all(stamping: Stamping, windows: &[&str]) -> Vec<Stamped> {
    let (to_stamp, sealed) = mpsc::channel(8);
    let (tell, mut told) = mpsc::channel(8);
    let (failing, _) = watch::channel(None);
    let stopping = CancellationToken::new();
    // The first as one that the last start left over.
    let pending = vec![windows[0].to_owned()];
    let working = tokio::spawn(stamping.run(pending, sealed, tell, failing, stopping.clone()));
    for window in &windows[1..] {
        to_stamp.send((*window).to_owned()).await.unwrap();
    }
    let mut stamped = Vec::new();
    for _ in windows {
        stamped.push(told.recv().await.unwrap());
    }
    stopping.cancel();
    working.await.unwrap();
    stamped
}

#[tokio::test]
async fn openssl_takes_the_timestamp_for_the_note_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let tsa = Tsa::start(folder.path()).await;
    let address = url(&format!("http://{}/", tsa.address)).unwrap();
    let answer = stamp(&Remote::new().unwrap(), &address, b"a note", WAITS.request).await.unwrap();
    let (tsr, note, other) = (folder.path().join("a.tsr"), folder.path().join("a.note"), folder.path().join("other.note"));
    fs::write(&tsr, answer).unwrap();
    fs::write(&note, "a note").unwrap();
    fs::write(&other, "a nOte").unwrap();
    assert_eq!(is_stamped(&tsr, &note, &tsa.ca), Ok(()));
    assert!(is_stamped(&tsr, &other, &tsa.ca).unwrap_err().contains("FAILED"));
}

/// Failed and lost, failed but kept, an answer to another request, no timestamp at all, an error page: the next try makes
/// it good, and one timestamp that openssl takes is on disk.
#[tokio::test]
async fn a_call_that_fails_in_any_form_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let tsa = Tsa::start(folder.path()).await;
    let address = url(&format!("http://{}/", tsa.address)).unwrap();
    let another = stamp(&Remote::new().unwrap(), &address, b"the note of W", WAITS.request).await.unwrap();
    let of_other_bytes = stamp(&Remote::new().unwrap(), &address, b"x", WAITS.request).await.unwrap();
    let refused = vec![0x30, 5, 0x30, 3, 2, 1, 2];
    let (ok, down) = (http::StatusCode::OK, http::StatusCode::SERVICE_UNAVAILABLE);
    for fate in [
        Fate::Lost,
        Fate::Kept,
        Fate::Answered(ok, another),
        Fate::Answered(ok, of_other_bytes),
        Fate::Answered(ok, refused),
        Fate::Answered(ok, b"<html>".to_vec()),
        Fate::Answered(ok, vec![0x30; 100_000]),
        Fate::Answered(down, Vec::new()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let evidence = folder.path().join("evidence");
        seal(&evidence, "W");
        seal(&evidence, "V");
        let relay = Relay::start(tsa.address).await;
        relay.plan([fate.clone(), fate.clone()], Fate::Passed);
        let stamped = stamp_all(stamping(folder.path(), &relay, WAITS), &["W", "V"]).await;
        assert_eq!(relay.requests(), 4, "{fate:?}");
        for (stamped, window) in stamped.iter().zip(["W", "V"]) {
            let tsr = evidence.join(window).join("ledger.tsr");
            let expected = Stamped { window: window.into(), sha256: Hash::of(&[&fs::read(&tsr).unwrap()]) };
            assert_eq!(stamped, &expected);
            assert_eq!(is_stamped(&tsr, &evidence.join(window).join("ledger.note"), &tsa.ca), Ok(()));
        }
    }
}

#[tokio::test]
async fn an_authority_that_says_nothing_is_given_up_and_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let tsa = Tsa::start(folder.path()).await;
    let relay = Relay::start(tsa.address).await;
    relay.plan([], Fate::Silent);
    let address = url(&relay.url()).unwrap();
    let error = stamp(&Remote::new().unwrap(), &address, b"a note", Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, TimestampError::Unreached(_)) && error.to_string().contains("no answer within 50ms"), "{error}");
    relay.plan([], Fate::Passed);
    assert!(stamp(&Remote::new().unwrap(), &address, b"a note", WAITS.request).await.is_ok());
}

/// A crash between the file and the log's entry: the file that is there is told, and the authority is not asked again. One
/// that is over other bytes is replaced.
#[tokio::test]
async fn a_timestamp_that_is_there_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let tsa = Tsa::start(folder.path()).await;
    let relay = Relay::start(tsa.address).await;
    let evidence = folder.path().join("evidence");
    ["W", "V"].iter().for_each(|window| seal(&evidence, window));
    let first = stamp_all(stamping(folder.path(), &relay, WAITS), &["W", "V"]).await;
    assert_eq!(stamp_all(stamping(folder.path(), &relay, WAITS), &["W", "V"]).await, first);
    assert_eq!(relay.requests(), 2);
    fs::copy(evidence.join("V/ledger.tsr"), evidence.join("W/ledger.tsr")).unwrap();
    assert_ne!(stamp_all(stamping(folder.path(), &relay, WAITS), &["W"]).await, first[..1]);
    assert_eq!(relay.requests(), 3);
    assert_eq!(is_stamped(&evidence.join("W/ledger.tsr"), &evidence.join("W/ledger.note"), &tsa.ca), Ok(()));
}

#[tokio::test]
async fn a_window_that_cant_be_stamped_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let tsa = Tsa::start(folder.path()).await;
    let relay = Relay::start(tsa.address).await;
    let evidence = folder.path().join("evidence");
    ["V", "U"].iter().for_each(|window| seal(&evidence, window));
    let (to_stamp, sealed) = mpsc::channel(8);
    let (tell, mut told) = mpsc::channel(8);
    let (failing, mut failed) = watch::channel(None);
    let stopping = CancellationToken::new();
    let stamping = stamping(folder.path(), &relay, WAITS);
    let pending = vec!["without-a-note".to_owned()];
    let working = tokio::spawn(stamping.run(pending, sealed, tell, failing, stopping.clone()));
    failed.wait_for(|why| why.as_ref().is_some_and(|why| why.contains("window without-a-note"))).await.unwrap();
    for window in ["V", "U"] {
        to_stamp.send(window.to_owned()).await.unwrap();
        assert_eq!(told.recv().await.unwrap().window, window);
    }
    assert!(failed.borrow().is_some(), "it is still said");
    stopping.cancel();
    working.await.unwrap();
}
