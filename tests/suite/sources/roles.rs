//! Roles that are assumed for sessions. The STS here says what it was asked, and gives what the test wants.

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use sealgate::{
    clock::{Clock, SteppingClock, rfc3339},
    egress::credentials::{SourceError, Sources},
    sessions::{Grant, SessionError, requests::Asker},
};
use sealgate_policies::session::Session;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check,
    faults::{Fault, Form, Operation},
    gateway::{TestGateway, grant},
    upstream::{Body, Handler, Offer, Upstream, handler, text},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const MINUTE: i64 = 60 * 1_000_000;
const ROLE: &str = "arn:aws:iam::111122223333:role/team/deploy";

/// What the STS was asked, and whether it refuses or hangs.
#[derive(Debug, Default)]
struct Sts {
    asked: Mutex<Vec<String>>,
    refuses: AtomicBool,
    hangs: AtomicBool,
    /// Its clock is a day behind.
    is_late: AtomicBool,
}

impl Sts {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, clock: &SteppingClock, body: String) -> Response<Body> {
        let mut asked = self.asked.lock().unwrap();
        let seconds: i64 = parameter(&body, "DurationSeconds").unwrap().parse().unwrap();
        asked.push(body);
        if self.refuses.load(Ordering::Relaxed) {
            let mut response = text(
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/x is not \
                 authorized to perform: sts:TagSession</Message></Error></ErrorResponse>",
            );
            *response.status_mut() = StatusCode::FORBIDDEN;
            response.headers_mut().insert("x-amzn-requestid", "req-7".parse().unwrap());
            return response;
        }
        let now = clock.now() - if self.is_late.load(Ordering::Relaxed) { 24 * 60 * MINUTE } else { 0 };
        let (count, expires) = (asked.len(), rfc3339(now + seconds * 1_000_000));
        let mut response = text(format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{count:016}</AccessKeyId><SecretAccessKey>role secret\
             </SecretAccessKey><SessionToken>role token</SessionToken><Expiration>{expires}</Expiration></Credentials>\
             </AssumeRoleResult></AssumeRoleResponse>"
        ));
        response.headers_mut().insert("x-amzn-requestid", format!("req-{count}").parse().unwrap());
        response
    }
}

/// A parameter of a form, undecoded.
fn parameter<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    form.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn sts(state: Arc<Sts>, clock: Arc<SteppingClock>) -> Handler {
    handler(move |request| {
        let (state, clock) = (state.clone(), clock.clone());
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if state.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            state.answer(&clock, String::from_utf8(body.to_vec()).unwrap())
        }
    })
}

/// A gateway with an account `default` of keys in a profile, and what else its `[[account]]` says.
struct Desk {
    gateway: TestGateway,
    sts: Arc<Sts>,
    upstream: Upstream,
}

impl Desk {
    async fn open(accounts: &str) -> Self {
        let (folder, sts_state, clock) = (tempfile::tempdir().unwrap(), Arc::<Sts>::default(), Arc::<SteppingClock>::default());
        let upstream = Upstream::start(folder.path(), Offer::Http1, sts(sts_state.clone(), clock.clone())).await;
        let credentials = folder.path().join("credentials");
        std::fs::write(&credentials, "[default]\naws_access_key_id = AKIASOURCE\naws_secret_access_key = source secret\n").unwrap();
        let file = folder.path().join("accounts.toml");
        let source = format!(
            "source = \"profile\"\nprofile = \"default\"\nregion = \"us-east-1\"\nconfig_file = \"/dev/null\"\ncredentials_file = \"{}\"\n",
            credentials.display()
        );
        std::fs::write(&file, accounts.replace("SOURCE", &source)).unwrap();
        let mut gateway = TestGateway::new(folder, &upstream);
        gateway.config.account = sealgate::config::Config::read(&file).unwrap().account;
        gateway.clock = clock;
        gateway.start().await;
        let sessions = &gateway.running().gateway.sessions;
        sessions.open_window("CHG-1", "a test", "24h".parse().unwrap(), "test").await.unwrap();
        Self { gateway, sts: sts_state, upstream }
    }

    /// A session with a role.
    async fn session(&self, grant: Grant) -> Arc<Session> {
        self.gateway.running().gateway.sessions.open_session(grant, "test").await.unwrap()
    }

    fn sources(&self) -> Sources {
        self.gateway.running().gateway.sources.clone()
    }

    /// Public id of the session's credential now.
    async fn key(&self, session: &Arc<Session>) -> Result<String, SourceError> {
        self.sources().of(session).await.map(|credential| credential.access_key_id().to_owned())
    }

    /// The credential that comes after this one.
    async fn next_key(&self, session: &Arc<Session>, old: &str) -> String {
        let changed = async {
            loop {
                let key = self.key(session).await.unwrap();
                if key != old {
                    return key;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), changed).await.expect("the next one comes")
    }
}

fn with_role(duration: &str) -> Grant {
    Grant { role: Some(ROLE.into()), duration: duration.parse().unwrap(), ..grant("CHG-1") }
}

#[tokio::test]
async fn a_role_is_assumed_in_the_name_of_principal_window_and_session_and_that_is_on_record() {
    let mut desk = Desk::open("[[account]]\nname = \"default\"\nexternal_id = \"sealgate\"\nSOURCE").await;
    let session = desk.session(with_role("30m")).await;
    let credential = desk.sources().of(&session).await.unwrap();
    assert_eq!((credential.secret_access_key(), credential.session_token()), ("role secret", Some("role token")));

    let asked = desk.sts.asked();
    assert_eq!(asked.len(), 1);
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("RoleArn", "arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2Fdeploy"),
        ("RoleSessionName", "alice"),
        ("SourceIdentity", "alice"),
        ("ExternalId", "sealgate"),
        ("DurationSeconds", "1800"),
        ("Tags.member.1.Key", "sealgate%3Aprincipal"),
        ("Tags.member.1.Value", "alice"),
        ("Tags.member.2.Key", "sealgate%3Awindow"),
        ("Tags.member.2.Value", "CHG-1"),
        ("Tags.member.3.Key", "sealgate%3Asession"),
        ("Tags.member.3.Value", session.id.as_str()),
        ("TransitiveTagKeys.member.1", "sealgate%3Aprincipal"),
        ("TransitiveTagKeys.member.2", "sealgate%3Awindow"),
        ("TransitiveTagKeys.member.3", "sealgate%3Asession"),
    ] {
        assert_eq!(parameter(&asked[0], name), Some(value), "{name} of {}", asked[0]);
    }

    desk.gateway.stop().await;
    let evidence = check::window(&desk.gateway.home(), "CHG-1");
    let acts: Vec<_> = evidence.of(&Kind::Administration);
    let detail = |at: usize| serde_json::from_str::<serde_json::Value>(acts[at].fields.detail.as_deref().unwrap()).unwrap();
    assert_eq!((acts.len(), &detail(0)["act"], &detail(1)["act"]), (2, &"assume_role".into(), &"role_assumed".into()));
    assert_eq!(detail(0)["tags"]["sealgate:session"], session.id.as_str());
    assert_eq!(detail(1)["access_key_id"], credential.access_key_id());
    for act in acts {
        assert_eq!(
            (act.fields.account.as_deref(), act.fields.session.as_deref()),
            (Some("111122223333"), Some(session.id.as_str()))
        );
        assert_eq!((act.fields.operation.as_deref(), act.fields.principal.as_deref()), (Some("AssumeRole"), Some("alice")));
    }
    assert_eq!(evidence.of(&Kind::Administration)[1].fields.upstream_request_id.as_deref(), Some("req-1"));
    let written = format!("{:?}", evidence.records);
    assert!(!written.contains("role secret") && !written.contains("role token") && !written.contains("source secret"));
}

#[tokio::test]
async fn a_role_that_can_not_be_written_down_is_not_asked_for() {
    let mut desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    let session = desk.session(with_role("30m")).await;
    desk.gateway.disk.fail(Fault { operation: Operation::Sync, after: 0, form: Form::Lost, errno: 5 });
    let error = desk.key(&session).await.unwrap_err();
    assert!(matches!(error, SourceError::Unrecorded(_)), "{error}");
    assert_eq!(desk.sts.asked().len(), 0);
    desk.gateway.stop_anyhow().await;
}

#[tokio::test]
async fn what_a_trust_policy_does_not_allow_is_left_out() {
    let desk = Desk::open("[[account]]\nname = \"default\"\ntags = false\nsource_identity = false\nSOURCE").await;
    let session = desk.session(with_role("30m")).await;
    desk.key(&session).await.unwrap();
    let asked = desk.sts.asked();
    for absent in ["Tag", "SourceIdentity", "ExternalId"] {
        assert!(!asked[0].contains(absent), "{absent} in {}", asked[0]);
    }
    assert_eq!(parameter(&asked[0], "RoleSessionName"), Some("alice"));
}

#[tokio::test]
async fn a_role_is_asked_for_as_long_as_aws_gives_it() {
    let desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    for (duration, seconds) in [("5m", "900"), ("20m", "1200"), ("8h", "3600")] {
        let session = desk.session(with_role(duration)).await;
        desk.key(&session).await.unwrap();
        assert_eq!(parameter(desk.sts.asked().last().unwrap(), "DurationSeconds"), Some(seconds), "{duration}");
    }
}

#[tokio::test]
async fn many_calls_at_once_assume_a_role_once_and_each_session_has_its_own() {
    let desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    let (one, other) = (desk.session(with_role("1h")).await, desk.session(with_role("1h")).await);
    let calls: Vec<_> = (0..32)
        .map(|index| {
            let (sources, session) = (desk.sources(), if index % 2 == 0 { one.clone() } else { other.clone() });
            tokio::spawn(async move { sources.of(&session).await.unwrap().access_key_id().to_owned() })
        })
        .collect();
    let mut keys = std::collections::BTreeSet::new();
    for call in calls {
        keys.insert(call.await.unwrap());
    }
    assert_eq!((desk.sts.asked().len(), keys.len()), (2, 2));
}

#[tokio::test]
async fn the_next_credential_is_there_before_the_last_one_ends_and_that_one_is_used_while_it_fails() {
    let desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    let session = desk.session(with_role("8h")).await;
    let first = desk.key(&session).await.unwrap();
    desk.gateway.clock.step(54 * MINUTE);
    assert_eq!(desk.key(&session).await.unwrap(), first);
    assert_eq!(desk.sts.asked().len(), 1, "it is not due");
    desk.gateway.clock.step(2 * MINUTE);
    assert_eq!(desk.key(&session).await.unwrap(), first, "no call waits for the next one");
    let second = desk.next_key(&session, &first).await;
    assert_eq!(desk.sts.asked().len(), 2);

    desk.sts.refuses.store(true, Ordering::Relaxed);
    desk.gateway.clock.step(56 * MINUTE);
    assert_eq!(desk.key(&session).await.unwrap(), second);
    let failed = async {
        while desk.sources().views()[0].trouble.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.expect("the failure is seen");
    assert_eq!(desk.key(&session).await.unwrap(), second, "it is valid still");
    assert!(desk.gateway.running().gateway.trouble().iter().any(|why| why.contains("could not be assumed")));
    desk.gateway.clock.step(5 * MINUTE);
    assert!(matches!(desk.key(&session).await.unwrap_err(), SourceError::Role { .. }));
}

#[tokio::test]
async fn a_refusal_says_what_to_allow_is_on_record_and_is_not_asked_for_again_at_once() {
    let mut desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    desk.sts.refuses.store(true, Ordering::Relaxed);
    let session = desk.session(with_role("1h")).await;
    let error = desk.key(&session).await.unwrap_err().to_string();
    for says in [ROLE, "AccessDenied", "sts:TagSession", "sts:SetSourceIdentity", "tags = false", "account default"] {
        assert!(error.contains(says), "{says}: {error}");
    }
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(desk.key(&session).await.unwrap_err().to_string(), error);
    assert_eq!(desk.sts.asked().len(), 1);

    desk.gateway.stop().await;
    let evidence = check::window(&desk.gateway.home(), "CHG-1");
    let refused = evidence.of(&Kind::Administration)[1];
    assert!(refused.fields.detail.as_deref().unwrap().contains("role_not_assumed"));
    assert_eq!(
        (refused.fields.error_code.as_deref(), refused.fields.upstream_request_id.as_deref()),
        (Some("AccessDenied"), Some("req-7"))
    );
}

#[tokio::test]
async fn what_was_got_for_a_session_goes_with_it() {
    let desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    let session = desk.session(with_role("1h")).await;
    desk.key(&session).await.unwrap();
    assert_eq!(desk.sources().views()[0].assumed, 1);
    desk.gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    assert_eq!(desk.sources().views()[0].assumed, 0);
}

#[tokio::test]
async fn a_credential_that_is_over_already_is_a_failure_and_not_asked_for_in_a_circle() {
    let desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    let session = desk.session(with_role("1h")).await;
    desk.sts.is_late.store(true, Ordering::Relaxed);
    let error = desk.key(&session).await.unwrap_err();
    assert!(matches!(error, SourceError::Over(_)) && error.to_string().contains("clock"), "{error}");
    assert_eq!(desk.key(&session).await.unwrap_err(), error);
    assert_eq!(desk.sts.asked().len(), 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_sts_that_hangs() {
    let mut desk = Desk::open("[[account]]\nname = \"default\"\nSOURCE").await;
    desk.sts.hangs.store(true, Ordering::Relaxed);
    let session = desk.session(with_role("1h")).await;
    let sources = desk.sources();
    let call = tokio::spawn(async move { sources.of(&session).await });
    let begun = async {
        while desk.upstream.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("it is asked");
    tokio::time::timeout(Duration::from_secs(10), desk.gateway.stop()).await.expect("it stops");
    assert_eq!(call.await.unwrap().map(drop), Err(SourceError::Stopping));
    let evidence = check::window(&desk.gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Administration).len(), 1, "that it was asked is on record, and what became of it nobody knows");
}

#[tokio::test]
async fn an_account_that_is_not_there_is_told_when_a_session_is_asked_for() {
    let accounts =
        "[[account]]\nname = \"prod\"\naccount = \"111122223333\"\nroles = [\"team/*\"]\nSOURCE[[account]]\nname = \"dev\"\nSOURCE";
    let desk = Desk::open(accounts).await;
    let sessions = &desk.gateway.running().gateway.sessions;
    for (account, role, says) in [
        (Some("staging"), None, "there is no account staging; sealgate.toml has: prod, dev"),
        (None, None, "name one of prod, dev"),
        (Some("prod"), None, "one of team/*"),
        (Some("prod"), Some("admin"), "roles there are team/*"),
        (Some("dev"), Some("deploy"), "whole ARN"),
    ] {
        let grant = Grant { account: account.map(Into::into), role: role.map(Into::into), ..grant("CHG-1") };
        let asker = Asker::by_word(Some("alice"), &sealgate::sessions::actor::Actor::known_as("test"));
        for error in [
            sessions.open_session(grant.clone(), "test").await.unwrap_err(),
            sessions.request(grant, asker).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, SessionError::Invalid(_)) && error.to_string().contains(says), "{error}");
        }
    }
    let fits = Grant { account: Some("prod".into()), role: Some("team/deploy".into()), ..grant("CHG-1") };
    let session = desk.session(fits).await;
    desk.key(&session).await.unwrap();
    assert!(desk.sts.asked()[0].contains("role%2Fteam%2Fdeploy"));
}
