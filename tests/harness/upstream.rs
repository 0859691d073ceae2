//! A TLS upstream on loopback that keeps the truth: every request that reached it, and when.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Body of an answer.
pub type Body = BoxBody<Bytes, Infallible>;
/// What answers a request.
pub type Handler = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync>;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// HTTP version, for example `HTTP/2.0`.
    pub version: String,
    /// `METHOD URI`.
    pub line: String,
    /// Its header fields.
    pub headers: HeaderMap,
}

/// A running upstream. It ends with its runtime.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// PEM file of the CA to trust.
    pub ca: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Which protocols the upstream offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, with HTTP/1.1 for those who ask.
    Http2,
}

impl Upstream {
    /// Starts one that answers with `handler`; its CA file goes into `folder`.
    pub async fn start(folder: &Path, offer: Offer, handler: Handler) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let serve = move |stream: TlsStream<TcpStream>| {
            let (handler, log) = (handler.clone(), log.clone());
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    log.lock().unwrap().push(Seen {
                        version: format!("{:?}", request.version()),
                        line,
                        headers: request.headers().clone(),
                    });
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                // A client that goes away ends its connection with an error, which is its affair.
                if http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                }
            }
        };
        let (address, ca) = listen(folder, offer, serve).await;
        Self { address, ca, seen }
    }

    /// Starts one that answers each connection with raw bytes: whatever `serve` does with it.
    pub async fn raw<F>(folder: &Path, serve: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (address, ca) = listen(folder, Offer::Http1, serve).await;
        Self { address, ca, seen: Arc::default() }
    }

    /// What arrived so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn listen<F>(
    folder: &Path,
    offer: Offer,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + 'static,
) -> (SocketAddr, PathBuf)
where
    F: Future<Output = ()> + Send + 'static,
{
    let ca = folder.join("upstream-ca.pem");
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&ca, offer)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    (address, ca)
}

fn server_config(ca: &Path, offer: Offer) -> ServerConfig {
    let ca_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = parameters.self_signed(&ca_key).unwrap();
    std::fs::write(ca, certificate.pem()).unwrap();
    let issuer = Issuer::new(parameters, ca_key);
    let names = [
        "*.amazonaws.com",
        "*.us-east-1.amazonaws.com",
        "*.s3.amazonaws.com",
        "*.s3.us-east-1.amazonaws.com",
        "*.sso.us-east-1.amazonaws.com",
        "*.internal.test",
        "localhost",
    ];
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names.map(String::from)).unwrap().signed_by(&key, &issuer).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = match offer {
        Offer::Http1 => vec![b"http/1.1".to_vec()],
        Offer::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config
}

/// A handler from a function.
pub fn handler<F>(answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Handler
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(answer(request)))
}

/// An answer in one piece.
pub fn text(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(body.into()).boxed())
}

/// Reads the request to its end and answers with what `GetCallerIdentity` answers.
pub fn sts() -> Handler {
    handler(|request| async move {
        let _ = request.into_body().collect().await;
        let mut response = text(concat!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>",
            "<Arn>arn:aws:iam::123456789012:user/alice</Arn><UserId>AIDA</UserId><Account>123456789012</Account>",
            "</GetCallerIdentityResult><ResponseMetadata><RequestId>req-42</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        ));
        response.headers_mut().insert("content-type", "text/xml".parse().unwrap());
        response.headers_mut().insert("x-amzn-requestid", "req-42".parse().unwrap());
        response
    })
}
