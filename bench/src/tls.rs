//! Certificates and TLS settings of the bench's own servers and clients: P-256, aws-lc-rs, as in the product.

use crate::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// The hosts that calls are for: one with small answers, one with large ones.
pub(crate) const HOSTS: [&str; 2] = ["sts.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com"];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server's settings for [`HOSTS`], HTTP/1.1 alone. The CA that they are under goes to the file `ca`.
pub(crate) fn server(ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> Result<ServerConfig> {
    let ca_key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    std::fs::write(ca, parameters.self_signed(&ca_key)?.pem())?;
    let issuer = Issuer::new(parameters, ca_key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(HOSTS.map(String::from))?.signed_by(&key, &issuer)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client's settings that trust the CA in a file, without ALPN.
pub(crate) fn client(ca: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The load's settings: HTTP/1.1, and a full handshake each time.
pub(crate) fn load(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut config = client(ca)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
