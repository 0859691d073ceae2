//! The gateway's end of witnessing, against real witnesses: what is cosigned, what a lag looks like, what a call that failed
//! leaves, and that a disk that was rolled back is found.

use http::StatusCode;
use sealgate::ledger::{
    disk::Disk,
    witness::{Anchor, AnchorEvent, Setup, Waits, WitnessError, WitnessState, Witnesses, rounds::Ends},
};
use sealgate_schema::witness::{Cosigned, Cosigner, check_cosigned, policy::Policy};
use sealgate_tests::{
    faults::{Fault, FaultyDisk, Form, Operation},
    relay::{Fate, Relay},
    witness::{TestLog, WitnessProcess, add},
};
use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const EIO: i32 = 5;
/// Quick in trying again. A request may take as long as a busy machine needs; a lag is a matter of the tests that are about it.
const WAITS: Waits = Waits {
    request: Duration::from_secs(60),
    retry_min: Duration::from_millis(2),
    retry_max: Duration::from_millis(20),
    round: Duration::from_secs(60),
    lag: Duration::from_secs(3600),
    stop: Duration::from_secs(60),
};

/// A log, its witnesses, and the rounds over them.
struct Rig {
    log: TestLog,
    policy: Policy,
    disk: Arc<FaultyDisk>,
    staging: std::path::PathBuf,
    checkpoints: watch::Sender<Arc<str>>,
    anchor: watch::Receiver<Anchor>,
    events: mpsc::Receiver<AnchorEvent>,
    stopping: CancellationToken,
    running: JoinHandle<()>,
}

/// A witness process in a folder of its own, and a relay before it.
async fn witness(folder: &Path, name: &str, log: &TestLog) -> (WitnessProcess, Relay) {
    let process = WitnessProcess::start(&folder.join(name), &format!("witness.example/{name}"), &[log]);
    let relay = Relay::start(process.address).await;
    (process, relay)
}

fn policy(witnesses: &[(&str, &WitnessProcess, SocketAddr)], quorum: &str) -> Policy {
    let lines: String = witnesses.iter().map(|(name, process, at)| process.policy_line(name, *at)).collect();
    let names: Vec<&str> = witnesses.iter().map(|(name, _, _)| *name).collect();
    Policy::parse(format!("{lines}group all-of-them {quorum} {}\nquorum all-of-them\n", names.join(" ")).as_bytes()).unwrap()
}

fn setup(log: &TestLog, policy: &Policy, disk: Arc<dyn Disk>, waits: Waits) -> Setup {
    let staging = log.folder.with_extension("staging");
    fs::create_dir_all(&staging).unwrap();
    let log_key = log.key.verifier().clone();
    Setup { disk, log_folder: log.folder.clone(), staging, log_key, policy: policy.clone(), waits }
}

impl Rig {
    fn start(log: TestLog, policy: Policy, waits: Waits) -> Self {
        let disk = Arc::new(FaultyDisk::default());
        let setup = setup(&log, &policy, disk.clone(), waits);
        let (staging, witnesses) = (setup.staging.clone(), Witnesses::new(setup).unwrap());
        let (checkpoints, newest) = watch::channel(log.note(log.size()));
        let nothing = Anchor { cosigned_size: 0, cosigned_at: None, size: 0, since: None, error: None, witnesses: Vec::new() };
        let (anchor, anchored) = watch::channel(nothing);
        let (tell, events) = mpsc::channel(1);
        let stopping = CancellationToken::new();
        let ends = Ends { checkpoints: newest, anchor, events: tell, stopping: stopping.clone() };
        let running = tokio::spawn(async move { witnesses.run(ends).await.unwrap() });
        Self { log, policy, disk, staging, checkpoints, anchor: anchored, events, stopping, running }
    }

    fn grow(&mut self, entries: usize) {
        self.checkpoints.send_replace(self.log.grow(entries, "ours"));
    }

    /// Waits until a quorum has cosigned all of the log; returns what is on disk.
    async fn cosigned(&mut self) -> Cosigned {
        let size = self.log.size();
        self.anchor.wait_for(|anchor| anchor.cosigned_size == size && anchor.since.is_none()).await.unwrap();
        self.on_disk()
    }

    fn on_disk(&self) -> Cosigned {
        let note = fs::read(self.log.folder.join("cosigned")).unwrap();
        check_cosigned(&note, self.log.key.verifier(), &self.policy).unwrap()
    }

    async fn state(&mut self, witness: usize, state: WitnessState) -> String {
        let anchor =
            self.anchor.wait_for(|anchor| anchor.witnesses.get(witness).is_some_and(|view| view.state == state)).await.unwrap();
        anchor.witnesses[witness].error.clone().unwrap_or_default()
    }

    /// The next event that is meant. On a busy machine the first checkpoint may have lagged too.
    async fn event(&mut self, meant: impl Fn(&AnchorEvent) -> bool) -> AnchorEvent {
        loop {
            let event = self.events.recv().await.unwrap();
            if meant(&event) {
                return event;
            }
        }
    }

    async fn stop(self) -> TestLog {
        self.stopping.cancel();
        self.running.await.unwrap();
        self.log
    }
}

fn names(cosigned: &Cosigned) -> Vec<&str> {
    cosigned.by.iter().map(|(name, _)| name.as_str()).collect()
}

fn log(folder: &Path, entries: usize) -> TestLog {
    let mut log = TestLog::new(folder.join("_log"));
    log.grow(entries, "ours");
    log
}

#[tokio::test]
async fn every_witness_cosigns_the_newest_checkpoint_however_many_come() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 3);
    let (one, two) = (witness(folder.path(), "w1", &log).await, witness(folder.path(), "w2", &log).await);
    let policy = policy(&[("B", &one.0, one.1.address), ("A", &two.0, two.1.address)], "all");
    let mut rig = Rig::start(log, policy, WAITS);
    assert_eq!(rig.cosigned().await.checkpoint.size, 3);
    // Many at once: past the width of a tile, so that partial tiles become full ones.
    for entries in 1..30 {
        rig.grow(entries);
    }
    let cosigned = rig.cosigned().await;
    assert_eq!((cosigned.checkpoint.size, names(&cosigned)), (438, vec!["B", "A"]), "in the policy's order");
    let asked = one.1.requests();
    assert!(asked <= 30, "the newest wins: {asked} requests for 30 checkpoints");
    // What is published just before a stop is cosigned too, and the next start goes on from there.
    rig.grow(5);
    let log = rig.stop().await;
    assert_eq!(add(one.0.address, &log.request(443, 443)).await.0, StatusCode::OK);
    let before = one.1.requests();
    let policy = self::policy(&[("B", &one.0, one.1.address), ("A", &two.0, two.1.address)], "all");
    let mut rig = Rig::start(log, policy, WAITS);
    rig.grow(1);
    assert_eq!(rig.cosigned().await.checkpoint.size, 444);
    assert!(one.1.requests() - before <= 2, "it knows what they have seen");
    rig.stop().await;
}

/// Failed and lost, failed but kept, and answers that are none: the next try makes it good, and nothing false is written.
#[tokio::test]
async fn a_call_that_fails_in_any_form_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 3);
    let (process, relay) = witness(folder.path(), "w1", &log).await;
    let stranger = Cosigner::from_seed("witness.example/w1", &[9; 32]).unwrap();
    let policy = policy(&[("W", &process, relay.address)], "all");
    let mut rig = Rig::start(log, policy, WAITS);
    rig.cosigned().await;
    let (ok, conflict, down) = (StatusCode::OK, StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE);
    let by_a_stranger = stranger.cosign(&rig.log.text(3), 1).into_bytes();
    let of_before = add(process.address, &rig.log.request(3, 3)).await.2.into_bytes();
    for (fate, error) in [
        (Fate::Lost, "client error"),
        (Fate::Kept, "client error"),
        (Fate::Answered(ok, b"<html>".to_vec()), "no cosignature of this checkpoint"),
        (Fate::Answered(ok, vec![0xff]), "not UTF-8"),
        (Fate::Answered(ok, vec![b'x'; 1 << 20]), "can't be read"),
        (Fate::Answered(ok, by_a_stranger), "without a cosignature by the key that the policy names"),
        (Fate::Answered(ok, of_before), "does not fit the text"),
        (Fate::Answered(conflict, b"many\n".to_vec()), "a conflict without a size"),
        (Fate::Answered(down, b"later\n".to_vec()), "503 Service Unavailable, later"),
        (Fate::Answered(StatusCode::NOT_FOUND, Vec::new()), "404"),
    ] {
        let before = rig.log.size();
        // Whatever is asked for more than once fails until the error was seen.
        relay.plan([], fate.clone());
        rig.grow(2);
        let said = rig.state(0, WitnessState::Failed).await;
        assert!(said.contains(error), "{fate:?}: {said}");
        assert_eq!(rig.on_disk().checkpoint.size, before, "{fate:?}");
        assert_eq!(rig.anchor.borrow().cosigned_size, before);
        relay.plan([], Fate::Passed);
        assert_eq!(rig.cosigned().await.checkpoint.size, before + 2, "{fate:?}");
        assert_eq!(rig.state(0, WitnessState::Cosigned).await, "");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_witness_that_hangs_delays_nobody_and_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 3);
    let (one, two) = (witness(folder.path(), "w1", &log).await, witness(folder.path(), "w2", &log).await);
    two.1.plan([], Fate::Silent);
    let policy = policy(&[("A", &one.0, one.1.address), ("B", &two.0, two.1.address)], "any");
    let waits = Waits { request: Duration::from_millis(200), round: Duration::ZERO, ..WAITS };
    let mut rig = Rig::start(log, policy, waits);
    for _ in 0..5 {
        rig.grow(1);
        assert_eq!(names(&rig.cosigned().await), ["A"]);
    }
    assert!(rig.state(1, WitnessState::Failed).await.contains("no answer within 200ms"));
    two.1.plan([], Fate::Passed);
    rig.state(1, WitnessState::Cosigned).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_lag_is_told_once_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 3);
    let (process, relay) = witness(folder.path(), "w1", &log).await;
    let policy = policy(&[("W", &process, relay.address)], "all");
    let mut rig = Rig::start(log, policy, Waits { lag: Duration::from_millis(300), ..WAITS });
    rig.cosigned().await;
    for _ in 0..2 {
        let before = rig.log.size();
        relay.plan([], Fate::Answered(StatusCode::SERVICE_UNAVAILABLE, Vec::new()));
        rig.grow(1);
        let event = rig.event(|event| event.lagging && event.size == before + 1).await;
        assert_eq!(event.cosigned, before);
        assert!(event.error.unwrap().contains("W: it refuses: 503"), "it says why");
        relay.plan([], Fate::Passed);
        let event = rig.event(|event| !event.lagging && event.size == before + 1).await;
        assert_eq!(event.cosigned, before + 1);
        rig.cosigned().await;
    }
    assert!(rig.events.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_disk_that_refuses_is_said_and_mends() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 3);
    let (process, relay) = witness(folder.path(), "w1", &log).await;
    let policy = policy(&[("W", &process, relay.address)], "all");
    let mut rig = Rig::start(log, policy, WAITS);
    rig.cosigned().await;
    for operation in [Operation::Create, Operation::Append, Operation::Sync, Operation::Rename, Operation::SyncFolder] {
        for form in [Form::Lost, Form::Half, Form::Kept] {
            let before = rig.log.size();
            rig.disk.fail(Fault { operation, after: 0, form, errno: EIO });
            rig.grow(1);
            rig.anchor.wait_for(|anchor| anchor.error.is_some()).await.unwrap();
            assert_eq!(rig.anchor.borrow().cosigned_size, before, "{operation:?} {form:?}");
            // The file before, or the new one: it holds either way.
            assert!([before, before + 1].contains(&rig.on_disk().checkpoint.size));
            rig.disk.mend();
            assert_eq!(rig.cosigned().await.checkpoint.size, before + 1);
            assert_eq!(rig.anchor.borrow().error, None);
        }
    }
    assert!(rig.staging.exists());
    rig.stop().await;
}

/// What a start is told about a log by a witness that has seen `seen` entries of `ours`.
async fn start_of(folder: &Path, ours: &TestLog, seen: u64, there: &TestLog) -> Result<usize, WitnessError> {
    let process = WitnessProcess::start(&folder.join("w1"), "witness.example/w1", &[ours]);
    assert_eq!(add(process.address, &ours.request(0, seen)).await.0, StatusCode::OK);
    let policy = policy(&[("W", &process, process.address)], "all");
    let disk = Arc::new(FaultyDisk::default());
    let witnesses = Witnesses::new(setup(there, &policy, disk, WAITS)).unwrap();
    Ok(witnesses.seen(&there.note(there.size())).await?.len())
}

#[tokio::test]
async fn a_disk_that_was_rolled_back_or_changed_is_found_at_the_start() {
    let ours = |folder: &Path| log(folder, 9);
    // (entries left on the disk, entries added to them, entries that the witness has seen, what is said)
    for (left, added, seen, said) in [
        (9, 0, 9, None),
        (9, 0, 5, None),
        (9, 4, 9, None),
        (4, 0, 9, Some("witness W: it has seen 9 entries, this disk holds 4: it was rolled back; restore")),
        (0, 1, 9, Some("it has seen 9 entries, this disk holds 1: it was rolled back")),
        (4, 5, 9, Some("it has seen 9 entries with another content")),
        (4, 9, 9, Some("it has seen 9 entries with another content")),
        (4, 2, 9, Some("it has seen 9 entries, this disk holds 6")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ours = ours(folder.path());
        let mut there = ours.rolled_back(left, folder.path().join("there"));
        there.grow(added, "after the restore");
        let told = start_of(folder.path(), &ours, seen, &there).await;
        match (told, said) {
            (Ok(unreached), None) => assert_eq!(unreached, 0),
            (Err(error), Some(said)) => assert!(error.to_string().contains(said), "{error}"),
            (told, said) => panic!("{left} {added} {seen}: {told:?} in place of {said:?}"),
        }
    }
}

#[tokio::test]
async fn a_witness_that_is_away_does_not_stop_a_start_and_says_it_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let ours = log(folder.path(), 9);
    let (process, relay) = witness(folder.path(), "w1", &ours).await;
    assert_eq!(add(process.address, &ours.request(0, 9)).await.0, StatusCode::OK);
    let there = ours.rolled_back(4, folder.path().join("there"));
    let policy = policy(&[("W", &process, relay.address)], "all");
    relay.plan([], Fate::Lost);
    let witnesses = Witnesses::new(setup(&there, &policy, Arc::new(FaultyDisk::default()), WAITS)).unwrap();
    let unreached = witnesses.seen(&there.note(4)).await.unwrap();
    assert_eq!(unreached.iter().map(|unreached| unreached.witness.as_str()).collect::<Vec<_>>(), ["W"]);
    let mut rig = Rig::start(there, policy, WAITS);
    relay.plan([], Fate::Passed);
    let said = rig.state(0, WitnessState::SpeaksAgainstTheDisk).await;
    assert!(said.contains("it has seen 9 entries, this disk holds 4"), "{said}");
    rig.stop().await;
}

#[tokio::test]
async fn a_cosigned_checkpoint_larger_than_the_log_is_found_without_a_witness() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 9);
    let (process, relay) = witness(folder.path(), "w1", &log).await;
    let policy = policy(&[("W", &process, relay.address)], "all");
    let mut rig = Rig::start(log, policy.clone(), WAITS);
    rig.cosigned().await;
    let log = rig.stop().await;
    relay.plan([], Fate::Lost);
    let witnesses = Witnesses::new(setup(&log, &policy, Arc::new(FaultyDisk::default()), WAITS)).unwrap();
    assert!(witnesses.seen(&log.note(9)).await.is_ok());
    let error = witnesses.seen(&log.note(8)).await.unwrap_err().to_string();
    assert!(error.contains("cosigned has 9 entries, checkpoint has 8"), "{error}");
}

#[test]
fn a_policy_that_cant_be_used_here_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), 1);
    let key = |number: u8| Cosigner::from_seed(&format!("w{number}"), &[number; 32]).unwrap().public().to_string();
    let other = sealgate_schema::note::SigningKey::from_seed("sealgate/other", &[1; 32]).unwrap().verifier().to_string();
    for (lines, said) in [
        (format!("witness A {} http://a.example\nquorum A\n", key(1)), None),
        (format!("witness A {}\nquorum A\n", key(1)), Some("its quorum A can't be reached; give its witnesses a URL")),
        (format!("witness A {} a.example\nquorum A\n", key(1)), Some("is not a URL")),
        (format!("witness A {} ftp://a.example\nquorum A\n", key(1)), Some("is not a URL")),
        (format!("log {other}\nwitness A {} http://a.example\nquorum A\n", key(1)), Some("add a line `log sealgate/gw-test+")),
        (format!("log {}\nquorum none\n", log.key.verifier()), None),
    ] {
        let policy = Policy::parse(lines.as_bytes()).unwrap();
        let told =
            Witnesses::new(setup(&log, &policy, Arc::new(FaultyDisk::default()), WAITS)).err().map(|error| error.to_string());
        match (&told, said) {
            (Some(told), Some(said)) => assert!(told.contains(said), "{told}"),
            (told, said) => assert_eq!(told.as_deref(), said, "{lines}"),
        }
    }
}
