//! Calls that are signed with a credential that was not issued here, or in another session.

use super::revoked::{HOST, credential, signed};
use sealgate_policies::permit::Foreign;
use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::window,
    client::{Client, Speak, caller_identity},
    gateway::{TestGateway, grant},
    upstream::{Offer, Upstream, sts},
};

#[tokio::test]
async fn a_foreign_credential_is_refused_and_recorded_unless_its_key_may_pass() {
    for (foreign, keys, passes) in
        [(Foreign::Refuse, vec![], false), (Foreign::Pass, vec!["AKIAIOSF*"], true), (Foreign::Pass, vec!["AKIAX*"], false)]
    {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
        let mut gateway = TestGateway::new(folder, &upstream);
        (gateway.config.foreign, gateway.config.foreign_keys) = (foreign, keys.into_iter().map(String::from).collect());
        gateway.start().await;
        let session = gateway.open_session("CHG-1").await;
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
        let (status, said) = client.call(caller_identity(HOST)).await;
        assert_eq!(status == 200, passes, "{said:?}");
        gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
        gateway.stop().await;
        let evidence = window(&gateway.home(), "CHG-1");
        let of = |kind| evidence.of(&kind).into_iter().next();
        let record = if passes { of(Kind::Intent) } else { of(Kind::Refusal) }.expect("it is on record");
        assert_eq!(record.fields.credential.as_deref(), Some("AKIAIOSFODNN7EXAMPLE"));
        assert_eq!(record.fields.attribution.as_deref(), Some("none"));
        assert!(record.fields.rules.iter().any(|rule| **rule == *if passes { "foreign-passed" } else { "foreign-credential" }));
        assert_eq!(upstream.seen().len(), usize::from(passes));
    }
}

#[tokio::test]
async fn a_credential_is_good_in_its_own_session_s_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let other = gateway.running().gateway.sessions.open_session(grant("CHG-1"), "test").await.unwrap();
    let credential = credential(&gateway, &session).await;
    let mut client = Client::open(&gateway, &other, HOST, Speak::Http1).await;
    let (status, said) = client.call(signed(&credential)).await;
    assert_eq!(status, 403, "{said:?}");
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let refusal = evidence.of(&Kind::Refusal)[0];
    assert!(refusal.fields.rules.iter().any(|rule| **rule == *"credential-of-another-session"), "{refusal:?}");
    assert_eq!(refusal.fields.session.as_deref(), Some(other.id.as_str()));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn the_provider_s_own_log_gets_the_record_s_place_in_the_user_agent_unless_that_is_switched_off() {
    for mark in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
        let mut gateway = TestGateway::new(folder, &upstream);
        gateway.config.upstream.mark = mark;
        gateway.start().await;
        let session = gateway.open_session("CHG-1").await;
        let credential = credential(&gateway, &session).await;
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
        let mut request = signed(&credential);
        request.headers_mut().insert("user-agent", "test/1".parse().unwrap());
        assert_eq!(client.call(request).await.0, 200);
        gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
        gateway.stop().await;
        let seq = window(&gateway.home(), "CHG-1").of(&Kind::Intent)[0].seq;
        let seen = &upstream.seen()[0];
        let expected = if mark { format!("test/1 sealgate/CHG-1.{seq}") } else { "test/1".to_owned() };
        assert_eq!(seen.headers["user-agent"], expected);
        let authorization = seen.headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("Credential=AKIAREALKEY/"), "{authorization}");
        assert_eq!(seen.headers["x-amz-security-token"], "real-token");
    }
}
