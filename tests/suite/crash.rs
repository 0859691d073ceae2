//! Disks that fail, processes that are killed: nothing acknowledged is lost, nothing left without an intent, every call
//! without an end is listed, and the chain holds after every step.

use sealgate::ledger::disk::Disk as _;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::{check, window},
    client::{Client, Speak, caller_identity},
    faults::{Fault, Form, Operation},
    gateway::TestGateway,
    upstream::{Offer, Upstream, sts},
};

const HOST: &str = "sts.us-east-1.amazonaws.com";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Calls after which a fault that is met at all has been met.
const CALLS_MAX: usize = 12;

/// Makes the disk fail, calls until a call is refused, starts again on a mended disk, and compares with the upstream's truth.
async fn fails(operation: Operation, after: u32, form: Form, errno: i32) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    gateway.disk.fail(Fault { operation, after, form, errno });
    let (mut answered, mut refused) = (0, None);
    while refused.is_none() && answered < CALLS_MAX {
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
        let (status, body) = client.call(caller_identity(HOST)).await;
        match status.as_u16() {
            200 => answered += 1,
            other => refused = Some((other, String::from_utf8_lossy(&body).into_owned())),
        }
        // A cut reaches the operations that parts are made with.
        let _ = gateway.running().gateway.ledger.cut().await;
    }
    let failure = gateway.running().gateway.ledger.health().failure();
    match &refused {
        // Nothing was sent, or it was sent and the tool is told that it may have been done.
        Some((status, text)) => {
            assert!([503, 507].contains(status) && text.contains("be written"), "{status} {text}");
            assert!(failure.is_some(), "the health says so");
        }
        // A cut that could not begin costs a cut, and not the ledger.
        None => assert!(
            failure.is_none() && [Operation::Create, Operation::SyncFolder, Operation::Remove].contains(&operation),
            "{operation:?}"
        ),
    }
    gateway.stop_anyhow().await;
    gateway.disk.mend();
    gateway.start().await;
    // After recovery it serves again, in the same window and session.
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;

    let evidence = window(&gateway.home(), "CHG-1");
    let (intents, outcomes, unknown) =
        (evidence.of(&Kind::Intent).len(), evidence.of(&Kind::Outcome).len(), evidence.of(&Kind::OutcomeUnknown).len());
    assert!(outcomes > answered, "every answered call has its outcome");
    assert!(intents >= upstream.seen().len(), "nothing reached the upstream without an intent");
    assert_eq!(intents, outcomes + unknown, "every call without an end is listed");
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_loses_nothing_acknowledged() {
    for after in 0..4 {
        for form in [Form::Lost, Form::Half, Form::Kept] {
            fails(Operation::Append, after, form, ENOSPC).await;
        }
    }
}

#[tokio::test]
async fn an_fsync_error_refuses_calls_and_loses_nothing_acknowledged() {
    for after in 0..4 {
        for form in [Form::Lost, Form::Kept] {
            fails(Operation::Sync, after, form, EIO).await;
        }
    }
}

#[tokio::test]
async fn a_part_that_can_not_be_made_is_made_by_the_next_start() {
    for (operation, after) in [
        (Operation::Create, 0),
        (Operation::Create, 1),
        (Operation::Rename, 0),
        (Operation::Rename, 1),
        (Operation::SyncFolder, 0),
        (Operation::SyncFolder, 2),
        (Operation::Remove, 0),
    ] {
        fails(operation, after, Form::Lost, EIO).await;
    }
}

/// The journal after every write, as a crash at that moment leaves it, recovers.
#[tokio::test]
async fn a_crash_at_any_byte_of_the_journal_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    for _ in 0..2 {
        assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    }
    // The home as it stands now, while the gateway runs: as after a crash of the machine.
    let journal = gateway.home().join("journal");
    let segments: Vec<_> =
        sealgate::ledger::disk::LocalDisk.list(&journal).unwrap().into_iter().filter(|name| name.ends_with(".journal")).collect();
    let [segment] = segments.as_slice() else { panic!("{segments:?}") };
    let bytes = std::fs::read(journal.join(segment)).unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    copy(&gateway.home(), snapshot.path());
    gateway.stop().await;
    let whole = 4 + 2;
    for cut in (0..bytes.len()).rev().step_by(bytes.len() / 24) {
        let folder = tempfile::tempdir().unwrap();
        copy(snapshot.path(), &folder.path().join("home"));
        std::fs::write(folder.path().join("home/journal").join(segment), &bytes[..cut]).unwrap();
        let mut again = TestGateway::new(folder, &upstream);
        if let Err(error) = again.try_start().await {
            // The windows log or the database knows more than the cut journal, which no crash does: that is said, not repaired
            // by guessing.
            let text = error.to_string();
            assert!(text.contains("the journal does not know it") || text.contains("were rolled back"), "{text}");
            continue;
        }
        again.stop().await;
        let evidence = window(&again.home(), "CHG-1");
        assert!(evidence.records.len() <= whole + 4);
        let (intents, ends) =
            (evidence.of(&Kind::Intent).len(), evidence.of(&Kind::Outcome).len() + evidence.of(&Kind::OutcomeUnknown).len());
        assert_eq!(intents, ends, "cut at {cut}");
    }
}

/// Copies a home as it stands, without its socket.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(format!("{}/.", from.display())).arg(to).status().unwrap();
    assert!(status.success());
    let _ = std::fs::remove_file(to.join("admin.sock"));
}

#[tokio::test]
async fn a_damaged_journal_stops_the_start_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    let snapshot = tempfile::tempdir().unwrap();
    copy(&gateway.home(), snapshot.path());
    gateway.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    copy(snapshot.path(), &home);
    let segment =
        std::fs::read_dir(home.join("journal")).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let mut again = TestGateway::new(folder, &upstream);
    let error = again.try_start().await.unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}

#[tokio::test]
async fn a_journal_that_is_moved_away_while_open_refuses_calls() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let (journal, aside) = (gateway.home().join("journal"), gateway.home().join("aside"));
    std::fs::rename(&journal, &aside).unwrap();
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 503);
    assert!(upstream.seen().is_empty());
    gateway.stop_anyhow().await;
    std::fs::rename(&aside, &journal).unwrap();
    gateway.start().await;
    gateway.stop().await;
    check(&gateway.home());
}

/// Does something to the files below a running gateway. A call is refused then, and reaches nobody; or it is served, where
/// what was touched is not needed for a call. Returns the gateway, stopped, and whether the call was served.
async fn meddle(meddle: impl FnOnce(&std::path::Path)) -> (TestGateway, Upstream, bool) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    gateway.running().gateway.ledger.cut().await.unwrap();
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    meddle(&gateway.home());
    let (status, text) = client.call(caller_identity(HOST)).await;
    let served = status == 200;
    assert!(served || status == 503, "{status} {text:?}");
    // The answer of a call that was refused came from here.
    assert_eq!(upstream.seen().len(), 2 + usize::from(served));
    gateway.stop_anyhow().await;
    (gateway, upstream, served)
}

/// The open segment of a home.
fn open_segment(home: &std::path::Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(home.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).max().unwrap()
}

/// Starts again, seals, and counts: every call that was answered is there.
async fn seal_again(gateway: &mut TestGateway, answered: usize) {
    gateway.start().await;
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Outcome).len(), answered);
    assert_eq!(evidence.of(&Kind::Intent).len(), answered + evidence.of(&Kind::OutcomeUnknown).len());
    check(&gateway.home());
}

#[tokio::test]
async fn a_journal_that_is_unlinked_while_open_refuses_calls_and_the_next_start() {
    let (mut gateway, _upstream, served) = meddle(|home| std::fs::remove_file(open_segment(home)).unwrap()).await;
    assert!(!served);
    // What was acknowledged since the last part went with the file: that is said, and not repaired by guessing.
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("journal"), "{error}");
}

#[tokio::test]
async fn a_journal_that_is_replaced_by_a_copy_while_open_refuses_calls_and_loses_nothing() {
    let (mut gateway, _upstream, served) = meddle(|home| {
        let (segment, copy) = (open_segment(home), home.join("copy"));
        std::fs::copy(&segment, &copy).unwrap();
        std::fs::rename(&copy, &segment).unwrap();
    })
    .await;
    assert!(!served);
    seal_again(&mut gateway, 2).await;
}

#[tokio::test]
async fn a_staging_folder_that_is_removed_costs_a_part_and_the_next_start_makes_it() {
    let (mut gateway, _upstream, served) = meddle(|home| std::fs::remove_dir_all(home.join("journal/staging")).unwrap()).await;
    assert!(served, "a call needs the journal alone");
    seal_again(&mut gateway, 3).await;
}

#[tokio::test]
async fn evidence_that_is_moved_away_while_open_costs_a_part_and_the_next_start_makes_it() {
    let (mut gateway, _upstream, served) = meddle(|home| std::fs::rename(home.join("evidence"), home.join("aside")).unwrap()).await;
    assert!(served, "a call needs the journal alone");
    // Without the first part the journal says that something is missing; nothing is begun anew beside it.
    let error = gateway.try_start().await.unwrap_err().to_string();
    assert!(error.contains("disagree") || error.contains("evidence"), "{error}");
    let (evidence, aside) = (gateway.home().join("evidence"), gateway.home().join("aside"));
    std::fs::remove_dir_all(&evidence).unwrap();
    std::fs::rename(&aside, &evidence).unwrap();
    seal_again(&mut gateway, 3).await;
}

#[tokio::test]
async fn a_stop_and_a_start_go_on_in_the_same_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    for _ in 0..3 {
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
        assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
        gateway.stop().await;
        check(&gateway.home());
        gateway.start().await;
    }
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Outcome).len(), 3);
    assert_eq!(evidence.of(&Kind::Recovery).len(), 0, "a stop in order needs no recovery");
}
