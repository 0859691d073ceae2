//! Upstreams that hang, die or send garbage, and clients that leave: each call still has one outcome that says so.

use sealgate_schema::record::Kind;
use sealgate_tests::{
    check::window,
    client::{Client, Speak, caller_identity},
    gateway::TestGateway,
    upstream::{Offer, Upstream, handler, sts, text},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use tokio_rustls::server::TlsStream;

const HOST: &str = "sts.us-east-1.amazonaws.com";

async fn read_head(stream: &mut TlsStream<TcpStream>) {
    let mut buffer = vec![0; 65536];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
}

/// The client's status (`None`: the answer broke off), and the outcome's status and error code.
async fn check(answer: &'static [u8], then_hang: bool, expected: (Option<u16>, Option<u16>, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::raw(folder.path(), move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
        if then_hang {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let mut gateway = TestGateway::new(folder, &upstream);
    (gateway.config.upstream.answer_seconds, gateway.config.upstream.idle_seconds) = (1, 1);
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let response = client.send(caller_identity(HOST)).await.expect("a head");
    let status = response.status().as_u16();
    let whole = http_body_util::BodyExt::collect(response.into_body()).await.is_ok();
    assert_eq!(whole.then_some(status), expected.0);
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let outcomes = evidence.of(&Kind::Outcome);
    assert_eq!(outcomes.len(), 1);
    assert_eq!((outcomes[0].fields.status, outcomes[0].fields.error_code.as_deref()), (expected.1, Some(expected.2)));
}

#[tokio::test]
async fn an_upstream_that_sends_garbage_is_a_bad_gateway() {
    check(b"this is not HTTP\r\n\r\n", false, (Some(502), Some(502), "SealgateUpstreamFailed")).await;
}

#[tokio::test]
async fn an_upstream_that_dies_before_it_answers_is_a_bad_gateway() {
    check(b"", false, (Some(502), Some(502), "SealgateUpstreamFailed")).await;
}

#[tokio::test]
async fn an_upstream_that_hangs_is_a_gateway_timeout() {
    check(b"", true, (Some(504), Some(504), "SealgateUpstreamSilent")).await;
}

#[tokio::test]
async fn a_short_answer_that_breaks_off_is_a_bad_gateway() {
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", false, (Some(502), Some(502), "SealgateUpstreamFailed")).await;
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", true, (Some(504), Some(504), "SealgateUpstreamSilent")).await;
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_off_breaks_off_for_the_client_too() {
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf", false, (None, Some(200), "SealgateUpstreamBroken")).await;
    check(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", true, (None, Some(200), "SealgateUpstreamBroken"))
        .await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    gateway.config.route[0].to = gone.to_string();
    gateway.start().await;
    let session = gateway.open_session("CHG-1").await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http2).await;
    let (status, body) = client.call(caller_identity(HOST)).await;
    assert_eq!(status, 502);
    assert!(String::from_utf8_lossy(&body).contains("<ErrorResponse>"));
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome)[0].fields.status, Some(502));
}

#[tokio::test]
async fn a_client_that_leaves_while_the_upstream_works_leaves_an_outcome() {
    for speak in [Speak::Http1, Speak::Http2] {
        let folder = tempfile::tempdir().unwrap();
        let arrived = Arc::new(Notify::new());
        let told = arrived.clone();
        let upstream = Upstream::start(
            folder.path(),
            Offer::Http1,
            handler(move |_| {
                let told = told.clone();
                async move {
                    told.notify_one();
                    std::future::pending::<()>().await;
                    text("")
                }
            }),
        )
        .await;
        let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        // The losing future is the call: dropping it is the client leaving.
        tokio::select! {
            _ = client.send(caller_identity(HOST)) => panic!("nothing answers"),
            () = arrived.notified() => {}
        }
        drop(client);
        drained(&gateway).await;
        gateway.stop().await;
        let evidence = window(&gateway.home(), "CHG-1");
        let code = evidence.of(&Kind::Outcome)[0].fields.error_code.clone();
        assert!(["SealgateClientGone", "SealgateCallAbandoned"].contains(&code.as_deref().unwrap()), "{speak:?} {code:?}");
    }
}

/// Whoever leaves before the answer does not take along what was sent.
#[tokio::test]
async fn a_client_that_leaves_after_its_upload_leaves_the_body_on_record() {
    const LENGTH: usize = 300 << 10;
    let folder = tempfile::tempdir().unwrap();
    let arrived = Arc::new(Notify::new());
    let told = arrived.clone();
    let hang = handler(move |request| {
        let told = told.clone();
        async move {
            let _ = http_body_util::BodyExt::collect(request.into_body()).await;
            told.notify_one();
            std::future::pending::<()>().await;
            text("")
        }
    });
    let upstream = Upstream::start(folder.path(), Offer::Http1, hang).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let mut request = caller_identity(HOST);
    request.headers_mut().insert("content-type", "application/x-amz-json-1.0".parse().unwrap());
    request.headers_mut().insert("content-length", LENGTH.into());
    *request.body_mut() = sealgate_tests::client::whole(vec![b' '; LENGTH]);
    tokio::select! {
        _ = client.send(request) => panic!("nothing answers"),
        () = arrived.notified() => {}
    }
    drop(client);
    drained(&gateway).await;
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.kinds()[2..], ["intent", "request_body", "outcome"]);
    assert_eq!(evidence.records[3].fields.request_bytes, Some(LENGTH as u64));
    assert_eq!(evidence.records[4].fields.error_code.as_deref(), Some("SealgateClientGone"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_the_answer_leaves_an_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::raw(folder.path(), |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegin").await.unwrap();
        stream.flush().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let mut response = client.send(caller_identity(HOST)).await.unwrap();
    assert!(http_body_util::BodyExt::frame(response.body_mut()).await.is_some());
    drop((response, client));
    drained(&gateway).await;
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    let outcome = evidence.of(&Kind::Outcome)[0];
    assert_eq!((outcome.fields.status, outcome.fields.error_code.as_deref()), (Some(200), Some("SealgateClientGone")));
    assert_eq!(outcome.fields.response_bytes, Some(5));
}

#[tokio::test]
async fn a_call_under_way_when_its_window_closes_is_cut_and_has_its_outcome_before_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::raw(folder.path(), |mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    let call = tokio::spawn(async move { client.send(caller_identity(HOST)).await });
    while gateway.running().gateway.ledger.calls_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.running().gateway.sessions.close_window("CHG-1", "test").await.unwrap();
    assert_eq!(window_kinds(&gateway), ["window_open", "session_open", "intent", "outcome", "session_close", "window_close"]);
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.records[3].fields.error_code.as_deref(), Some("SealgateCut"));
    assert_eq!(call.await.unwrap().unwrap().status(), 403);
    gateway.stop_anyhow().await;
}

fn window_kinds(gateway: &TestGateway) -> Vec<String> {
    window(&gateway.home(), "CHG-1").kinds().into_iter().map(str::to_owned).collect()
}

/// Waits until no call is open; the suite's own time limit ends a wait that does not end.
async fn drained(gateway: &TestGateway) {
    while gateway.running().gateway.ledger.calls_in_flight() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
