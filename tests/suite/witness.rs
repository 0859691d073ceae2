//! A witness: what it answers to whom, and that nothing makes it cosign two histories.

use http::{Method, StatusCode};
use sealgate::{
    ledger::disk::LocalDisk,
    witness::state::{Refusal, Witness},
};
use sealgate_schema::{
    Hash,
    note::SigningKey,
    witness::{WitnessKey, request::REQUEST_BYTES_MAX},
};
use sealgate_tests::{
    faults::{Fault, FaultyDisk, Form, Operation},
    witness::{ORIGIN, TestLog, WitnessProcess, add, refused, send, try_add, witness_command},
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Barrier},
    thread,
};
use tokio::task::JoinSet;

const NAME: &str = "witness.example/w1";
const EIO: i32 = 5;
const NOW: u64 = 1_790_000_000;

fn log(folder: &Path, name: &str, entries: usize, history: &str) -> TestLog {
    let mut log = TestLog::new(folder.join(name));
    log.grow(entries, history);
    log
}

/// Two logs with one key that share a beginning and then differ.
fn fork(folder: &Path, shared: usize) -> (TestLog, TestLog) {
    let ours = log(folder, "ours", shared, "same");
    let mut theirs = ours.rolled_back(shared as u64, folder.join("theirs"));
    theirs.grow(3, "theirs");
    let mut ours = ours;
    ours.grow(3, "ours");
    (ours, theirs)
}

fn open(folder: &Path, log: &TestLog, disk: Arc<FaultyDisk>) -> Witness {
    Witness::open(folder, NAME, vec![log.key.verifier().clone()], disk).unwrap()
}

fn body(log: &TestLog, old: u64, size: u64) -> Vec<u8> {
    log.request(old, size).to_string().into_bytes()
}

#[tokio::test]
async fn a_witness_answers_with_the_statuses_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = fork(folder.path(), 5);
    let witness = WitnessProcess::start(&folder.path().join("witness"), NAME, &[&ours]);
    let key = WitnessKey::parse(&witness.key).unwrap();
    let to = witness.address;

    // It has seen nothing: old is 0, and the proof empty.
    let (status, headers, size) = add(to, &ours.request(3, 5)).await;
    assert_eq!((status, size.as_str()), (StatusCode::CONFLICT, "0\n"));
    assert_eq!(headers["content-type"], "text/x.tlog.size");
    for (old, size) in [(0, 5), (5, 5), (5, 7), (7, 8), (8, 8)] {
        let (status, _, lines) = add(to, &ours.request(old, size)).await;
        assert_eq!(status, StatusCode::OK, "{old} to {size}: {lines}");
        assert!(key.find(&ours.text(size), &lines).unwrap().is_some(), "{lines}");
    }
    // An old size that is not the one it cosigned last, below and above.
    for old in [0, 5] {
        let (status, headers, size) = add(to, &ours.request(old, 8)).await;
        assert_eq!((status, size.as_str()), (StatusCode::CONFLICT, "8\n"));
        assert_eq!(headers["content-type"], "text/x.tlog.size");
    }
    // Of the same size, with another root.
    let (status, _, size) = add(to, &theirs.request(8, 8)).await;
    assert_eq!((status, size.as_str()), (StatusCode::CONFLICT, "8\n"));
    // Larger, and without what it cosigned; and with a proof that is cut, or too long.
    let mut theirs = theirs;
    theirs.grow(2, "theirs");
    assert_eq!(add(to, &theirs.request(8, 10)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let mut ours = ours;
    ours.grow(2, "ours");
    let mut cut = ours.request(8, 10);
    cut.proof.pop();
    assert_eq!(add(to, &cut).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let mut long = ours.request(8, 10);
    long.proof.push(Hash::ZERO);
    assert_eq!(add(to, &long).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // The same again, right: nothing of the above has moved it.
    assert_eq!(add(to, &ours.request(8, 10)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_is_not_trusted_and_what_is_malformed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = log(folder.path(), "ours", 4, "ours");
    let witness = WitnessProcess::start(&folder.path().join("witness"), NAME, &[&ours]);
    let to = witness.address;
    let good = ours.request(0, 4);
    let text = ours.text(4);
    let other_key = SigningKey::from_seed(ORIGIN, &[8; 32]).unwrap();
    let with = |note: String| format!("old 0\n\n{note}");
    let changed = good.to_string().replacen("\n4\n", "\n3\n", 1);
    let unknown = other_key.sign(&text.replacen("gw-test", "gw-else", 1));
    let stray_line = format!("{}\u{2014} x\n", good.note);
    for (body, status) in [
        (with(other_key.sign(&text)), StatusCode::FORBIDDEN),
        (changed, StatusCode::FORBIDDEN),
        (with(unknown), StatusCode::NOT_FOUND),
        (good.to_string().replacen("old 0", "old 5", 1), StatusCode::BAD_REQUEST),
        (good.to_string().replacen("old 0", "old 00", 1), StatusCode::BAD_REQUEST),
        (with(text.clone()), StatusCode::BAD_REQUEST),
        (with(stray_line), StatusCode::BAD_REQUEST),
        (with(ours.key.sign("no checkpoint\n")), StatusCode::BAD_REQUEST),
        (with(ours.key.sign(&format!("{text}\n"))), StatusCode::BAD_REQUEST),
        (String::new(), StatusCode::BAD_REQUEST),
        ("x".repeat(REQUEST_BYTES_MAX + 1), StatusCode::BAD_REQUEST),
    ] {
        let (answered, _, said) = send(to, Method::POST, "/add-checkpoint", body.clone()).await;
        assert_eq!(answered, status, "{}: {said}", body.get(..80).unwrap_or(&body));
    }
    assert_eq!(send(to, Method::GET, "/add-checkpoint", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(to, Method::POST, "/", "").await.0, StatusCode::NOT_FOUND);
    // A signature by somebody else beside the log's is passed over.
    let beside = format!("{}{}", good.note, other_key.sign(&text).split_once("\n\n").unwrap().1);
    assert_eq!(send(to, Method::POST, "/add-checkpoint", with(beside)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_witness_killed_after_each_answer_still_refuses_every_fork() {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = log(folder.path(), "ours", 1, "ours");
    let at = folder.path().join("witness");
    let mut witness = WitnessProcess::start(&at, NAME, &[&ours]);
    let key = witness.key.clone();
    let mut seen = 0;
    for step in 0..8 {
        let size = ours.size();
        assert_eq!(add(witness.address, &ours.request(seen, size)).await.0, StatusCode::OK);
        witness.signal("KILL");
        witness = WitnessProcess::start(&at, NAME, &[&ours]);
        assert_eq!(witness.key, key);
        let mut theirs = ours.rolled_back(size - 1, folder.path().join(format!("theirs{step}")));
        theirs.grow(1, "theirs");
        assert_eq!(add(witness.address, &theirs.request(size, size)).await.0, StatusCode::CONFLICT);
        theirs.grow(2, "theirs");
        assert_eq!(add(witness.address, &theirs.request(size, size + 2)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(add(witness.address, &theirs.request(seen, size + 2)).await.2, format!("{size}\n"));
        seen = size;
        ours.grow(step + 1, "ours");
    }
}

/// Two histories race for a witness that is killed among the answers, 0 to 3 of 4 of them: whatever was answered before and
/// is answered after the next start, one history alone is cosigned.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_killed_among_requests_cosigns_one_history() {
    for round in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = fork(folder.path(), 5);
        let at = folder.path().join("witness");
        let witness = WitnessProcess::start(&at, NAME, &[&ours]);
        assert_eq!(add(witness.address, &ours.request(0, 5)).await.0, StatusCode::OK);
        let mut asks = JoinSet::new();
        for (name, log) in [("ours", &ours), ("theirs", &theirs), ("ours", &ours), ("theirs", &theirs)] {
            let (to, request) = (witness.address, log.request(5, 8));
            asks.spawn(async move { (name, try_add(to, request).await) });
        }
        let mut answers = Vec::new();
        while answers.len() < round % 4 {
            answers.push(asks.join_next().await.unwrap().unwrap());
        }
        witness.signal("KILL");
        answers.extend(asks.join_all().await);
        let witness = WitnessProcess::start(&at, NAME, &[&ours]);
        for (name, log) in [("theirs", &theirs), ("ours", &ours)] {
            for old in [5, 8] {
                answers.push((name, Some(add(witness.address, &log.request(old, 8)).await.0)));
            }
        }
        let cosigned: BTreeSet<_> =
            answers.iter().filter(|(_, status)| *status == Some(StatusCode::OK)).map(|(name, _)| name).collect();
        assert_eq!(cosigned.len(), 1, "round {round}: {answers:?}");
    }
}

/// Every operation of the write, failed and lost, half done, failed but kept: it answers 500 and cosigns nothing, and after
/// the next start it goes on with one of the two histories and never with the other.
#[test]
fn a_witness_that_cant_write_cosigns_nothing_and_forks_nothing_later() {
    let mut points = 0;
    for operation in [Operation::Create, Operation::Append, Operation::Sync, Operation::Rename, Operation::SyncFolder] {
        for form in [Form::Lost, Form::Half, Form::Kept] {
            let folder = tempfile::tempdir().unwrap();
            let (ours, theirs) = fork(folder.path(), 5);
            let (at, disk) = (folder.path().join("witness"), Arc::new(FaultyDisk::default()));
            let witness = open(&at, &ours, disk.clone());
            witness.add(&body(&ours, 0, 5), NOW).unwrap();
            disk.fail(Fault { operation, after: 0, form, errno: EIO });
            let refused = witness.add(&body(&ours, 5, 7), NOW);
            assert!(matches!(refused, Err(Refusal::Unwritable(_))), "{operation:?} {form:?}: {refused:?}");
            disk.mend();
            // Until it is started again it can't know what the disk holds.
            for body in [body(&ours, 5, 7), body(&theirs, 5, 8), body(&ours, 5, 5)] {
                assert!(matches!(witness.add(&body, NOW), Err(Refusal::Unwritable(_))));
            }
            drop(witness);
            let witness = open(&at, &ours, disk);
            let cosigned = witness.add(&body(&theirs, 5, 8), NOW).is_ok();
            // Either nothing of ours was kept, and theirs is the history now; or ours was, and only ours goes on.
            let first = if cosigned { Err(8) } else { Ok(7) };
            match witness.add(&body(&ours, 7, 8), NOW) {
                Ok(_) => assert_eq!(first, Ok(7), "{operation:?} {form:?}"),
                Err(Refusal::Conflict(size)) => assert_eq!(first, Err(size), "{operation:?} {form:?}"),
                Err(other) => panic!("{operation:?} {form:?}: {other}"),
            }
            points += 1;
        }
    }
    assert_eq!(points, 15);
}

/// A gateway that changed its key: until the witness is started without the old one, it takes either.
#[test]
fn a_log_may_have_two_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = log(folder.path(), "ours", 5, "ours");
    let next = SigningKey::from_seed(ORIGIN, &[8; 32]).unwrap();
    let keys = vec![ours.key.verifier().clone(), next.verifier().clone()];
    let witness = Witness::open(&folder.path().join("witness"), NAME, keys, Arc::new(LocalDisk)).unwrap();
    witness.add(&body(&ours, 0, 4), NOW).unwrap();
    let old = std::mem::replace(&mut ours.key, next);
    witness.add(&body(&ours, 4, 5), NOW).unwrap();
    drop(witness);
    let keys = vec![ours.key.verifier().clone()];
    let witness = Witness::open(&folder.path().join("witness"), NAME, keys, Arc::new(LocalDisk)).unwrap();
    witness.add(&body(&ours, 5, 5), NOW).unwrap();
    ours.key = old;
    assert!(matches!(witness.add(&body(&ours, 5, 5), NOW), Err(Refusal::Untrusted(_))));
}

#[test]
fn of_two_histories_at_once_one_is_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let folder = folder.path().join(round.to_string());
        fs::create_dir(&folder).unwrap();
        let (ours, theirs) = fork(&folder, 5);
        let witness = Witness::open(&folder.join("witness"), NAME, vec![ours.key.verifier().clone()], Arc::new(LocalDisk)).unwrap();
        witness.add(&body(&ours, 0, 5), NOW).unwrap();
        let (together, bodies) = (Barrier::new(2), [body(&ours, 5, 8), body(&theirs, 5, 8)]);
        let cosigned: Vec<bool> = thread::scope(|scope| {
            let ask = |body| (together.wait(), witness.add(body, NOW)).1.is_ok();
            let asked: Vec<_> = bodies.iter().map(|body| scope.spawn(move || ask(body))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(cosigned.iter().filter(|cosigned| **cosigned).count(), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_witness_that_lost_its_memory_its_key_or_its_name_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let ours = log(folder.path(), "ours", 4, "ours");
    let at = folder.path().join("witness");
    let witness = WitnessProcess::start(&at, NAME, &[&ours]);
    let mode = |name: &str| fs::metadata(at.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("witness.key"), mode("seen"), mode("")), (0o600, 0o600, 0o700));
    assert_eq!(add(witness.address, &ours.request(0, 4)).await.0, StatusCode::OK);
    let said = |name: &str| {
        let output = refused(&at, name, &[&ours]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(NAME).contains("is running in"), "{}", said(NAME));
    assert_eq!(witness.signal("TERM").code(), Some(0), "it stops in order");
    assert!(said("witness.example/w2").contains("start it with the --name"));
    let (key, seen) = (fs::read(at.join("witness.key")).unwrap(), fs::read(at.join("seen")).unwrap());
    fs::remove_file(at.join("seen")).unwrap();
    assert!(said(NAME).contains("could cosign a second history"));
    // Any bit of it.
    let mut damaged = seen.clone();
    let last = damaged.len() - 10;
    damaged[last] ^= 1;
    fs::write(at.join("seen"), damaged).unwrap();
    assert!(said(NAME).contains("missing or damaged"));
    fs::write(at.join("seen"), seen).unwrap();
    fs::remove_file(at.join("witness.key")).unwrap();
    assert!(said(NAME).contains("put it back"));
    fs::write(at.join("witness.key"), key).unwrap();
    fs::set_permissions(at.join("witness.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said(NAME).contains("chmod"));
    fs::set_permissions(at.join("witness.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let witness = WitnessProcess::start(&at, NAME, &[&ours]);
    assert_eq!(add(witness.address, &ours.request(0, 4)).await.2, "4\n");
    assert_eq!(witness.signal("INT").code(), Some(0), "it stops in order");
}

#[test]
fn a_witness_without_a_log_to_watch_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let code = |extra: &[&str]| witness_command(folder.path(), NAME, &[]).args(extra).output().unwrap().status.code();
    assert_eq!(code(&[]), Some(3));
    assert_eq!(code(&["--log", "nonsense"]), Some(3));
}
