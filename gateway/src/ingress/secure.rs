//! The TLS of an `https://` proxy: its own certificate, the client's, and who the client is by it. What comes over it is the same
//! proxy as without.

use super::{
    authority::Authority,
    listener::{Ended, Place, serve, set_nodelay},
};
use crate::{
    app::Gateway,
    clock::Clock,
    config::{ClientCertificates, ListenTls},
    ledger::Draft,
    limits::CLIENT_HEAD_WAIT,
    principals::{
        Presented,
        watched::{Reading, Watched},
    },
    refusal,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use sealgate_schema::record::{Fields, Kind};
use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroizing;

/// The TLS side of a listener. Its files are read again when they change.
#[derive(Debug)]
pub struct Secure {
    config: Watched<ServerConfig>,
}

impl Secure {
    /// Reads the files, or has a certificate made.
    pub fn new(settings: &ListenTls, authority: &Arc<Authority>, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let (settings, authority, clock) = (settings.clone(), authority.clone(), clock.clone());
        Ok(Self { config: Watched::new(move |reading| config(&settings, &authority, &clock, reading))? })
    }

    /// What is wrong with files that changed.
    pub fn trouble(&self) -> Option<String> {
        self.config.trouble()
    }

    /// Serves one connection.
    pub(super) async fn serve(&self, gateway: Arc<Gateway>, stream: TcpStream, peer: SocketAddr, place: Place) -> Ended {
        set_nodelay(&stream)?;
        let acceptor = TlsAcceptor::from(self.config.current());
        let handshake = tokio::time::timeout(CLIENT_HEAD_WAIT, acceptor.accept(stream)).await;
        let stream = match handshake.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"))) {
            Ok(stream) => stream,
            Err(error) => {
                record_failed_handshake(&gateway, peer, &error).await;
                return Err(error.into());
            }
        };
        let certificate = certificate(&gateway, &stream);
        Box::pin(serve(gateway, stream, peer, place, certificate)).await
    }
}

fn certificate(gateway: &Gateway, stream: &TlsStream<TcpStream>) -> Option<Presented> {
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(Arc::new(gateway.principals.by_certificate(chain, gateway.clock.now())))
}

/// A client that is turned away before it can ask for anything is a refusal like any other.
async fn record_failed_handshake(gateway: &Gateway, peer: SocketAddr, error: &io::Error) {
    // A client that only looked whether the port is open has been refused nothing.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return;
    }
    let message = format!(
        "TLS handshake with the proxy failed: {error}; does the client trust the proxy's CA, and is its certificate one of listen_tls.client_ca?"
    );
    let mut fields = Fields::new(Kind::Refusal);
    fields.client_addr = Some(peer.to_string().into());
    fields.attribution = Some("none".into());
    fields.decision = Some("refuse".into());
    fields.rules = vec!["proxy-tls-handshake".into()];
    fields.error_code = Some("SealgateTlsHandshake".into());
    fields.detail = Some(serde_json::json!({ "message": message }).to_string().into());
    if let Err(error) = refusal::record(gateway, None, || Draft::new(fields.clone())).await {
        tracing::error!(%error, "a refusal could not be recorded");
    }
}

fn config(
    settings: &ListenTls,
    authority: &Arc<Authority>,
    clock: &Arc<dyn Clock>,
    reading: &mut Reading,
) -> Result<ServerConfig, String> {
    let resolver: Arc<dyn ResolvesServerCert> = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => Arc::new(SingleCertAndKey::from(from_files(certificate, key, reading)?)),
        _ => Arc::new(Made::new(authority.clone(), names(settings))?),
    };
    let builder = ServerConfig::builder_with_details(crate::crypto::provider(), Arc::new(GatewayTime(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.client_ca {
        Some(file) => builder.with_client_cert_verifier(verifier(file, settings.client_certificates, reading)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn from_files(certificate: &Path, key: &Path, reading: &mut Reading) -> Result<CertifiedKey, String> {
    let chain = certificates(certificate, reading)?;
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", key.display());
    let pem = Zeroizing::new(reading.file(key)?);
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
    CertifiedKey::from_der(chain, key, &crate::crypto::provider()).map_err(|error| wrong(&error))
}

fn certificates(file: &Path, reading: &mut Reading) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = reading.file(file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(chain) if chain.is_empty() => Err(format!("{}: there is no certificate in it", file.display())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn verifier(file: &Path, clients: ClientCertificates, reading: &mut Reading) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, reading)? {
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crate::crypto::provider());
    let builder = match clients {
        ClientCertificates::Accept => builder.allow_unauthenticated(),
        ClientCertificates::Require => builder,
    };
    builder.build().map_err(|error| wrong(&error))
}

/// The names of the made certificate: those of the configuration, or the address itself and this machine's own names.
fn names(settings: &ListenTls) -> Vec<String> {
    if !settings.names.is_empty() {
        return settings.names.clone();
    }
    let address = settings.address.ip();
    let own = Some(address).filter(|address| !address.is_unspecified() && !address.is_loopback());
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    own.map(|address| address.to_string()).into_iter().chain(local).collect()
}

/// A certificate of the gateway's own CA, made anew before it ends.
struct Made {
    authority: Arc<Authority>,
    names: Vec<String>,
    current: Mutex<(Arc<CertifiedKey>, SystemTime)>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Made {
    fn new(authority: Arc<Authority>, names: Vec<String>) -> Result<Self, String> {
        let (key, renew) = authority.certificate(&names).map_err(|error| format!("listen_tls.names: {error}"))?;
        Ok(Self { authority, names, current: Mutex::new((Arc::new(key), renew)) })
    }
}

impl ResolvesServerCert for Made {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if SystemTime::now() >= current.1 {
            // The one that it has is good for some days yet; the next handshake tries again.
            match self.authority.certificate(&self.names) {
                Ok((key, renew)) => *current = (Arc::new(key), renew),
                Err(error) => tracing::error!(%error, "the proxy's certificate could not be made anew"),
            }
        }
        Some(current.0.clone())
    }
}

/// The gateway's clock, for the validity of client certificates.
#[derive(Debug)]
struct GatewayTime(Arc<dyn Clock>);

impl TimeProvider for GatewayTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
