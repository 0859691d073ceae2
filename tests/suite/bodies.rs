//! Bodies stream: any size, hashed whole, kept up to the capture. (That memory stays flat: `clients.rs`, in the real process.)

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use sealgate_schema::{Hash, payload::Capture, record::Kind};
use sealgate_tests::{
    check::window,
    client::{Body, Client, Speak, authorization, caller_identity, whole},
    gateway::TestGateway,
    upstream::{Offer, Upstream, handler, sts, text},
};
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

const HOST: &str = "bucket.s3.amazonaws.com";
const CHUNK: usize = 64 << 10;
const CAPTURE: usize = 256 << 10;

/// A body of so many chunks, made as it is read, and trailers after it.
struct Flow {
    left: usize,
    trailers: Option<HeaderMap>,
}

fn chunk(left: usize) -> Bytes {
    Bytes::from(vec![(left % 251) as u8; CHUNK])
}

fn flow(chunks: usize) -> Body {
    Flow { left: chunks, trailers: None }.boxed()
}

fn hash_of_flow(chunks: usize) -> Hash {
    let sha = (0..chunks).rev().fold(Sha256::new(), |sha, left| sha.chain_update(chunk(left)));
    Hash(sha.finalize().into())
}

impl http_body::Body for Flow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(Ok(Frame::data(chunk(left))))
            }
            None => self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
        })
    }
}

fn put(body: Body, length: Option<usize>) -> Request<Body> {
    let mut request = Request::put("/key").header("host", HOST).header("authorization", authorization("s3"));
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(body).unwrap()
}

/// Answers with the SHA-256 of what came.
fn digesting() -> sealgate_tests::upstream::Handler {
    handler(|request| async move {
        let (mut sha, mut body) = (Sha256::new(), request.into_body());
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                sha.update(&data);
            }
        }
        text(Hash(sha.finalize().into()).to_string())
    })
}

async fn upload(speak: Speak, chunks: usize, length: Option<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http2, digesting()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let mut client = Client::open(&gateway, &session, HOST, speak).await;
    let (status, body) = client.call(put(flow(chunks), length)).await;
    assert_eq!((status.as_u16(), body), (200, Bytes::from(hash_of_flow(chunks).to_string())));
    gateway.stop().await;
    let evidence = window(&gateway.home(), "CHG-1");
    assert_eq!(evidence.kinds()[2..], ["intent", "request_body", "outcome"]);
    let (intent, body) = (&evidence.payloads[&2], &evidence.payloads[&3]);
    assert_eq!((intent.body_capture, &intent.body), (Some(Capture::Streamed), &None));
    assert_eq!((body.body_capture, body.body_bytes), (Some(Capture::Truncated), Some((chunks * CHUNK) as u64)));
    assert_eq!((body.body_sha256, body.body.as_ref().map(Bytes::len)), (Some(hash_of_flow(chunks)), Some(CAPTURE)));
    assert_eq!(evidence.records[3].fields.request_bytes, Some((chunks * CHUNK) as u64));
}

#[tokio::test]
async fn an_upload_of_64_mib_arrives_whole_and_is_hashed_whole() {
    upload(Speak::Http1, 1024, Some(1024 * CHUNK)).await;
    upload(Speak::Http2, 1024, Some(1024 * CHUNK)).await;
}

#[tokio::test]
async fn an_upload_without_a_length_is_read_ahead_and_then_streamed() {
    upload(Speak::Http1, 16, None).await;
    upload(Speak::Http2, 16, None).await;
}

#[tokio::test]
async fn a_download_of_64_mib_arrives_whole_and_is_hashed_whole() {
    const CHUNKS: usize = 1024;
    for (speak, with_length) in [(Speak::Http1, true), (Speak::Http2, false)] {
        let folder = tempfile::tempdir().unwrap();
        let answer = handler(move |_| async move {
            let mut response = Response::new(flow(CHUNKS));
            if with_length {
                response.headers_mut().insert("content-length", (CHUNKS * CHUNK).into());
            }
            response
        });
        let upstream = Upstream::start(folder.path(), Offer::Http1, answer).await;
        let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        let response = client.send(Request::get("/key").header("host", HOST).body(whole("")).unwrap()).await.unwrap();
        let (mut sha, mut body) = (Sha256::new(), response.into_body());
        while let Some(frame) = body.frame().await {
            sha.update(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(Hash(sha.finalize().into()), hash_of_flow(CHUNKS));
        gateway.stop().await;
        let evidence = window(&gateway.home(), "CHG-1");
        let outcome = &evidence.payloads[&3];
        assert_eq!((outcome.body_sha256, outcome.body_capture), (Some(hash_of_flow(CHUNKS)), Some(Capture::Truncated)));
        assert_eq!(evidence.records[3].fields.response_bytes, Some((CHUNKS * CHUNK) as u64));
    }
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    let answer = handler(|request| async move {
        let trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
        let mut response = Response::new(Flow { left: 1, trailers: Some(trailers) }.boxed());
        response.headers_mut().insert("trailer", "x-amz-checksum-crc32".parse().unwrap());
        response
    });
    let upstream = Upstream::start(folder.path(), Offer::Http2, answer).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    for speak in [Speak::Http1, Speak::Http2] {
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        let trailers = HeaderMap::from_iter([("x-amz-checksum-crc32".parse().unwrap(), "AAAA".parse().unwrap())]);
        let mut request = put(Flow { left: 1, trailers: Some(trailers) }.boxed(), None);
        request.headers_mut().insert("trailer", "x-amz-checksum-crc32".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let response = client.send(request).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-amz-checksum-crc32"], "AAAA", "{speak:?}");
    }
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome).len(), 2);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_told_to_continue() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, digesting()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    let credential = sealgate_tests::client::credential(&gateway, &session);
    let (_, _, stream) = sealgate_tests::client::connect(&gateway, Some(&credential), &format!("{HOST}:443")).await;
    let mut stream = sealgate_tests::client::tls(&gateway, stream, HOST, Speak::Http1).await.unwrap();
    let head = format!("PUT /key HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&answer[..read]));
    stream.write_all(b"hello").await.unwrap();
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(upstream.seen()[0].headers["expect"], "100-continue", "it may be signed");
    drop(stream);
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").payloads[&2].body.as_deref(), Some(&b"hello"[..]));
}

/// A client that is still sending when its call fails reads the answer all the same.
#[tokio::test]
async fn a_failed_upload_gets_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, digesting()).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    gateway.stop().await;
    gateway.config.route[0].to = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    gateway.start().await;
    for speak in [Speak::Http1, Speak::Http2] {
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        let (status, body) = client.call(put(flow(128), Some(128 * CHUNK))).await;
        assert_eq!(status, 502, "{speak:?}");
        assert!(String::from_utf8_lossy(&body).contains("<Code>BadGateway</Code>"));
    }
    gateway
        .running()
        .gateway
        .sessions
        .end_session(&session.id, sealgate_policies::session::Status::Revoked, "test", "no")
        .await
        .unwrap();
    let mut client = Client::open(&gateway, &session, HOST, Speak::Http1).await;
    assert_eq!(client.call(put(flow(128), Some(128 * CHUNK))).await.0, 403);
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome).len(), 2);
}

#[tokio::test]
async fn the_capture_is_as_large_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(folder.path(), Offer::Http1, sts()).await;
    let mut gateway = TestGateway::new(folder, &upstream);
    for (capture, expected) in [(0, Capture::Omitted), (10, Capture::Truncated)] {
        gateway.config.capture_bytes = capture;
        gateway.start().await;
        let id = format!("CHG-{capture}");
        let session = gateway.open_session(&id).await;
        let mut client = Client::open(&gateway, &session, "sts.amazonaws.com", Speak::Http1).await;
        assert_eq!(client.call(caller_identity("sts.amazonaws.com")).await.0, 200);
        gateway.stop().await;
        let evidence = window(&gateway.home(), &id);
        let intent = &evidence.payloads[&2];
        assert_eq!(
            (intent.body_capture, intent.body.as_ref().map_or(0, Bytes::len), intent.body_bytes),
            (Some(expected), capture, Some(43))
        );
        assert_eq!(evidence.records[2].fields.operation.as_deref(), Some("GetCallerIdentity"), "named all the same");
    }
}

#[tokio::test]
async fn an_answer_without_body_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let answer = handler(|request| async move {
        let mut response = text("");
        *response.status_mut() =
            if request.method() == http::Method::HEAD { http::StatusCode::OK } else { http::StatusCode::NO_CONTENT };
        if request.method() == http::Method::HEAD {
            response.headers_mut().insert("content-length", "1234".parse().unwrap());
        }
        response
    });
    let upstream = Upstream::start(folder.path(), Offer::Http1, answer).await;
    let (mut gateway, session) = TestGateway::with_session(folder, &upstream).await;
    for speak in [Speak::Http1, Speak::Http2] {
        let mut client = Client::open(&gateway, &session, HOST, speak).await;
        let head = client.send(Request::head("/key").header("host", HOST).body(whole("")).unwrap()).await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "1234"));
        assert!(head.into_body().is_end_stream());
        let delete = Request::delete("/key").header("host", HOST).body(whole("")).unwrap();
        assert_eq!(client.call(delete).await.0, 204);
    }
    gateway.stop().await;
    assert_eq!(window(&gateway.home(), "CHG-1").of(&Kind::Outcome).len(), 4);
}
