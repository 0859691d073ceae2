//! Ends by principal and by window, and the instant at which time is over.

use super::{Office, asking, done, refused};
use sealgate::{clock::Clock as _, sessions};
use sealgate_policies::session::Status;
use sealgate_tests::{
    gateway::{TestGateway, grant},
    upstream::{Offer, Upstream, sts},
};
use std::time::Duration;

#[test]
fn a_revoked_principal_loses_every_session_and_gets_none_until_it_is_allowed() {
    let office = Office::open("");
    office.gateway.ok(&["window", "open", "CHG-2", "--title", "a test", "--for", "4h"]);
    let pending = office.request(&[]);
    let alices = [office.gateway.ok(&asking("open", &[])), office.gateway.ok(&asking("open", &["--window", "CHG-2"]))];
    let agents = office.gateway.ok(&asking("open", &["--principal", "a1", "--kind", "agent", "--acting-for", "alice"]));
    let doras = office.gateway.ok(&asking("open", &["--principal", "dora"]));
    let said = office.gateway.ok(&["session", "revoke", "--principal", "alice", "--reason", "left the company"]);
    assert!(said.contains("3 sessions ended") && said.contains("session allow"), "{said}");
    let status = |id: &str| office.sessions().iter().find(|session| session["id"] == id.trim()).unwrap()["status"].clone();
    assert_eq!([&alices[0], &alices[1], &agents, &doras].map(|id| status(id)), ["revoked", "revoked", "revoked", "open"]);

    for verb in ["open", "request", "break-glass"] {
        office.refused(&asking(verb, &[]), &["alice is revoked", "left the company", "session allow --principal alice"]);
    }
    office.refused(&asking("open", &["--principal", "a1", "--kind", "agent", "--acting-for", "alice"]), &["alice is revoked"]);
    refused(&office.decide("approve", &pending, "bob"), &["alice is revoked"]);
    assert!(office.gateway.ok(&["session", "revoked"]).contains("left the company"));
    office.gateway.ok(&["session", "allow", "--principal", "alice", "--reason", "is back"]);
    office.refused(&["session", "allow", "--principal", "alice", "--reason", "again"], &["is not revoked"]);
    assert_eq!(status(&alices[0]), "revoked", "an end is final");
    done(&office.decide("approve", &pending, "bob"));

    let evidence = office.close();
    let ends: usize = ["CHG-1", "CHG-2"].iter().map(|window| evidence.details(window, "session_revoke").len()).sum();
    assert_eq!(ends, 3);
    let revoked = evidence.acts("day", "principal_revoke");
    assert_eq!((&revoked[0]["principal"], &revoked[0]["ended"]), (&"alice".into(), &3.into()));
    assert_eq!(evidence.acts("day", "principal_allow")[0]["why"], "is back");
}

#[test]
fn a_revoked_window_stays_open_and_its_sessions_do_not() {
    let office = Office::open("");
    office.gateway.ok(&["window", "open", "CHG-2", "--title", "a test", "--for", "4h"]);
    let (here, there) = (office.gateway.ok(&asking("open", &[])), office.gateway.ok(&asking("open", &["--window", "CHG-2"])));
    assert!(office.gateway.ok(&["session", "revoke", "--window", "CHG-1", "--reason", "stop"]).contains("1 session ended"));
    office.refused(&["session", "env", here.trim()], &["is revoked"]);
    office.gateway.ok(&["session", "env", there.trim()]);
    office.gateway.ok(&asking("open", &[]));
    office.refused(&["session", "revoke", "--window", "CHG-9", "--reason", "stop"], &["there is no window"]);
    assert_eq!(office.run(&["session", "revoke", "--reason", "nothing named"]).status.code(), Some(3));
}

#[tokio::test]
async fn who_watches_is_woken_at_the_instant_at_which_time_is_over_and_by_every_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, long) = TestGateway::with_session(folder, &upstream).await;
    let (all, mut late) = (gateway.running().gateway.sessions.clone(), Vec::new());
    for milliseconds in [90, 230, 370, 410] {
        let short = sessions::Grant { duration: format!("{milliseconds}ms").parse().unwrap(), ..grant("CHG-1") };
        let session = all.open_session(short, "test").await.unwrap();
        let mut endings = all.endings();
        while session.status(gateway.clock.now()) == Status::Open {
            tokio::time::timeout(Duration::from_secs(60), endings.changed()).await.expect("it is told").unwrap();
        }
        late.push(gateway.clock.now() - session.expires());
    }
    // Half a second is what housekeeping alone would take.
    assert!(late.iter().all(|micros| (0..250_000).contains(micros)), "microseconds late: {late:?}");
    println!("told of an expiry after {late:?} µs");

    let endings = all.endings();
    all.end_session(&long.id, Status::Revoked, "test", "a test").await.unwrap();
    assert!(endings.has_changed().unwrap());
    gateway.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_what_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let left = session.expires() - gateway.clock.now();
    gateway.clock.step(left - 60_000_000);
    assert_eq!(session.status(gateway.clock.now()), Status::Open);
    gateway.clock.step(60_000_000);
    assert_eq!(session.status(gateway.clock.now()), Status::Expired, "also where nothing has looked yet");
    let error = gateway.running().gateway.sessions.request_extension(
        &session.id,
        "1h".parse().unwrap(),
        "too late",
        sessions::requests::Asker::by_word(Some("alice"), &sessions::actor::Actor::known_as("test")),
    );
    let error = error.await.unwrap_err().to_string();
    assert!(error.contains("is expired"), "{error}");
    gateway.stop().await;
}
