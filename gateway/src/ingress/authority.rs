//! The gateway's own certificate authority: its root, and leaf certificates minted per host.
//!
//! Leaves are what strict clients want (RFC 5280 with OpenSSL's `X509_STRICT`): version 3, key identifiers, critical
//! basic constraints and key usage, the whole chain. One P-256 key serves all leaves of a run; it never leaves memory.

use crate::limits::{CA_DAYS, LEAF_DAYS, LEAF_RENEW_DAYS, LEAVES_MAX};
use lru::LruCache;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Certificates begin this long before they were made: clients' clocks differ.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Making it.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Using it.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Not a host that can have one.
    #[error("{0:?} is not a host name")]
    Name(String),
    /// Reading it.
    #[error("{0}")]
    Pem(String),
}

/// A new root, as PEM: certificate and key.
pub fn new_root(gateway: &str) -> Result<(String, String), AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name = name(&format!("Sealgate CA {gateway}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.key_identifier_method = KeyIdMethod::Sha256;
    validity(&mut parameters, CA_DAYS);
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Sealgate");
    name.push(DnType::CommonName, common);
    name
}

fn validity(parameters: &mut CertificateParams, days: i64) {
    let now = SystemTime::now();
    parameters.not_before = (now - BACKDATE).into();
    parameters.not_after = (now + DAY * u32::try_from(days).unwrap_or(1)).into();
}

/// Mints leaves and keeps the TLS configuration of each host.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    leaf_key: KeyPair,
    provider: Arc<rustls::crypto::CryptoProvider>,
    leaves: Mutex<LruCache<String, Leaf>>,
}

#[derive(Clone)]
struct Leaf {
    config: Arc<ServerConfig>,
    renew: SystemTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(masked)")
    }
}

impl Authority {
    /// From the root's PEM files.
    pub fn new(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let root =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| AuthorityError::Pem(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self {
            issuer,
            root: root.into_owned(),
            leaf_key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            provider: crate::crypto::provider(),
            leaves: Mutex::new(LruCache::new(NonZeroUsize::new(LEAVES_MAX).unwrap_or(NonZeroUsize::MIN))),
        })
    }

    /// The TLS configuration that speaks for `host`, and for no other name.
    pub fn config(&self, host: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        let now = SystemTime::now();
        if let Some(leaf) = self.leaves.lock().unwrap_or_else(PoisonError::into_inner).get(host)
            && now < leaf.renew
        {
            return Ok(leaf.config.clone());
        }
        // Minted outside the lock: two connections may mint the same leaf, and one of the two is kept.
        let leaf =
            Leaf { config: Arc::new(self.mint(host)?), renew: now + DAY * u32::try_from(LEAF_DAYS - LEAF_RENEW_DAYS).unwrap_or(1) };
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner).put(host.to_owned(), leaf.clone());
        Ok(leaf.config)
    }

    /// A leaf for names of the gateway itself, and when to make the next one.
    pub(super) fn certificate(&self, names: &[String]) -> Result<(CertifiedKey, SystemTime), AuthorityError> {
        let key = self.certify(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok((key, SystemTime::now() + DAY * u32::try_from(LEAF_DAYS - LEAF_RENEW_DAYS).unwrap_or(1)))
    }

    fn mint(&self, host: &str) -> Result<ServerConfig, AuthorityError> {
        let resolver = OneHost { host: host.to_owned(), key: Arc::new(self.certify(&[host])?) };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A leaf with its chain, for these names and no others.
    fn certify(&self, names: &[&str]) -> Result<CertifiedKey, AuthorityError> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        for host in names {
            ServerName::try_from(*host).map_err(|_| AuthorityError::Name((*host).to_owned()))?;
            parameters.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*host).try_into()?),
            });
        }
        // A common name holds 64 bytes at most; the name that counts is in the SAN.
        let first = names.first().copied().unwrap_or_default();
        parameters.distinguished_name = name(first.get(..64).unwrap_or(first));
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_identifier_method = KeyIdMethod::Sha256;
        validity(&mut parameters, LEAF_DAYS);
        let leaf = parameters.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        Ok(CertifiedKey::from_der(vec![leaf.der().clone(), self.root.clone()], key, &self.provider)?)
    }
}

/// The certificate of the host that the client asked for with CONNECT, and of no other.
#[derive(Debug)]
struct OneHost {
    host: String,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for OneHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // No SNI: the client connects by address, or is old; CONNECT said where to.
        let fits = hello.server_name().is_none_or(|name| name.eq_ignore_ascii_case(&self.host));
        fits.then(|| self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_kept_per_host_and_minted_for_names_and_addresses() {
        let (certificate, key) = new_root("gw-test").unwrap();
        let authority = Authority::new(&certificate, &key).unwrap();
        let first = authority.config("sts.amazonaws.com").unwrap();
        assert!(Arc::ptr_eq(&first, &authority.config("sts.amazonaws.com").unwrap()));
        assert!(!Arc::ptr_eq(&first, &authority.config("127.0.0.1").unwrap()));
        let long = format!("{}.{}.amazonaws.com", "x".repeat(60), "y".repeat(60));
        assert!(authority.config(&long).is_ok());
        assert!(authority.config("not a name").is_err());
    }
}
