//! Signatures of people, as `ssh-keygen -Y sign -n sealgate` makes them, and the file that says whose key is whose
//! (OpenSSH `allowed_signers`).
//!
//! Ed25519 alone, from a file, an agent or a security key's resident software; other kinds of key are refused by name.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ssh_key::{HashAlg, PublicKey, SshSig, public::KeyData};

/// What signatures are made for: one for another purpose is none.
pub const NAMESPACE: &str = "sealgate";

/// Why a signature or a file of signers is not taken. Says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshsigError {
    /// Not such a signature at all.
    #[error("it is no SSH signature ({0}); make it with: ssh-keygen -Y sign -n sealgate -f KEY FILE")]
    Malformed(String),
    /// For something else.
    #[error("it is made for {0:?}; make it with -n sealgate")]
    Namespace(String),
    /// A kind of key that is not taken.
    #[error("keys of kind {0} are not taken; use an ed25519 key")]
    Kind(String),
    /// It is of another text, or of another key.
    #[error("it does not sign this text")]
    Wrong,
    /// A line of the file of signers.
    #[error("line {0}: {1}")]
    Line(usize, String),
}

/// The key that signed. Only [`check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(KeyData);

impl Key {
    /// `SHA256:…`
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// Checks a signature over a text; says whose key it is.
pub fn check(text: impl AsRef<[u8]>, signature: &str, namespace: &str) -> Result<Key, SshsigError> {
    let malformed = |error: ssh_key::Error| SshsigError::Malformed(error.to_string());
    let parsed = SshSig::from_pem(signature).map_err(malformed)?;
    if parsed.namespace() != namespace {
        return Err(SshsigError::Namespace(parsed.namespace().to_owned()));
    }
    let KeyData::Ed25519(key) = parsed.public_key() else {
        return Err(SshsigError::Kind(parsed.public_key().algorithm().to_string()));
    };
    let signed = SshSig::signed_data(namespace, parsed.hash_alg(), text.as_ref()).map_err(malformed)?;
    let valid = UnparsedPublicKey::new(&ED25519, key.0).verify(&signed, parsed.signature_bytes());
    valid.map_err(|_| SshsigError::Wrong)?;
    Ok(Key(parsed.public_key().clone()))
}

/// Whose key is whose.
#[derive(Debug, Clone, Default)]
pub struct AllowedSigners {
    lines: Vec<(Vec<String>, KeyData)>,
}

impl AllowedSigners {
    /// Reads a file. Names are plain: a pattern would let one person be called as another.
    pub fn parse(text: &str) -> Result<Self, SshsigError> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let lines = lines.map(|(number, line)| line_of(line).map_err(|why| SshsigError::Line(number, why)));
        Ok(Self { lines: lines.collect::<Result<_, _>>()? })
    }

    /// The names of a key; none where it is nobody's.
    pub fn names(&self, key: &Key) -> Vec<String> {
        self.lines.iter().filter(|(_, known)| *known == key.0).flat_map(|(names, _)| names.iter().cloned()).collect()
    }
}

fn line_of(line: &str) -> Result<(Vec<String>, KeyData), String> {
    let (names, rest) = line.trim().split_once([' ', '\t']).ok_or("write NAME[,NAME…] KEY")?;
    let names: Vec<_> = names.trim_matches('"').split(',').map(str::to_owned).collect();
    if names.iter().any(|name| name.is_empty() || name.contains(['*', '?', '!'])) {
        return Err("names are plain here, without *, ? and !".to_owned());
    }
    let rest = rest.trim_start();
    let (options, key) = match rest.starts_with("ssh-") || rest.starts_with("ecdsa-") || rest.starts_with("sk-") {
        true => ("", rest),
        false => rest.split_once([' ', '\t']).ok_or("no key after the options")?,
    };
    if !matches!(options, "" | "namespaces=\"sealgate\"") {
        return Err(format!("options {options} are not taken; namespaces=\"sealgate\" is"));
    }
    let key = PublicKey::from_openssh(key).map_err(|error| format!("the key: {error}"))?;
    Ok((names, key.key_data().clone()))
}
