//! A call goes through, and is on record as it went.

use sealgate_schema::{payload::Capture, record::Kind};
use sealgate_tests::{
    check::window,
    client::{Client, Speak, caller_identity},
    gateway::TestGateway,
    upstream::{Offer, Upstream, sts},
};

const HOST: &str = "sts.us-east-1.amazonaws.com";

async fn journey(speak: Speak, offer: Offer, version: &str) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), offer, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, speak).await;
    let (status, body) = client.call(caller_identity(HOST)).await;
    assert_eq!(status, 200);
    assert!(body.starts_with(b"<GetCallerIdentityResponse"));
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;

    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].version, version);
    assert!(seen[0].headers.get("proxy-authorization").is_none());
    assert!(seen[0].headers["authorization"].to_str().unwrap().ends_with(&"f".repeat(64)), "the client's signature passes through");

    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.kinds(), ["window_open", "session_open", "intent", "outcome", "session_close", "window_close"]);
    let (intent, outcome) = (&evidence.records[2], &evidence.records[3]);
    let text = |text: &Option<sealgate_schema::Text>| text.as_deref().unwrap_or_default().to_owned();
    let fields = &intent.fields;
    assert_eq!(text(&fields.session), session.id.to_string());
    assert_eq!(
        (text(&fields.principal), text(&fields.principal_kind), text(&fields.attribution)),
        ("alice".into(), "human".into(), "none".into()),
        "the connection says whose session it is, and the signature is somebody else's"
    );
    assert_eq!(
        (text(&fields.service), text(&fields.region), text(&fields.operation)),
        ("sts".into(), "us-east-1".into(), "GetCallerIdentity".into())
    );
    assert_eq!(
        (text(&fields.access), text(&fields.credential), text(&fields.host)),
        ("read".into(), "AKIAIOSFODNN7EXAMPLE".into(), HOST.into())
    );
    assert_eq!(
        (text(&fields.method), text(&fields.path), text(&fields.decision), text(&fields.user_agent)),
        ("POST".into(), "/".into(), "permit".into(), "test/1".into())
    );
    assert_eq!((fields.call, fields.request_bytes), (Some(2), Some(43)));
    assert_eq!(evidence.payloads[&2].body_capture, Some(Capture::Full));
    assert_eq!(evidence.payloads[&2].body.as_deref(), Some(&b"Action=GetCallerIdentity&Version=2011-06-15"[..]));

    let fields = &outcome.fields;
    assert_eq!((fields.call, fields.status, fields.response_bytes), (Some(2), Some(200), Some(body.len() as u64)));
    assert_eq!((text(&fields.account), text(&fields.upstream_request_id)), ("123456789012".into(), "req-42".into()));
    assert_eq!(evidence.payloads[&3].body.as_deref(), Some(&body[..]));
}

#[tokio::test]
async fn a_call_over_http1_is_recorded_as_it_went() {
    journey(Speak::Http1, Offer::Http1, "HTTP/1.1").await;
}

#[tokio::test]
async fn a_call_over_http2_is_recorded_as_it_went() {
    journey(Speak::Http2, Offer::Http2, "HTTP/2.0").await;
}

#[tokio::test]
async fn the_two_sides_may_speak_different_versions() {
    journey(Speak::Http1, Offer::Http2, "HTTP/2.0").await;
    journey(Speak::Http2, Offer::Http1, "HTTP/1.1").await;
}

#[tokio::test]
async fn upstream_connections_are_shared_over_client_connections() {
    let folder = tempfile::tempdir().unwrap();
    let ports = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let connections = ports.clone();
    let upstream = Upstream::raw(folder.path(), move |mut stream| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        connections.lock().unwrap().insert(stream.get_ref().0.peer_addr().unwrap());
        async move {
            let mut buffer = vec![0; 65536];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    for _ in 0..5 {
        let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
        assert_eq!(client.call(caller_identity(HOST)).await.1, "ok");
    }
    assert_eq!(ports.lock().unwrap().len(), 1);
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome).len(), 5);
}

#[tokio::test]
async fn hundreds_of_parallel_calls_each_have_one_intent_and_one_outcome() {
    const CLIENTS: usize = 16;
    const CALLS: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http2, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    gateway.stop().await;
    // Small parts, so that records of one call lie in different ones.
    gateway.config.ledger.part_records = 50;
    gateway.start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..CLIENTS {
        let speak = if index % 2 == 0 { Speak::Http1 } else { Speak::Http2 };
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        tasks.spawn(async move {
            for _ in 0..CALLS {
                assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
            }
        });
    }
    tasks.join_all().await;
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    gateway.stop().await;
    assert_eq!(upstream.seen().len(), CLIENTS * CALLS);
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Intent).len(), CLIENTS * CALLS);
    assert_eq!(evidence.of(&Kind::Outcome).len(), CLIENTS * CALLS);
    assert_eq!(evidence.of(&Kind::OutcomeUnknown).len(), 0);
}

#[tokio::test]
async fn a_step_of_the_clock_is_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    gateway.clock.step(-90_000_000);
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    // Housekeeping may have met the step first, in the day's window.
    let day = sealgate_tests::check::check(&gateway.home()).into_iter().find(|(window, _)| window.starts_with("day-")).unwrap().1;
    assert_eq!(evidence.of(&Kind::ClockStep).len() + day.of(&Kind::ClockStep).len(), 1);
}

/// The step was written before the window's first record, which then was not the first.
#[tokio::test]
async fn a_step_of_the_clock_before_a_window_is_opened_is_told_after_its_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, _) = TestGateway::with_session(folder, &upstream).await;
    // Two days on the first thing that happens is that a day's window is opened.
    gateway.clock.step(2 * 24 * 3_600 * 1_000_000);
    gateway.running().gateway.sessions.housekeep().await.unwrap();
    gateway.stop().await;
    let all = sealgate_tests::check::check(&gateway.home());
    assert_eq!(all.values().map(|evidence| evidence.of(&Kind::ClockStep).len()).sum::<usize>(), 1);
}

/// A field that the upstream won't see must not name the call.
#[tokio::test]
async fn a_call_is_named_by_what_the_upstream_gets() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let mut request = caller_identity(HOST);
    request.headers_mut().insert("connection", "x-amz-target".parse().unwrap());
    request.headers_mut().insert("x-amz-target", "AmazonSQS.ListQueues".parse().unwrap());
    assert_eq!(client.call(request).await.0, 200);
    gateway.stop().await;
    assert!(upstream.seen()[0].headers.get("x-amz-target").is_none());
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Intent)[0].fields.operation.as_deref(), Some("GetCallerIdentity"));
}

#[tokio::test]
async fn an_end_that_could_not_be_written_down_at_once_is_written_down_later() {
    use sealgate_policies::session::Status;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    gateway.clock.step(3_600_000_000);
    // Its time is over, and nobody has noticed yet: closing its window must say so and not stumble over it.
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    assert_eq!(session.status(0), Status::Expired);
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::SessionExpire).len(), 1);
    gateway.start().await;
    gateway.stop().await;
}
