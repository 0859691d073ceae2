//! Stops, kills and disks that fail at each step between a request and its session. Nobody has a right that the ledger does not
//! have, and no approval that was taken is lost.

use super::{Office, asking, done, refused};
use sealgate::{
    clock::Clock as _,
    sessions::{
        Grant, SessionError,
        actor::Actor,
        requests::{Asker, Requested},
        signers::Sent,
    },
};
use sealgate_policies::{request::State, session::Status};
use sealgate_schema::{record::Kind, statement::Act};
use sealgate_tests::{
    check::window,
    faults::{Fault, Form, Operation},
    gateway::{TestGateway, grant},
    upstream::{Offer, Upstream, sts},
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const EIO: i32 = 5;

#[test]
fn what_waits_is_there_after_a_kill_and_what_was_given_too() {
    let mut office = Office::open("[approval]\nrequired = true\napprovals = 2\n");
    let restart = |office: &mut Office| {
        office.gateway.signal("KILL");
        office.gateway.start_again();
    };
    let request = office.request(&[]);
    restart(&mut office);
    done(&office.decide("approve", &request, "bob"));
    restart(&mut office);
    refused(&office.decide("approve", &request, "bob"), &["has approved"]);
    done(&office.decide("approve", &request, "carol"));
    restart(&mut office);
    let session = office.sessions()[0]["id"].as_str().unwrap().to_owned();
    office.gateway.ok(&["session", "env", &session]);
    refused(&office.decide("approve", &request, "dave"), &["is approved already"]);
    let glass = office.gateway.ok(&asking("break-glass", &[])).trim().to_owned();
    office.gateway.ok(&["session", "revoke", "--principal", "zoe", "--reason", "a test"]);
    restart(&mut office);
    assert!(office.gateway.ok(&["status"]).contains(&glass), "it owes its review still");
    office.refused(&asking("request", &["--principal", "zoe"]), &["zoe is revoked"]);
    done(&office.decide("review", &glass, "dave"));
    restart(&mut office);
    assert_eq!(office.sessions()[1]["reviewer"], "dave");
    office.gateway.ok(&["session", "revoke", &session, "--reason", "a test"]);
    restart(&mut office);
    assert_eq!(office.sessions()[0]["status"], "revoked");
    office.close();
}

/// A gateway in process whose sessions need bob's approval.
struct Needy {
    gateway: TestGateway,
    key: PathBuf,
    _upstream: Upstream,
}

impl Needy {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
        let (key, approvers) = (folder.path().join("bob"), folder.path().join("approvers"));
        std::fs::write(&approvers, format!("bob {}\n", super::key(folder.path(), "bob"))).unwrap();
        let mut gateway = TestGateway::new(folder, &upstream);
        gateway.config.approvers = Some(approvers);
        gateway.config.approval.required = true;
        gateway.start().await;
        let sessions = &gateway.running().gateway.sessions;
        sessions.open_window("CHG-1", "a test", "4h".parse().unwrap(), "test").await.unwrap();
        Self { gateway, key, _upstream: upstream }
    }

    fn asker() -> Asker {
        Asker::by_word(Some("rita"), &Actor::known_as("test"))
    }

    async fn request(&self) -> Result<Requested, SessionError> {
        self.gateway.running().gateway.sessions.request(grant("CHG-1"), Self::asker()).await
    }

    async fn approve(&self, id: &str) -> Result<Requested, SessionError> {
        let sessions = &self.gateway.running().gateway.sessions;
        let stored = sessions.stored(id)?;
        let statement = sessions.statement(Act::Approve, &stored.request, "bob", None)?.to_line().unwrap();
        let signature = sign(&self.key, &statement);
        sessions.approve(id, &Sent { statement, signature }, &Actor::known_as("test")).await
    }

    /// Starts again after whatever it was.
    async fn again(&mut self) {
        self.gateway.stop_anyhow().await;
        self.gateway.disk.mend();
        self.gateway.start().await;
    }

    /// The sessions that may call, and where the request stands.
    fn standing(&self, id: &str) -> (usize, State) {
        let gateway = &self.gateway.running().gateway;
        let now = gateway.clock.now();
        let open = gateway.sessions.sessions().iter().filter(|session| session.status(now) == Status::Open).count();
        (open, gateway.sessions.stored(id).unwrap().request.state(now))
    }
}

fn sign(key: &Path, text: &str) -> String {
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-Y", "sign", "-q", "-n", "sealgate", "-f"]).arg(key).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = sign.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Whichever write it is that fails, and in whichever form: that of the approval, that of the session, another's between.
#[tokio::test]
async fn a_disk_that_fails_between_approval_and_session_costs_nobody_their_approval_and_gives_nothing() {
    let (mut before_approval, mut before_session) = (0, 0);
    let faults = (0..4).flat_map(|after| {
        [(Operation::Append, after, Form::Lost), (Operation::Append, after, Form::Half), (Operation::Sync, after, Form::Kept)]
    });
    for (operation, after, form) in faults {
        let mut needy = Needy::start().await;
        let id = needy.request().await.unwrap().request.request.id.to_string();
        needy.gateway.disk.fail(Fault { operation, after, form, errno: EIO });
        if needy.approve(&id).await.is_ok() {
            // Nothing more was written than may be.
            needy.again().await;
            assert_eq!(needy.standing(&id), (1, State::Approved));
            continue;
        }
        let (open, state) = needy.standing(&id);
        assert_eq!(open, 0, "nobody has what is not on record");
        needy.again().await;
        match state {
            State::Approved => before_session += 1,
            _ => {
                before_approval += 1;
                assert_eq!(needy.standing(&id), (0, State::Pending));
                needy.approve(&id).await.unwrap();
            }
        }
        assert_eq!(needy.standing(&id), (1, State::Approved), "{operation:?} {after} {form:?}");
        settled(needy, &id).await;
    }
    assert!(before_approval > 0 && before_session > 0, "{before_approval} {before_session}");
}

/// The session's record is on disk, and the store does not know it: as a kill between the two leaves it.
#[tokio::test]
async fn a_kill_between_the_sessions_record_and_the_store_opens_the_very_same_session() {
    let mut needy = Needy::start().await;
    let id = needy.request().await.unwrap().request.request.id.to_string();
    let session = needy.approve(&id).await.unwrap().session.unwrap();
    forget(&needy, &["UPDATE sessions SET recorded = 0", "UPDATE requests SET settled = 0"]).await;
    needy.again().await;
    let again = needy.gateway.running().gateway.sessions.session(&session.id).unwrap();
    assert_eq!((again.expires(), &again.opened_by), (session.expires(), &session.opened_by));
    assert_eq!(needy.standing(&id), (1, State::Approved));
    settled(needy, &id).await;
}

const BAR: &str = "INSERT INTO barred (principal, since, barred_by, reason) VALUES ('alice', 1, 'test', 'a test')";

/// Its record is there: so it is there that it ends.
#[tokio::test]
async fn a_session_on_record_whose_principal_was_revoked_meanwhile_ends_at_the_next_start() {
    let mut needy = Needy::start().await;
    let id = needy.request().await.unwrap().request.request.id.to_string();
    needy.approve(&id).await.unwrap();
    forget(&needy, &["UPDATE sessions SET recorded = 0", "UPDATE requests SET settled = 0", BAR]).await;
    for _ in 0..2 {
        needy.again().await;
        assert_eq!(needy.standing(&id), (0, State::Approved));
    }
    needy.gateway.stop().await;
    let evidence = window(&needy.gateway.home(), "CHG-1");
    assert_eq!((evidence.of(&Kind::SessionOpen).len(), evidence.of(&Kind::SessionRevoke).len()), (1, 1));
}

/// Its record is not there: it never is.
#[tokio::test]
async fn a_grant_whose_principal_was_revoked_meanwhile_is_dropped_and_on_record() {
    for after in 0.. {
        let mut needy = Needy::start().await;
        let id = needy.request().await.unwrap().request.request.id.to_string();
        needy.gateway.disk.fail(Fault { operation: Operation::Append, after, form: Form::Lost, errno: EIO });
        assert!(needy.approve(&id).await.is_err(), "no write between approval and session was lost");
        if needy.standing(&id).1 != State::Approved {
            continue;
        }
        forget(&needy, &[BAR]).await;
        for _ in 0..2 {
            needy.again().await;
            assert_eq!(needy.standing(&id).0, 0);
        }
        needy.gateway.stop().await;
        let evidence = sealgate_tests::check::check(&needy.gateway.home());
        let records = evidence.values().flat_map(|evidence| evidence.of(&Kind::Administration));
        let dropped = records.filter(|record| record.fields.detail.as_deref().unwrap().contains("grant_dropped")).count();
        // Where the write that was lost is another's, its record is there, and it ended.
        if evidence["CHG-1"].of(&Kind::SessionOpen).is_empty() {
            return assert_eq!(dropped, 1);
        }
        assert_eq!(evidence["CHG-1"].of(&Kind::SessionRevoke).len(), 1);
    }
}

/// More time that was approved is given once, by the start after a kill.
#[tokio::test]
async fn a_kill_before_an_extension_took_effect_gives_it_once() {
    let mut needy = Needy::start().await;
    let id = needy.request().await.unwrap().request.request.id.to_string();
    let session = needy.approve(&id).await.unwrap().session.unwrap();
    let before = session.expires();
    let sessions = needy.gateway.running().gateway.sessions.clone();
    let more = sessions.request_extension(&session.id, "30m".parse().unwrap(), "slow", Needy::asker()).await.unwrap();
    let extension = more.request.request.id.to_string();
    needy.approve(&extension).await.unwrap();
    let after = before + 30 * 60 * 1_000_000;
    assert_eq!(session.expires(), after);
    let undo: &'static str = Box::leak(format!("UPDATE sessions SET expires = {before}").into_boxed_str());
    forget(&needy, &[undo, "UPDATE requests SET settled = 0 WHERE extends IS NOT NULL"]).await;
    drop(sessions);
    needy.again().await;
    let again = needy.gateway.running().gateway.sessions.session(&session.id).unwrap();
    assert_eq!(again.expires(), after);
    needy.again().await;
    let again = needy.gateway.running().gateway.sessions.session(&session.id).unwrap();
    assert_eq!(again.expires(), after);
    needy.gateway.stop().await;
    assert_eq!(window(&needy.gateway.home(), "CHG-1").of(&Kind::SessionExtend).len(), 1);
}

/// Requests that are made at once do not pass a limit together.
#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_at_once_open_no_more_than_the_limit() {
    let mut needy = Needy::start().await;
    needy.gateway.config.limit = vec![sealgate_policies::access::Limit { sessions: Some(1), ..Default::default() }];
    needy.again().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(needy.request().await.unwrap().request.request.id.to_string());
    }
    let needy = std::sync::Arc::new(needy);
    let tasks: Vec<_> = ids
        .into_iter()
        .map(|id| {
            tokio::spawn({
                let needy = needy.clone();
                async move { needy.approve(&id).await.is_ok() }
            })
        })
        .collect();
    let mut opened = 0;
    for task in tasks {
        opened += usize::from(task.await.unwrap());
    }
    assert_eq!(opened, 1);
}

/// A request whose time is over by the clock can't be approved, whatever was looked at.
#[tokio::test]
async fn a_request_waits_until_its_instant_and_no_longer() {
    let mut needy = Needy::start().await;
    let id = needy.request().await.unwrap().request.request.id.to_string();
    let expires = needy.gateway.running().gateway.sessions.stored(&id).unwrap().request.expires;
    needy.gateway.clock.step(expires - needy.gateway.clock.now());
    let error = needy.approve(&id).await.unwrap_err().to_string();
    assert!(error.contains("expired") || error.contains("is over"), "{error}");
    assert_eq!(needy.standing(&id).1, State::Expired);
    let grant = Grant { duration: "1500ms".parse().unwrap(), ..grant("CHG-1") };
    let sessions = needy.gateway.running().gateway.sessions.clone();
    assert!(sessions.request(grant, Needy::asker()).await.unwrap_err().to_string().contains("whole seconds"));
    needy.gateway.stop().await;
}

/// Makes the store what it was before.
async fn forget(needy: &Needy, statements: &[&'static str]) {
    let pool = needy.gateway.running().gateway.sessions.store().pool().clone();
    for statement in statements {
        sqlx::query(*statement).execute(&pool).await.unwrap();
    }
}

/// Another start changes nothing, and all of the evidence holds: one session, by one approval that it names.
async fn settled(mut needy: Needy, id: &str) {
    needy.again().await;
    assert_eq!(needy.standing(id), (1, State::Approved));
    needy.gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    needy.gateway.stop().await;
    let evidence = window(&needy.gateway.home(), "CHG-1");
    let approvals: Vec<_> = evidence.of(&Kind::SessionApprove).iter().map(|record| record.seq).collect();
    let opened = evidence.of(&Kind::SessionOpen);
    let [opened] = opened.as_slice() else { panic!("a request leads to one record: {opened:?}") };
    let detail: serde_json::Value = serde_json::from_str(opened.fields.detail.as_deref().unwrap()).unwrap();
    let named: Vec<u64> = detail["approvals"].as_array().unwrap().iter().map(|seq| seq.as_u64().unwrap()).collect();
    assert_eq!(named.len(), 1);
    assert!(approvals.contains(&named[0]) && named[0] < opened.seq);
}
