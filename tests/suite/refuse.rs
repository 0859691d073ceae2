//! What may not leave does not, is on record, and the client is told what to do.

use http::Request;
use sealgate::config::Route;
use sealgate_policies::{
    permit::{OtherHosts, Sessionless},
    session::Status,
};
use sealgate_schema::{Record, record::Kind};
use sealgate_tests::{
    check::{check, window},
    client::{self, Client, Speak, caller_identity, connect, credential, whole},
    gateway::TestGateway,
    upstream::{Offer, Upstream, sts},
};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "sts.us-east-1.amazonaws.com";

async fn gateway() -> (TestGateway, std::sync::Arc<sealgate_policies::session::Session>, Upstream) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let (gateway, session) = TestGateway::with_session(folder, &upstream).await;
    (gateway, session, upstream)
}

/// The refusals of all windows.
fn refusals(gateway: &TestGateway) -> Vec<Record> {
    let all: BTreeMap<_, _> = check(&gateway.home());
    all.values().flat_map(|evidence| evidence.of(&Kind::Refusal).into_iter().cloned()).collect()
}

fn rule(record: &Record) -> &str {
    record.fields.rules[0].as_str()
}

#[tokio::test]
async fn a_missing_wrong_or_malformed_proxy_credential_is_asked_for_and_recorded() {
    let (mut gateway, session, upstream) = gateway().await;
    let wrong = format!("{}:{}", session.id, "A".repeat(43));
    let other = credential(&gateway, &session).replace(&*session.id, "S-000000000000");
    for given in [None, Some("nonsense"), Some(wrong.as_str()), Some(other.as_str())] {
        let (status, head, mut stream) = connect(&gateway, given, &format!("{HOST}:443")).await;
        assert_eq!(status, 407, "{given:?}");
        assert!(head.to_lowercase().contains("proxy-authenticate: basic"), "{head}");
        let mut body = vec![0; 64];
        let read = stream.read(&mut body).await.unwrap();
        assert!(body[..read].starts_with(b"sealgate: "));
    }
    gateway.stop().await;
    assert!(upstream.seen().is_empty());
    let refusals = refusals(&gateway);
    assert_eq!(refusals.iter().map(rule).collect::<Vec<_>>(), ["proxy-credential"; 4]);
    assert_eq!(refusals[0].fields.host.as_deref(), Some(HOST));
}

#[tokio::test]
async fn a_session_that_is_over_is_refused_in_the_tools_own_error_shape() {
    let (mut gateway, session, upstream) = gateway().await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    gateway.clock.step(3_599_000_000);
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200, "a second before its end");
    gateway.clock.step(1_000_000);
    let (status, body) = client.call(caller_identity(HOST)).await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 403);
    assert!(body.contains("<ErrorResponse>") && body.contains("<Code>AccessDenied</Code>"), "{body}");
    assert!(body.contains(&*session.id) && body.contains("sealgate session open"), "{body}");
    // A new connection of the same session is told the same way.
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http2).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 403);
    gateway.stop().await;
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(refusals(&gateway).iter().map(rule).collect::<Vec<_>>(), ["session-expired"; 2]);
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_its_next_call_on_an_open_connection() {
    let (mut gateway, session, upstream) = gateway().await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http2).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    gateway.running().gateway.sessions.end_session(&session.id, Status::Revoked, "test", "no more").await.unwrap();
    let (status, body) = client.call(caller_identity(HOST)).await;
    assert_eq!(status, 403);
    assert!(String::from_utf8_lossy(&body).contains("was revoked"));
    gateway.stop().await;
    assert_eq!(upstream.seen().len(), 1);
    let refusal = &refusals(&gateway)[0];
    assert_eq!(rule(refusal), "session-ended");
    assert_eq!(refusal.fields.operation.as_deref(), Some("GetCallerIdentity"), "a refused call is named too");
}

#[tokio::test]
async fn a_call_in_a_closed_window_is_refused_and_recorded_in_the_day() {
    let (mut gateway, session, upstream) = gateway().await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    assert_eq!(client.call(caller_identity(HOST)).await.0, 403);
    gateway.stop().await;
    assert!(upstream.seen().is_empty());
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Refusal).len(), 0);
    assert_eq!(refusals(&gateway).len(), 1);
}

#[tokio::test]
async fn hosts_that_can_not_be_recorded_are_refused_not_tunnelled() {
    let (mut gateway, session, _upstream) = gateway().await;
    let credential = credential(&gateway, &session);
    for target in
        ["compute.googleapis.com:443", "management.azure.com:443", "169.254.169.254:80", "sts.amazonaws.com.evil.example:443"]
    {
        let (status, ..) = connect(&gateway, Some(&credential), target).await;
        assert_eq!(status, 403, "{target}");
    }
    gateway.stop().await;
    assert_eq!(refusals(&gateway).iter().map(rule).collect::<Vec<_>>(), ["unknown-cloud-host"; 4]);
}

#[tokio::test]
async fn another_host_is_tunnelled_and_the_tunnel_recorded_with_its_bytes() {
    let (mut gateway, session, _upstream) = gateway().await;
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = echo.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = echo.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let (status, _, mut stream) = connect(&gateway, Some(&credential(&gateway, &session)), &format!("localhost:{port}")).await;
    assert_eq!(status, 200);
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    drop(stream);
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let (intent, outcome) = (evidence.of(&Kind::Intent)[0], evidence.of(&Kind::Outcome)[0]);
    assert_eq!((intent.fields.decision.as_deref(), intent.fields.method.as_deref()), (Some("tunnel"), Some("CONNECT")));
    assert_eq!(intent.fields.host.as_deref(), Some(format!("localhost:{port}").as_str()));
    assert_eq!((outcome.fields.request_bytes, outcome.fields.response_bytes), (Some(5), Some(5)));
}

#[tokio::test]
async fn a_tunnel_is_cut_when_its_session_ends() {
    let (mut gateway, session, _upstream) = gateway().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("localhost:{}", silent.local_addr().unwrap().port());
    let (status, _, mut stream) = connect(&gateway, Some(&credential(&gateway, &session)), &target).await;
    assert_eq!(status, 200);
    gateway.running().gateway.sessions.end_session(&session.id, Status::Revoked, "test", "no more").await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection ends");
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.of(&Kind::Outcome)[0].fields.error_code.as_deref(), Some("SealgateTunnelBroken"));
}

#[tokio::test]
async fn other_hosts_are_refused_where_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.other_hosts = OtherHosts::Refuse;
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    let (status, ..) = connect(&gateway, Some(&credential(&gateway, &session)), "example.org:443").await;
    assert_eq!(status, 403);
    gateway.stop().await;
    assert_eq!(refusals(&gateway).iter().map(rule).collect::<Vec<_>>(), ["other-host"]);
}

#[tokio::test]
async fn calls_without_a_session_are_recorded_in_the_day_where_they_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    gateway.config.sessionless = Sessionless::Record;
    gateway.start().await;
    let mut client = Client::open_with(&gateway, None, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity(HOST)).await.0, 200);
    gateway.stop().await;
    let all = check(&gateway.home());
    let day = all.iter().find(|(window, _)| window.starts_with("day-")).unwrap().1;
    let intent = day.of(&Kind::Intent)[0];
    assert_eq!((intent.fields.attribution.as_deref(), &intent.fields.session), (Some("none"), &None));
}

#[tokio::test]
async fn a_request_for_another_host_than_its_tunnels_is_refused() {
    let (mut gateway, session, upstream) = gateway().await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(caller_identity("iam.amazonaws.com")).await.0, 421);
    // A second host beside the right one would be another way to the same end.
    let mut two = caller_identity(HOST);
    two.headers_mut().append("host", "iam.amazonaws.com".parse().unwrap());
    assert_eq!(client.call(two).await.0, 421);
    let mut user = caller_identity(HOST);
    user.headers_mut().insert("host", format!("user:PLANTED@{HOST}").parse().unwrap());
    assert_eq!(client.call(user).await.0, 400);
    gateway.stop().await;
    assert!(upstream.seen().is_empty());
    let refusals = refusals(&gateway);
    assert_eq!(refusals.iter().map(rule).collect::<Vec<_>>(), ["wrong-host", "wrong-host", "malformed"]);
    assert!(!format!("{refusals:?}").contains("PLANTED"));
}

#[tokio::test]
async fn a_handshake_for_another_name_fails_and_is_recorded() {
    let (mut gateway, session, _upstream) = gateway().await;
    let (_, _, stream) = connect(&gateway, Some(&credential(&gateway, &session)), &format!("{HOST}:443")).await;
    assert!(client::tls(&gateway, stream, "iam.amazonaws.com", Speak::Http1).await.is_err());
    gateway.stop().await;
    assert_eq!(refusals(&gateway).iter().map(rule).collect::<Vec<_>>(), ["tls-handshake"]);
}

#[tokio::test]
async fn what_is_not_connect_is_refused_with_a_word_on_what_this_is() {
    let (mut gateway, _, _upstream) = gateway().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "CONNECT nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(gateway.running().gateway.listen).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer[..read]));
    }
    gateway.stop().await;
    assert_eq!(refusals(&gateway).len(), 3);
}

#[tokio::test]
async fn errors_have_the_shape_of_the_service() {
    let (mut gateway, session, _upstream) = gateway().await;
    gateway.running().gateway.sessions.end_session(&session.id, Status::Closed, "test", "done").await.unwrap();
    let s3 = Request::get("/key").header("host", "bucket.s3.amazonaws.com").header("authorization", client::authorization("s3"));
    let dynamodb = Request::post("/")
        .header("host", "dynamodb.us-east-1.amazonaws.com")
        .header("authorization", client::authorization("dynamodb"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.GetItem");
    let ec2 = Request::post("/")
        .header("host", "ec2.us-east-1.amazonaws.com")
        .header("authorization", client::authorization("ec2"))
        .header("content-type", "application/x-www-form-urlencoded");
    let requests = [
        ("bucket.s3.amazonaws.com", s3.body(whole("")).unwrap(), "<Error><Code>AccessDenied</Code>"),
        ("dynamodb.us-east-1.amazonaws.com", dynamodb.body(whole("{}")).unwrap(), "\"__type\":\"AccessDenied"),
        (
            "ec2.us-east-1.amazonaws.com",
            ec2.body(whole("Action=DescribeInstances&Version=2016-11-15")).unwrap(),
            "<Response><Errors><Error><Code>AccessDenied",
        ),
    ];
    for (host, request, holds) in requests {
        let mut client = Client::open(&gateway, &session, host, Speak::Http1).await;
        let (status, body) = client.call(request).await;
        assert_eq!(status, 403);
        assert!(String::from_utf8_lossy(&body).contains(holds), "{host}: {}", String::from_utf8_lossy(&body));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_route_opens_a_private_host() {
    let (mut gateway, session, upstream) = gateway().await;
    let mut client = Client::open(&gateway, &session, "api.internal.test", Speak::Http1).await;
    assert_eq!(client.call(caller_identity("api.internal.test")).await.0, 200);
    assert_eq!(upstream.seen().len(), 1);
    gateway.stop().await;
    // A route under another CA does not trust the upstream.
    let other = tempfile::tempdir().unwrap();
    let stranger = Upstream::start(other.path(), Offer::Http1, sts()).await;
    gateway.config.route =
        vec![Route { host: "amazonaws.com".into(), to: upstream.address.to_string(), ca: Some(stranger.ca.clone()) }];
    gateway.start().await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let (status, body) = client.call(caller_identity(HOST)).await;
    assert_eq!(status, 502);
    assert!(String::from_utf8_lossy(&body).contains("certificate"), "{}", String::from_utf8_lossy(&body));
    gateway.stop().await;
}

#[tokio::test]
async fn a_metadata_service_is_not_reached_by_any_spelling() {
    let (mut gateway, session, _upstream) = gateway().await;
    let credential = credential(&gateway, &session);
    for target in ["2852039166:80", "0xa9fea9fe:80"] {
        let (status, ..) = connect(&gateway, Some(&credential), target).await;
        assert_eq!(status, 502, "{target}");
    }
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome).len(), 2);
}

#[tokio::test]
async fn what_is_not_http_within_a_tunnel_is_a_refusal() {
    let (mut gateway, session, _upstream) = gateway().await;
    let (_, _, stream) = connect(&gateway, Some(&credential(&gateway, &session)), &format!("{HOST}:443")).await;
    let mut stream = client::tls(&gateway, stream, HOST, Speak::Http1).await.unwrap();
    stream.write_all(b"this is not HTTP\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The gateway ends the connection; how TLS words that is no matter.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    gateway.stop().await;
    assert_eq!(refusals(&gateway).iter().map(rule).collect::<Vec<_>>(), ["malformed"]);
}
