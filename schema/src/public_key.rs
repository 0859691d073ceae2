//! Public keys of people as OpenSSH has them (RFC 4253 §6.6, RFC 5656, RFC 8709, OpenSSH `PROTOCOL.u2f`), and the check of what
//! they sign.
//!
//! Read by hand, and not with the crate `ssh-key`: a key counts as a person's only where its bytes are those of the file that
//! says so, and one key has one spelling here. Certificates and DSA are not taken.

use crate::Hash;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use std::fmt;

/// The largest key: RSA of 8192 bits, with room.
pub const KEY_BYTES_MAX: usize = 2048;
/// The shortest and longest RSA modulus, in bits.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Flag of a security key's signature: somebody touched it.
const USER_PRESENT: u8 = 1;

/// The kinds of key that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `ssh-ed25519`
    Ed25519,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`
    EcdsaP521,
    /// `ssh-rsa`, which signs as `rsa-sha2-256` or `rsa-sha2-512`.
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`: a security key.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: a security key.
    SkEcdsaP256,
}

impl Algorithm {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Ed25519, "ssh-ed25519"),
        (Self::EcdsaP256, "ecdsa-sha2-nistp256"),
        (Self::EcdsaP384, "ecdsa-sha2-nistp384"),
        (Self::EcdsaP521, "ecdsa-sha2-nistp521"),
        (Self::Rsa, "ssh-rsa"),
        (Self::SkEd25519, "sk-ssh-ed25519@openssh.com"),
        (Self::SkEcdsaP256, "sk-ecdsa-sha2-nistp256@openssh.com"),
    ];

    /// The name that OpenSSH has for keys of this kind.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }

    /// Curve, its field in bytes, and how it signs.
    fn curve(self) -> Option<(&'static str, usize, &'static dyn VerificationAlgorithm)> {
        match self {
            Self::EcdsaP256 | Self::SkEcdsaP256 => Some(("nistp256", 32, &ECDSA_P256_SHA256_FIXED)),
            Self::EcdsaP384 => Some(("nistp384", 48, &ECDSA_P384_SHA384_FIXED)),
            Self::EcdsaP521 => Some(("nistp521", 66, &ECDSA_P521_SHA512_FIXED)),
            Self::Ed25519 | Self::Rsa | Self::SkEd25519 => None,
        }
    }
}

/// Why a key or a signature is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Bytes that are no key or no signature of the kind that they name.
    #[error("{0}")]
    Malformed(&'static str),
    /// A kind of key that is not taken.
    #[error("keys of the kind {0:?} are not taken; use ed25519, ecdsa, rsa, or a security key (-sk)")]
    Kind(String),
    /// An RSA key of a size that is not taken.
    #[error("an RSA key of {0} bits is not taken; use one of 2048 to 8192, or ed25519")]
    RsaBits(usize),
    /// A signature by another way than the key's.
    #[error("it is signed with {0:?}, which the key is not for, or which is not taken")]
    Way(String),
    /// Nobody touched the security key.
    #[error("the security key signed without being touched; make the key without -O no-touch-required")]
    Untouched,
    /// The signature is of something else, or by another key.
    #[error("the signature is not this key's over these bytes")]
    Wrong,
}

/// A public key, by the bytes that OpenSSH has for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    blob: Vec<u8>,
}

impl PublicKey {
    /// Reads the bytes of a key: those that stand in base64 in a `.pub` file.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > KEY_BYTES_MAX {
            return Err(KeyError::Malformed("the key is longer than any key"));
        }
        let mut wire = Wire(blob);
        let name = wire.text()?;
        let algorithm = Algorithm::parse(name).ok_or_else(|| KeyError::Kind(shown(name)))?;
        parts(algorithm, wire)?;
        Ok(Self { algorithm, blob: blob.to_vec() })
    }

    /// Reads `KIND BASE64`, as a `.pub` file has them; a comment may follow.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return Err(KeyError::Malformed("a key is a kind and its base64"));
        };
        if Algorithm::parse(kind).is_none() {
            return Err(KeyError::Kind(shown(kind)));
        }
        let blob = STANDARD.decode(base64).map_err(|_| KeyError::Malformed("the key is not base64"))?;
        let key = Self::from_blob(&blob)?;
        let same = key.algorithm.as_str() == kind;
        if same { Ok(key) } else { Err(KeyError::Malformed("the key is of another kind than it says")) }
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes, as OpenSSH has them.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Hash::of(&[&self.blob]).0))
    }

    /// Checks a signature blob (RFC 4253 §6.6) of this key over a message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let mut key = Wire(&self.blob);
        key.text()?;
        let parts = parts(self.algorithm, key)?;
        let mut wire = Wire(signature);
        let way = wire.text()?;
        let signed = wire.string()?;
        match (self.algorithm, way) {
            (Algorithm::Rsa, "rsa-sha2-256") => rsa(&parts, &RSA_PKCS1_2048_8192_SHA256, message, signed, wire),
            (Algorithm::Rsa, "rsa-sha2-512") => rsa(&parts, &RSA_PKCS1_2048_8192_SHA512, message, signed, wire),
            (Algorithm::SkEd25519 | Algorithm::SkEcdsaP256, way) if way == self.algorithm.as_str() => {
                let message = security_key_message(parts.last, message, wire)?;
                self.plain(parts.key, &message, signed)
            }
            (Algorithm::Rsa, way) => Err(KeyError::Way(shown(way))),
            (_, way) if way == self.algorithm.as_str() => {
                wire.end()?;
                self.plain(parts.key, message, signed)
            }
            (_, way) => Err(KeyError::Way(shown(way))),
        }
    }

    /// Ed25519, or ECDSA with its two numbers.
    fn plain(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let Some((_, bytes, algorithm)) = self.algorithm.curve() else {
            return UnparsedPublicKey::new(&ED25519, key).verify(message, signature).map_err(|_| KeyError::Wrong);
        };
        let mut wire = Wire(signature);
        let (r, s) = (wire.number()?, wire.number()?);
        wire.end()?;
        let fixed = [padded(r, bytes)?, padded(s, bytes)?].concat();
        UnparsedPublicKey::new(algorithm, key).verify(message, &fixed).map_err(|_| KeyError::Wrong)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm.as_str(), STANDARD.encode(&self.blob))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm.as_str(), self.fingerprint())
    }
}

/// What a key consists of: point, public bytes or modulus; and the exponent of RSA, or the application of a security key.
struct Parts<'a> {
    key: &'a [u8],
    last: &'a [u8],
}

/// Takes a key of this kind apart, behind its name.
fn parts(algorithm: Algorithm, mut wire: Wire<'_>) -> Result<Parts<'_>, KeyError> {
    let mut parts = match algorithm {
        Algorithm::Rsa => {
            let (exponent, modulus) = (wire.number()?, wire.number()?);
            Parts { key: modulus, last: exponent }
        }
        _ => {
            if algorithm.curve().is_some_and(|(curve, ..)| wire.text().ok() != Some(curve)) {
                return Err(KeyError::Malformed("the key's curve is not that of its kind"));
            }
            Parts { key: wire.string()?, last: &[] }
        }
    };
    if matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaP256) {
        parts.last = wire.string()?;
    }
    wire.end()?;
    match algorithm.curve() {
        _ if algorithm == Algorithm::Rsa => rsa_size(&parts)?,
        Some((_, bytes, _)) if parts.key.len() != 2 * bytes + 1 || parts.key.first() != Some(&4) => {
            return Err(KeyError::Malformed("the key is no uncompressed point of its curve"));
        }
        None if parts.key.len() != 32 => return Err(KeyError::Malformed("an ed25519 key has 32 bytes")),
        _ => {}
    }
    Ok(parts)
}

/// An RSA key has a modulus of a size that is taken, and an exponent from 65537 on that is odd and below 2^32.
fn rsa_size(parts: &Parts<'_>) -> Result<(), KeyError> {
    let bits = parts.key.first().map_or(0, |first| parts.key.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::RsaBits(bits));
    }
    let exponent = parts.last.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    let taken = parts.last.len() <= 4 && exponent >= 65_537 && exponent % 2 == 1;
    if taken { Ok(()) } else { Err(KeyError::Malformed("the RSA key's exponent is not taken: make a new key")) }
}

fn rsa(parts: &Parts<'_>, how: &'static RsaParameters, message: &[u8], signature: &[u8], wire: Wire<'_>) -> Result<(), KeyError> {
    wire.end()?;
    // Some agents leave out leading zero bytes; OpenSSH puts them back.
    let signature = padded(signature, parts.key.len())?;
    let key = RsaPublicKeyComponents { n: parts.key, e: parts.last };
    key.verify(how, message, &signature).map_err(|_| KeyError::Wrong)
}

/// What a security key signs: who asked (the application), that somebody touched it, how often it signed, and the message's hash.
fn security_key_message(application: &[u8], message: &[u8], mut wire: Wire<'_>) -> Result<Vec<u8>, KeyError> {
    let flags = wire.take(1)?;
    let counter = wire.take(4)?;
    wire.end()?;
    if flags.first().is_none_or(|flags| flags & USER_PRESENT == 0) {
        return Err(KeyError::Untouched);
    }
    Ok([&Hash::of(&[application]).0, flags, counter, &Hash::of(&[message]).0].concat())
}

fn padded(number: &[u8], bytes: usize) -> Result<Vec<u8>, KeyError> {
    let missing = bytes.checked_sub(number.len()).ok_or(KeyError::Malformed("a number of the signature is too long"))?;
    Ok([vec![0; missing].as_slice(), number].concat())
}

/// Text of somebody else's making, short.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Bytes in the wire form of SSH (RFC 4251 §5), from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire<'a>(pub(crate) &'a [u8]);

impl<'a> Wire<'a> {
    /// The next so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], KeyError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(KeyError::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// `uint32`
    pub(crate) fn unsigned(&mut self) -> Result<u32, KeyError> {
        Ok(self.take(4)?.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    /// `string`
    pub(crate) fn string(&mut self) -> Result<&'a [u8], KeyError> {
        let bytes = self.unsigned()?;
        self.take(bytes as usize)
    }

    /// `string` of UTF-8.
    pub(crate) fn text(&mut self) -> Result<&'a str, KeyError> {
        std::str::from_utf8(self.string()?).map_err(|_| KeyError::Malformed("a name in it is not UTF-8"))
    }

    /// `mpint` above zero, in its shortest form, without its sign.
    fn number(&mut self) -> Result<&'a [u8], KeyError> {
        let wrong = KeyError::Malformed("a number in it is not positive or not in its shortest form");
        match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|byte| byte & 0x80 != 0) => Ok(rest),
            number @ [1..0x80, ..] => Ok(number),
            _ => Err(wrong),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), KeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(KeyError::Malformed("something follows its end")) }
    }
}
