//! A gateway whose windows log is witnessed and whose seals are timestamped, by real ones, and what an auditor makes of it.

use sealgate::{
    config::{TimestampConfig, WitnessConfig},
    home::Home,
};
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::check,
    client::{Client, Speak, caller_identity},
    gateway::TestGateway,
    programs::{python, root, sealgate},
    relay::{Fate, Relay},
    tsa::Tsa,
    upstream::{Offer, Upstream, sts},
    witness::WitnessProcess,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const HOST: &str = "sts.us-east-1.amazonaws.com";
/// How long something may take that happens by itself, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A gateway that is not started, its witness, and a relay between them.
async fn witnessed() -> (TestGateway, WitnessProcess, Relay, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    let keys = Home::open(&gateway.home()).unwrap().keyring().keys().unwrap();
    let key = keys.signer.verifier().to_string();
    let witness = WitnessProcess::start_for(&gateway.folder.path().join("witness"), "w1", std::slice::from_ref(&key));
    let relay = Relay::start(witness.address).await;
    let policy = gateway.folder.path().join("witness.policy");
    let line = witness.policy_line("w1", relay.address);
    std::fs::write(&policy, format!("log {key}\n{line}group all all w1\nquorum all\n")).unwrap();
    gateway.config.witness = Some(WitnessConfig { policy: policy.clone() });
    (gateway, witness, relay, policy)
}

async fn call(gateway: &TestGateway, session: &sealgate_policies::session::Session) {
    let mut client = Client::open(gateway, session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
}

/// Both verifiers with these arguments: their exit codes, and what they said.
fn verify(gateway: &TestGateway, arguments: &[&str]) -> [(Option<i32>, String); 2] {
    let (evidence, key) = (gateway.home().join("evidence"), gateway.home().join("keys/gateway.vkey"));
    let mut rust = Command::new(sealgate());
    rust.arg("verify");
    let mut python = Command::new(python("python3"));
    python.arg(root().join("schema/verify.py"));
    [rust, python].map(|mut command| {
        let output = command.arg(&evidence).arg("--key").arg(&key).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    assert!(Command::new("cp").arg("-a").arg(format!("{}/.", from.display())).arg(to).status().unwrap().success());
    let _ = std::fs::remove_file(to.join("admin.sock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_witnessed_to_its_last_entry_and_a_disk_that_was_rolled_back_does_not_start() {
    let (mut gateway, witness, _relay, policy) = witnessed().await;
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    call(&gateway, &session).await;
    gateway.stop().await;
    let before = tempfile::tempdir().unwrap();
    copy(&gateway.home(), before.path());
    let policy = policy.to_str().unwrap();
    for (code, said) in verify(&gateway, &["--policy", policy]) {
        assert_eq!(code, Some(0), "{said}");
        let words: Vec<&str> = said.split_whitespace().collect();
        assert!(words.windows(5).any(|line| line == ["L4", "witnesses", "and", "timestamps", "PASS"]), "{said}");
    }
    gateway.start().await;
    call(&gateway, &session).await;
    gateway.stop().await;
    for (code, said) in verify(&gateway, &["--policy", policy]) {
        assert_eq!(code, Some(0), "{said}");
    }
    // All of the home as it was: it is consistent in itself, and its keys are the right ones.
    std::fs::remove_dir_all(gateway.home()).unwrap();
    copy(before.path(), &gateway.home());
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("witness w1") && error.contains("restore the newest copy"), "{error}");
    // Without all that it knows, it is a new one under the same key, which the witness knows better.
    std::fs::remove_file(gateway.home().join("sealgate.db")).unwrap();
    std::fs::remove_dir_all(gateway.home().join("evidence")).unwrap();
    std::fs::remove_dir_all(gateway.home().join("journal")).unwrap();
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("witness w1"), "{error}");
    drop(witness);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_that_is_missing_or_forged_is_found() {
    let (mut gateway, _witness, _relay, policy) = witnessed().await;
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    call(&gateway, &session).await;
    let log = gateway.running().gateway.log.folder().to_owned();
    gateway.stop().await;
    let policy = policy.to_str().unwrap();
    let cosigned = log.join("cosigned");
    let good = std::fs::read_to_string(&cosigned).unwrap();
    let line = good.lines().last().unwrap();
    let mut flipped = line.to_owned();
    let last = flipped.len() - 8;
    flipped.replace_range(last..=last, if &flipped[last..=last] == "A" { "B" } else { "A" });
    let alone = good.replace(&format!("{line}\n"), "");
    for bad in [good.replace(line, &flipped), alone, format!("{good}\u{2014} stranger AAAAAAAAAAAAAAAA\n")] {
        std::fs::write(&cosigned, bad).unwrap();
        for (code, said) in verify(&gateway, &["--policy", policy]) {
            assert_eq!(code, Some(1), "{said}");
        }
    }
    std::fs::remove_file(&cosigned).unwrap();
    for (code, said) in verify(&gateway, &["--policy", policy]) {
        assert_eq!(code, Some(1), "{said}");
    }
    for (code, said) in verify(&gateway, &[]) {
        assert_eq!(code, Some(0), "nobody asked for witnesses: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_that_are_away_are_a_record_and_hold_up_no_call() {
    let (mut gateway, _witness, relay, _policy) = witnessed().await;
    relay.plan([], Fate::Lost);
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    call(&gateway, &session).await;
    let lag = || gateway.running().gateway.anchoring.anchor().map_or(0, |anchor| anchor.lag_seconds());
    let behind = async {
        while lag() <= 10 {
            call(&gateway, &session).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, behind).await.expect("the lag is seen");
    relay.plan([], Fate::Passed);
    let cosigned = || gateway.running().gateway.anchoring.anchor().is_some_and(|anchor| anchor.cosigned_size > 0);
    let cured = async {
        while !cosigned() {
            call(&gateway, &session).await;
        }
    };
    tokio::time::timeout(PATIENCE, cured).await.expect("the lag is cured");
    gateway.stop().await;
    let day = check(&gateway.home()).into_iter().find(|(window, _)| window.starts_with("day-")).unwrap().1;
    let lagging: Vec<_> = day.of(&Kind::AnchorLag).iter().map(|record| record.fields.detail.clone().unwrap()).collect();
    assert!(lagging[0].contains("\"lagging\":true"), "{lagging:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_gets_its_timestamp_and_an_auditor_checks_it_with_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let tsa = Tsa::start(folder.path()).await;
    let relay = Relay::start(tsa.address).await;
    // The first is lost, the second is stamped and its answer lost.
    relay.plan([Fate::Lost, Fate::Kept], Fate::Passed);
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.timestamp = Some(TimestampConfig { url: relay.url() });
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    call(&gateway, &session).await;
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    let log = gateway.running().gateway.log.clone();
    let mut checkpoint = log.checkpoint();
    let stamped = async {
        loop {
            let asked = log.clone();
            let window = tokio::task::spawn_blocking(move || asked.window("CHG-1")).await.unwrap().unwrap().unwrap();
            if window.timestamp.is_some() {
                return;
            }
            checkpoint.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, stamped).await.expect("a timestamp");
    gateway.stop().await;
    let ca = tsa.ca.to_str().unwrap().to_owned();
    for (code, said) in verify(&gateway, &["--tsa-ca", &ca]) {
        assert_eq!(code, Some(0), "{said}");
    }
    let ledger = sealgate_tests::check::ledgers(&gateway.home()).remove("CHG-1").unwrap();
    let tsr = ledger.join("ledger.tsr");
    let good = std::fs::read(&tsr).unwrap();
    let other = tempfile::tempdir().unwrap();
    let stranger = Tsa::start(other.path()).await;
    for (code, said) in verify(&gateway, &["--tsa-ca", stranger.ca.to_str().unwrap()]) {
        assert_eq!(code, Some(1), "another authority's CA: {said}");
    }
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&tsr, flipped).unwrap();
    for (code, said) in verify(&gateway, &[]) {
        assert_eq!(code, Some(1), "its bytes are in the log, whoever's CA is trusted: {said}");
    }
}
