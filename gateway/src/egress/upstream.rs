//! The way out: pooled connections over all sessions, HTTP/1.1 or HTTP/2 as the server likes, routes to private endpoints.

use super::{
    body::Upload,
    resign::{Signed, UnsignedError},
};
use crate::{
    config::Route,
    limits::{IDLE_UPSTREAM_PER_HOST_MAX, IDLE_UPSTREAM_WAIT},
    sigv4::{BodyFault, ResignError},
};
use http::{Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    future::Future,
    io,
    net::IpAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;

/// How long to wait for an upstream.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub answer: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
}

/// Why an answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, no TLS, or a broken exchange.
    #[error("{0}")]
    Failed(String),
    /// The session or credential ended while the call was under way.
    #[error("{0} while the call was under way; look what it did before you try again")]
    Over(String),
    /// What the client sent does not fit its signature.
    #[error("{0}")]
    Body(BodyFault),
    /// What it hands out could not be kept inside.
    #[error("{0}")]
    NotContained(String),
    /// It could not be signed.
    #[error("it could not be signed: {0}")]
    Unsigned(ResignError),
    /// The head of the answer did not come in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

impl From<UnsignedError> for UpstreamError {
    fn from(error: UnsignedError) -> Self {
        match error {
            UnsignedError::Resign(error) => Self::Unsigned(error),
            UnsignedError::Body(fault) => Self::Body(fault),
        }
    }
}

/// One way out: a pool and the roots it trusts. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client<HttpsConnector<Dial>, Upload>,
    connector: HttpsConnector<Dial>,
    dial: Dial,
    waits: Waits,
}

impl Upstream {
    /// What opens its connections, with TLS and without: for calls of the gateway's own.
    pub fn connectors(&self) -> (&HttpsConnector<Dial>, &Dial) {
        (&self.connector, &self.dial)
    }

    /// Sends the request and waits for the head of the answer.
    pub async fn send(&self, signed: Signed) -> Result<Response<Incoming>, UpstreamError> {
        let request = signed.spend();
        let fault = request.body().fault();
        let answer = tokio::time::timeout(self.waits.answer, self.client.request(request)).await;
        // Whatever came of it: a body that does not fit its signature was not sent to its end.
        if let Some(fault) = fault.found() {
            return Err(UpstreamError::Body(fault));
        }
        match answer {
            Ok(answer) => answer.map_err(|error| UpstreamError::Failed(chain(&error))),
            Err(_) => Err(UpstreamError::Silent(self.waits.answer)),
        }
    }

    /// The waits it keeps.
    pub fn waits(&self) -> Waits {
        self.waits
    }
}

/// An error with its causes: hyper's own text is "client error (Connect)".
pub(crate) fn chain(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// All ways out.
#[derive(Debug)]
pub struct Upstreams {
    routes: Vec<(Route, Upstream)>,
    default: Upstream,
}

/// Why the ways out could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A route's CA file.
    #[error("route {host}: the CA file {file}: {why}")]
    RouteCa {
        /// The route.
        host: String,
        /// Its file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS itself.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Upstreams {
    /// Trusts the system's roots by default, and each route's own CA on that route alone.
    pub fn new(routes: &[Route], waits: Waits) -> Result<Self, SetUpError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a system root certificate can't be used");
        }
        roots.add_parsable_certificates(native.certs);
        let default = upstream(roots.clone(), None, waits)?;
        let routes =
            routes.iter().map(|route| Ok((route.clone(), routed(route, &roots, waits)?))).collect::<Result<_, SetUpError>>()?;
        Ok(Self { routes, default })
    }

    /// The way out for a host, and whether a route names it.
    pub fn way(&self, host: &str) -> (&Upstream, Option<&Route>) {
        match self.routes.iter().find(|(route, _)| route.matches(host)) {
            Some((route, upstream)) => (upstream, Some(route)),
            None => (&self.default, None),
        }
    }

    /// Every way: those of the routes in their order, then the one without.
    pub fn ways(&self) -> impl Iterator<Item = (Option<&Route>, &Upstream)> {
        self.routes.iter().map(|(route, upstream)| (Some(route), upstream)).chain([(None, &self.default)])
    }
}

fn routed(route: &Route, system: &RootCertStore, waits: Waits) -> Result<Upstream, SetUpError> {
    let roots = match &route.ca {
        Some(file) => read_roots(file).map_err(|why| SetUpError::RouteCa {
            host: route.host.clone(),
            file: file.display().to_string(),
            why,
        })?,
        None => system.clone(),
    };
    Ok(upstream(roots, Some(route.to.clone()), waits)?)
}

fn read_roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
}

fn upstream(roots: RootCertStore, to: Option<String>, waits: Waits) -> Result<Upstream, rustls::Error> {
    let tls = ClientConfig::builder_with_provider(crate::crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let dial = Dial { to: to.map(Arc::from), wait: waits.connect };
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().wrap_connector(dial.clone());
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_UPSTREAM_WAIT)
        .pool_max_idle_per_host(IDLE_UPSTREAM_PER_HOST_MAX)
        .build(connector.clone());
    Ok(Upstream { client, connector, dial, waits })
}

/// Opens TCP connections: to the URI's host, or to the address of a route.
#[derive(Debug, Clone)]
pub struct Dial {
    to: Option<Arc<str>>,
    wait: Duration,
}

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (to, wait) = (self.to.clone(), self.wait);
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
            let address = to.map_or_else(|| format!("{}:{port}", bracketed(&host)), |to| to.to_string());
            dial(&address, wait).await.map(TokioIo::new)
        })
    }
}

/// Opens a TCP connection to a host that is nobody's metadata service, by whatever name or spelling it was asked for.
pub async fn dial_public(address: &str, wait: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::time::timeout(wait, tokio::net::lookup_host(address)).await??.collect();
    if addresses.iter().any(|address| is_metadata_address(address.ip())) {
        return Err(io::Error::other("it is the address of a metadata service, which hands out this machine's own credentials"));
    }
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match dial(&address.to_string(), wait).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Link-local addresses, and AWS's own: the metadata services of clouds.
pub fn is_metadata_address(address: IpAddr) -> bool {
    const AWS_METADATA_V6: [u16; 8] = [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
    const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            let segments = address.segments();
            let embedded = segments
                .starts_with(&NAT64)
                .then(|| address.octets())
                .and_then(|octets| Some((*octets.get(12)?, *octets.get(13)?)));
            address.is_unicast_link_local() || segments == AWS_METADATA_V6 || embedded == Some((169, 254))
        }
    }
}

/// Opens a TCP connection without Nagle's delay.
pub async fn dial(address: &str, wait: Duration) -> io::Result<TcpStream> {
    let too_slow = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection to {address} within {} s", wait.as_secs()));
    let stream = tokio::time::timeout(wait, TcpStream::connect(address)).await.map_err(too_slow)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_known() {
        for (address, metadata) in [
            ("169.254.169.254", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("fd00:ec2::254", true),
            ("fe80::1", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(is_metadata_address(address.parse().unwrap()), metadata, "{address}");
        }
    }

    #[tokio::test]
    async fn no_spelling_of_a_metadata_address_is_dialled() {
        for spelling in ["169.254.169.254:80", "2852039166:80", "0xa9fea9fe:80", "[::ffff:169.254.169.254]:80"] {
            let error = dial_public(spelling, Duration::from_secs(1)).await.unwrap_err();
            // A resolver that does not take the spelling does not reach the address either.
            assert!(error.to_string().contains("metadata") || error.to_string().contains("lookup"), "{spelling}: {error}");
        }
    }
}
