//! Keys: what the client was given, and what a secret becomes under a scope. The derivations and the signatures are
//! `aws-sigv4`'s; they are compared and verified by aws-lc.
//!
//! Derived keys are not cached: one costs 0.8 µs of the 8 that checking and signing a call takes, and a cache would hold keys
//! of credentials that are revoked.

use super::{claim::Algorithm, stamp::Stamp};
use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    constant_time::verify_slices_are_equal,
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use aws_sigv4::sign::{v4, v4a};
use std::fmt;
use zeroize::Zeroizing;

/// An access key as the client was given it.
#[derive(Clone, Copy)]
pub struct BrokeredKey<'a> {
    /// Access key id.
    pub access_key_id: &'a str,
    /// Secret access key.
    pub secret: &'a str,
    /// The session token that has to come with it.
    pub token: Option<&'a str>,
}

impl fmt::Debug for BrokeredKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokeredKey({}, masked)", self.access_key_id)
    }
}

/// A session token that came with a request.
#[derive(Clone)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    pub(super) fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The token itself: a secret.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is `issued`, in a time that says nothing of where they differ.
    pub(super) fn is(&self, issued: &str) -> bool {
        same(self.0.as_bytes(), issued.as_bytes())
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(masked)")
    }
}

/// Compares in a time that depends on the lengths alone.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

/// A secret under one scope: it signs, and checks what was signed.
#[derive(Clone)]
pub(super) enum SigningKey {
    /// HMAC key of one day, region and service.
    V4(Zeroizing<[u8; 32]>),
    /// ECDSA key of one access key.
    V4a {
        /// The private scalar.
        private: Zeroizing<[u8; 32]>,
        /// The public point, uncompressed.
        public: Vec<u8>,
    },
}

impl SigningKey {
    /// `None` only if the derived scalar were no key of P-256, which the derivation excludes.
    pub(super) fn derive(
        algorithm: Algorithm,
        (access_key_id, secret): (&str, &str),
        date: &Stamp,
        (region, service): (&str, &str),
    ) -> Option<Self> {
        match algorithm {
            Algorithm::V4 => {
                let key = v4::generate_signing_key(secret, date.time(), region, service);
                Some(Self::V4(Zeroizing::new(key.as_ref().try_into().ok()?)))
            }
            Algorithm::V4a => {
                let key = v4a::generate_signing_key(access_key_id, secret);
                let private: Zeroizing<[u8; 32]> = Zeroizing::new(key.as_ref().try_into().ok()?);
                let public = PrivateKey::from_private_key(&ECDH_P256, &*private).ok()?.compute_public_key().ok()?;
                Some(Self::V4a { private, public: public.as_ref().to_vec() })
            }
        }
    }

    /// The signature in hex: 64 digits, or a DER structure of at most 144.
    pub(super) fn sign(&self, string_to_sign: &[u8]) -> String {
        match self {
            Self::V4(key) => v4::calculate_signature(key.as_slice(), string_to_sign),
            Self::V4a { private, .. } => v4a::calculate_signature(private.as_slice(), string_to_sign),
        }
    }

    /// Whether `signature` (hex) is this key's.
    pub(super) fn fits(&self, string_to_sign: &[u8], signature: &str) -> bool {
        match self {
            Self::V4(key) => same(v4::calculate_signature(key.as_slice(), string_to_sign).as_bytes(), signature.as_bytes()),
            Self::V4a { public, .. } => unhex(signature).is_some_and(|signature| {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public).verify(string_to_sign, &signature).is_ok()
            }),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(masked)")
    }
}

/// Bytes of lower-case hex.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Lower-case hex of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
