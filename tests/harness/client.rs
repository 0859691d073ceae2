//! A client as SDKs are: CONNECT with a proxy credential, TLS under the gateway's CA, HTTP/1.1 or HTTP/2.

use crate::gateway::TestGateway;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sealgate_policies::session::Session;
use std::{convert::Infallible, io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Which protocol the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speak {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Body of a request.
pub type Body = BoxBody<Bytes, Infallible>;

/// A connection through the gateway.
pub enum Client {
    /// HTTP/1.1.
    Http1(hyper::client::conn::http1::SendRequest<Body>),
    /// HTTP/2.
    Http2(hyper::client::conn::http2::SendRequest<Body>),
}

/// `SESSION:TOKEN` of a session.
pub fn credential(gateway: &TestGateway, session: &Session) -> String {
    format!("{}:{}", session.id, *gateway.running().gateway.sessions.token(&session.id))
}

/// Sends CONNECT and returns the status line's number, the rest of the answer's head, and the connection.
pub async fn connect(gateway: &TestGateway, credential: Option<&str>, target: &str) -> (StatusCode, String, TcpStream) {
    let mut stream = TcpStream::connect(gateway.running().gateway.listen).await.unwrap();
    let credential =
        credential.map(|credential| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credential))).unwrap_or_default();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credential}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap_or_default().parse().unwrap();
    (status, head, stream)
}

/// TLS over a tunnel, asking by SNI for `host`.
pub async fn tls(gateway: &TestGateway, stream: TcpStream, host: &str, speak: Speak) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateway.home().join("keys/ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if speak == Speak::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
}

impl Client {
    /// A connection to `host` in a session.
    pub async fn open(gateway: &TestGateway, session: &Session, host: &str, speak: Speak) -> Self {
        Self::open_with(gateway, Some(&credential(gateway, session)), host, speak).await
    }

    /// A connection to `host` with any proxy credential.
    pub async fn open_with(gateway: &TestGateway, credential: Option<&str>, host: &str, speak: Speak) -> Self {
        let (status, head, stream) = connect(gateway, credential, &format!("{host}:443")).await;
        assert_eq!(status, 200, "{head}");
        let stream = TokioIo::new(tls(gateway, stream, host, speak).await.expect("TLS"));
        match speak {
            Speak::Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Speak::Http2 => {
                let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }

    /// Sends a request. Over HTTP/2 its path becomes a URI with the host.
    pub async fn send(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let host = request.headers_mut().remove("host").expect("a host");
                *request.uri_mut() = format!("https://{}{}", host.to_str().unwrap(), request.uri()).parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(&mut self, request: Request<Body>) -> (StatusCode, Bytes) {
        let response = self.send(request).await.expect("an answer");
        let status = response.status();
        (status, response.into_body().collect().await.expect("a whole answer").to_bytes())
    }
}

/// A body in one piece.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed()
}

/// A signed STS call, as an SDK makes it. The signature is not a real one: the test upstream does not check.
pub fn caller_identity(host: &str) -> Request<Body> {
    Request::post("/")
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("user-agent", "test/1")
        .header("x-amz-date", "20261123T000000Z")
        .header("authorization", authorization("sts"))
        .body(whole("Action=GetCallerIdentity&Version=2011-06-15"))
        .unwrap()
}

/// An `Authorization` header for a service.
pub fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261123/us-east-1/{service}/aws4_request, SignedHeaders=host;x-amz-date, Signature={}",
        "f".repeat(64)
    )
}
