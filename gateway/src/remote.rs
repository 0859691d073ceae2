//! Calls to other parties than cloud APIs (witnesses, timestamp authorities, key sets, webhooks): small requests, small answers,
//! a bound on each wait. A call that failed may have been done all the same; what is asked for here can be asked for again.

use crate::{egress::upstream::chain, limits::IDLE_REMOTE_WAIT};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::time::Duration;

/// Why an answer did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// No connection, no TLS, or a broken exchange.
    #[error("{0}")]
    Failed(String),
    /// It did not come in time.
    #[error("no answer within {:?}", .0)]
    Silent(Duration),
    /// It was longer than it may be, or broke off.
    #[error("the answer can't be read: {0}")]
    Unreadable(String),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// A client for `http://` and, with the system's roots, `https://`. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Remote {
    /// Trusts the system's roots.
    pub fn new() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::with_roots(roots)
    }

    /// Trusts these certificates (PEM) and no others: servers with a CA of their own.
    pub fn trusting(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("the CA is not PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the CA: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the CA file has no certificate".to_owned());
        }
        Self::with_roots(roots).map_err(|error| error.to_string())
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(crate::crypto::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut dial = HttpConnector::new();
        dial.enforce_http(false);
        dial.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(dial);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_REMOTE_WAIT)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { client })
    }

    /// Posts and reads the whole answer, within `wait`.
    pub async fn post(
        &self,
        url: &Uri,
        content_type: &'static str,
        body: Bytes,
        answer_bytes_max: usize,
        wait: Duration,
    ) -> Result<Answer, RemoteError> {
        let request = Request::post(url.clone())
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .map_err(|error| RemoteError::Failed(error.to_string()))?;
        self.answer(request, answer_bytes_max, wait).await
    }

    /// Gets and reads the whole answer, within `wait`. Redirects are answers like any other.
    pub async fn get(&self, url: &Uri, answer_bytes_max: usize, wait: Duration) -> Result<Answer, RemoteError> {
        let request = Request::get(url.clone()).body(Full::default()).map_err(|error| RemoteError::Failed(error.to_string()))?;
        self.answer(request, answer_bytes_max, wait).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>, answer_bytes_max: usize, wait: Duration) -> Result<Answer, RemoteError> {
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| RemoteError::Failed(chain(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), answer_bytes_max).collect().await;
            Ok(Answer { status, body: body.map_err(|error| RemoteError::Unreadable(error.to_string()))?.to_bytes() })
        };
        tokio::time::timeout(wait, answer).await.unwrap_or(Err(RemoteError::Silent(wait)))
    }
}

/// Reads a URL that a call can go to.
pub fn url(text: &str) -> Result<Uri, String> {
    let wrong = || format!("{text:?} is not a URL; write http://HOST:PORT/… or https://HOST/…");
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let known = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() && url.query().is_none();
    if known { Ok(url) } else { Err(wrong()) }
}
