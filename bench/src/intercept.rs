//! Interception without recording: the floor under the product, on the product's own stack (hyper's server with upgrade,
//! rustls, one pooled hyper-util client for all sessions). Bodies stream through; nothing is looked at or kept.
//!
//! The product has no such mode, and must not get one.

use crate::{Result, listen::listen, tls};
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Name of the CA's file in the folder that the proxy is given.
pub(crate) const CA_FILE: &str = "intercept-ca.pem";
/// As in the product.
const IDLE_WAIT: Duration = Duration::from_secs(15);
const IDLE_PER_HOST_MAX: usize = 128;

type Client = legacy::Client<HttpsConnector<Dial>, Incoming>;
type Body = BoxBody<Bytes, hyper::Error>;

struct Proxy {
    acceptor: TlsAcceptor,
    client: Client,
}

pub(crate) async fn run(upstream: SocketAddr, upstream_ca: &Path, folder: &Path) -> Result<()> {
    let config = tls::server(&folder.join(CA_FILE), rustls::ALL_VERSIONS)?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls::client(upstream_ca)?).https_only().enable_all_versions();
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_WAIT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(connector.wrap_connector(Dial(upstream)));
    let proxy = Arc::new(Proxy { acceptor: TlsAcceptor::from(Arc::new(config)), client });
    listen(move |stream| {
        let proxy = proxy.clone();
        async move {
            let service = service_fn(|request| connect(proxy.clone(), request));
            Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await?)
        }
    })
    .await
}

async fn connect(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Response<Body>> {
    // A tunnel that ends hard is the client's affair.
    tokio::spawn(async move { drop(open(proxy, hyper::upgrade::on(request)).await) });
    Ok(Response::new(Empty::new().map_err(|never| match never {}).boxed()))
}

async fn open(proxy: Arc<Proxy>, upgrade: OnUpgrade) -> Result<()> {
    let parts = upgrade.await?.downcast::<TokioIo<TcpStream>>().map_err(|_| "the connection is no TCP stream")?;
    if !parts.read_buf.is_empty() {
        return Err("the client did not wait for the answer to CONNECT".into());
    }
    let stream = proxy.acceptor.accept(parts.io.into_inner()).await?;
    let service = service_fn(|request| forward(proxy.clone(), request));
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}

async fn forward(proxy: Arc<Proxy>, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).ok_or("a request without a host")?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::builder().scheme("https").authority(host).path_and_query(path).build()?;
    Ok(proxy.client.request(request).await?)
}

/// Every host is at the bench's upstream.
#[derive(Debug, Clone)]
struct Dial(SocketAddr);

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.0;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
