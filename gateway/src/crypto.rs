//! The one TLS provider, for both sides: aws-lc-rs, AES-128-GCM with SHA-256 first.
//!
//! Its key schedule runs on the SHA instructions that most machines have; SHA-384, which goes with AES-256, does not, and
//! made half of a handshake's cost.

use rustls::crypto::{
    CryptoProvider,
    aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider},
};
use std::sync::Arc;

/// The provider.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| *suite != TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}
