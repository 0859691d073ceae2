//! Signatures of people over a text, as `ssh-keygen -Y sign -n sealgate` makes them (OpenSSH `PROTOCOL.sshsig`).
//!
//! A signature says which key signed. Whose key that is, it does not say: see [`crate::allowed_signers`].

use crate::public_key::{KeyError, PublicKey, Wire, shown};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What signatures in evidence are made for: one that was made for something else is none.
pub const NAMESPACE: &str = "sealgate";
/// The longest armoured signature: by an RSA key of 8192 bits, with room.
pub const ARMOUR_BYTES_MAX: usize = 8 << 10;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
/// Where `ssh-keygen` breaks its lines.
const LINE_CHARS: usize = 70;

/// Why a signature is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not such a signature at all.
    #[error("it is no SSH signature ({0}); make it with: ssh-keygen -Y sign -n sealgate -f KEY FILE")]
    Malformed(&'static str),
    /// Made for something else.
    #[error("it is made for {0:?}; make it with: ssh-keygen -Y sign -n {1}")]
    Namespace(String, String),
    /// By a hash that is not taken.
    #[error("it is over a hash {0:?}; sha256 and sha512 are taken")]
    HashName(String),
    /// What is wrong with the key, or that it did not sign this.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Checks an armoured signature over a text; says which key it is by.
pub fn check(text: impl AsRef<[u8]>, armoured: &str, namespace: &str) -> Result<PublicKey, SignatureError> {
    let blob = unarmour(armoured)?;
    let mut wire = Wire(&blob);
    if wire.take(MAGIC.len())? != MAGIC || wire.unsigned()? != 1 {
        return Err(SignatureError::Malformed("another format or version"));
    }
    let key = wire.string()?;
    let said = wire.text()?;
    // What stands here is not signed by the tools that there are: anybody could put something in.
    if !wire.string()?.is_empty() {
        return Err(SignatureError::Malformed("it holds something in its reserved field"));
    }
    let (hash, signature) = (wire.text()?, wire.string()?);
    wire.end()?;
    if said != namespace {
        return Err(SignatureError::Namespace(shown(said), namespace.to_owned()));
    }
    let algorithm = match hash {
        "sha256" => &SHA256,
        "sha512" => &SHA512,
        other => return Err(SignatureError::HashName(shown(other))),
    };
    let key = PublicKey::from_blob(key)?;
    let digest = digest(algorithm, text.as_ref());
    key.verify(&signed_data(namespace, hash, digest.as_ref()), signature)?;
    Ok(key)
}

/// The bytes that a key signs for a text, over its SHA-512.
pub fn to_sign(text: impl AsRef<[u8]>, namespace: &str) -> Vec<u8> {
    signed_data(namespace, "sha512", digest(&SHA512, text.as_ref()).as_ref())
}

/// Puts a key and what it made of [`to_sign`] (its way and its bytes) into an armoured signature.
pub fn write(key: &PublicKey, namespace: &str, way: &str, signed: &[u8]) -> String {
    let mut blob = MAGIC.to_vec();
    blob.extend(1u32.to_be_bytes());
    let signature = [string(way.as_bytes()), string(signed)].concat();
    for part in [key.blob(), namespace.as_bytes(), &[], b"sha512", &signature] {
        blob.extend(string(part));
    }
    armour(&blob)
}

/// The bytes that the key itself signs.
fn signed_data(namespace: &str, hash: &str, digest: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    for part in [namespace.as_bytes(), &[], hash.as_bytes(), digest] {
        data.extend(string(part));
    }
    data
}

/// `string` of RFC 4251 §5. What is put into one here is far below 4 GiB.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes(), bytes].concat()
}

/// The armour of a signature as `ssh-keygen` writes it: one signature has one spelling in evidence.
pub fn canonical(armoured: &str) -> Result<String, SignatureError> {
    Ok(armour(&unarmour(armoured)?))
}

/// Puts bytes into armour.
pub fn armour(blob: &[u8]) -> String {
    let base64 = STANDARD.encode(blob);
    let lines = base64.as_bytes().chunks(LINE_CHARS).map(|line| std::str::from_utf8(line).unwrap_or_default());
    std::iter::once(BEGIN).chain(lines).chain([END, ""]).collect::<Vec<_>>().join("\n")
}

/// The bytes in an armour, however its lines are broken.
fn unarmour(armoured: &str) -> Result<Vec<u8>, SignatureError> {
    if armoured.len() > ARMOUR_BYTES_MAX {
        return Err(SignatureError::Malformed("longer than any signature"));
    }
    let inner = armoured.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let inner = inner.ok_or(SignatureError::Malformed("it has no begin or no end line"))?;
    let base64: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(base64).map_err(|_| SignatureError::Malformed("it is not base64"))
}
