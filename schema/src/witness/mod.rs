//! Witnesses: their keys and cosignatures (C2SP tlog-cosignature, `cosignature/v1`), what a log asks of them ([`request`],
//! C2SP tlog-witness), whose word suffices ([`policy`], C2SP tlog-policy), and the check of a cosigned checkpoint.
//!
//! Only Ed25519 cosignatures (type 4) are known; the ML-DSA ones of newer drafts are not.

pub mod policy;
pub mod request;

use crate::{
    Hash,
    note::{self, Checkpoint, NoteError, SIGNATURES_MAX, VerifierKey},
};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use policy::Policy;
use std::{collections::BTreeSet, fmt};

const COSIGNATURE_TYPE: u8 = 4;
/// The latest time that a cosignature can name (tlog-cosignature, "Format").
const TIME_MAX: u64 = i64::MAX as u64;

/// A witness's public key with its name, `NAME+HASH+KEY`; its type is 4 where a log's is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl WitnessKey {
    /// Names a public key.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(NoteError::BadKey);
        }
        let [a, b, c, d, ..] = Hash::of(&[name.as_bytes(), b"\n", &[COSIGNATURE_TYPE], &public]).0;
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public })
    }

    /// Reads the text form. One key has one spelling.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::BadKey)?;
        let Some((&COSIGNATURE_TYPE, public)) = key.split_first() else { return Err(NoteError::BadKey) };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::BadKey)?)?;
        if key.to_string() == text { Ok(key) } else { Err(NoteError::BadKey) }
    }

    /// The name, which each of its cosignatures repeats.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds this key's cosignature of a checkpoint's `text` among signature lines. Lines by others are passed over, as the
    /// specification asks; a line that names this key and does not fit is an error.
    pub fn find(&self, text: &str, lines: &str) -> Result<Option<Cosignature>, NoteError> {
        for line in lines.split_inclusive('\n').take(SIGNATURES_MAX) {
            let signature = SignatureLine::parse(line)?;
            if signature.is_by(&self.name, self.id) {
                let time = self.check(text, &signature.bytes)?;
                return Ok(Some(Cosignature { time, line: line.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Checks the timestamped signature over a checkpoint's text; returns its time.
    fn check(&self, text: &str, signature: &[u8]) -> Result<u64, NoteError> {
        let bad = || NoteError::BadSignature(self.name.clone());
        let (time, signature) = signature.split_first_chunk::<8>().ok_or_else(bad)?;
        let time = u64::from_be_bytes(*time);
        if time > TIME_MAX {
            return Err(bad());
        }
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        key.verify(message(time, text).as_bytes(), signature).map_err(|_| bad())?;
        Ok(time)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = std::iter::once(COSIGNATURE_TYPE).chain(self.public).collect();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

/// What a witness signs: as of `time`, this is the largest consistent tree that it has seen of this log.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A cosignature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made: seconds since 1970, by the witness's clock.
    pub time: u64,
    /// The signature line with its newline, to be put under the checkpoint's note.
    pub line: String,
}

/// A witness's private key with the name of its public one.
pub struct Cosigner {
    key: Ed25519KeyPair,
    public: WitnessKey,
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}, masked)", self.public.name)
    }
}

impl Cosigner {
    /// Makes the key of a 32-byte seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::BadKey)?;
        let public = key.public_key().as_ref().try_into().map_err(|_| NoteError::BadKey)?;
        Ok(Self { key, public: WitnessKey::new(name, public)? })
    }

    /// The public half.
    pub fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// The signature line over a checkpoint's text, with its newline. `seconds` since 1970.
    pub fn cosign(&self, text: &str, seconds: u64) -> String {
        let time = seconds.min(TIME_MAX);
        let signature = self.key.sign(message(time, text).as_bytes());
        let bytes = [&self.public.id[..], &time.to_be_bytes(), signature.as_ref()].concat();
        format!("\u{2014} {} {}\n", self.public.name, STANDARD.encode(bytes))
    }
}

/// A signature line of a note: whose it says it is, and the bytes after the key id.
struct SignatureLine<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        let form = NoteError::Malformed("a signature line is an em dash, a name, a signature in base64 and a newline");
        let rest = line.strip_prefix("\u{2014} ").and_then(|rest| rest.strip_suffix('\n'));
        let (name, signature) = rest.and_then(|rest| rest.split_once(' ')).ok_or(form.clone())?;
        let signature = STANDARD.decode(signature).map_err(|_| form.clone())?;
        let (id, bytes) = signature.split_first_chunk::<4>().ok_or(form)?;
        Ok(Self { name, id: *id, bytes: bytes.to_vec() })
    }

    fn is_by(&self, name: &str, id: [u8; 4]) -> bool {
        self.name == name && self.id == id
    }
}

/// A checkpoint that a quorum has cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses by their names in the policy, and when each cosigned, in seconds since 1970; in the note's order.
    pub by: Vec<(String, u64)>,
}

/// Why a cosigned checkpoint does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignedError {
    /// Not a signed checkpoint, or a signature in it is false.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// The policy lists logs, and this one is not among them.
    #[error("the policy does not name the log {0}: add a line `log {0}` if it should")]
    LogNotInPolicy(String),
    /// The checkpoint is of another log.
    #[error("it is a checkpoint of {0}, and not of {1}")]
    OtherLog(String, String),
    /// A signature that nobody here could check.
    #[error("a signature by {0}, whose key is neither the log's nor a witness's of the policy: nobody could check it")]
    Stranger(String),
    /// One key, two signatures.
    #[error("{0} signed it twice")]
    Twice(String),
    /// Too few cosignatures.
    #[error("the quorum {quorum} of the policy is not reached: cosigned by {}", list(.by))]
    NoQuorum {
        /// What the policy asks for.
        quorum: String,
        /// Who did.
        by: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Checks the bytes of a cosigned checkpoint. Every signature in it must be the log's or a known witness's, and right.
pub fn check_cosigned(note: &[u8], log: &VerifierKey, policy: &Policy) -> Result<Cosigned, CosignedError> {
    if !policy.logs().is_empty() && !policy.logs().iter().any(|known| known.key == *log) {
        return Err(CosignedError::LogNotInPolicy(log.to_string()));
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("not UTF-8"))?;
    let text = note::open(note, log)?;
    let checkpoint = Checkpoint::parse(text)?;
    if checkpoint.origin != log.name() {
        return Err(CosignedError::OtherLog(checkpoint.origin, log.name().to_owned()));
    }
    let by = cosigners(note, log, policy)?;
    let names: BTreeSet<&str> = by.iter().map(|(name, _)| name.as_str()).collect();
    if !policy.satisfied(&names) {
        let by = by.iter().map(|(name, _)| name.clone()).collect();
        return Err(CosignedError::NoQuorum { quorum: policy.quorum().to_owned(), by });
    }
    Ok(Cosigned { checkpoint, by })
}

/// Who cosigned, of the policy's witnesses. The log's own signature has been checked.
fn cosigners(note: &str, log: &VerifierKey, policy: &Policy) -> Result<Vec<(String, u64)>, CosignedError> {
    let (text, signatures) = note::split(note)?;
    if signatures.lines().count() > SIGNATURES_MAX {
        return Err(NoteError::Malformed("more signatures than SIGNATURES_MAX").into());
    }
    let (mut by, mut by_log) = (Vec::<(String, u64)>::new(), false);
    for line in signatures.split_inclusive('\n') {
        let signature = SignatureLine::parse(line)?;
        if signature.is_by(log.name(), log.id) {
            if std::mem::replace(&mut by_log, true) {
                return Err(CosignedError::Twice(log.name().to_owned()));
            }
            continue;
        }
        let witness = policy.witnesses().iter().find(|witness| signature.is_by(&witness.key.name, witness.key.id));
        let witness = witness.ok_or_else(|| CosignedError::Stranger(signature.name.to_owned()))?;
        if by.iter().any(|(name, _)| *name == witness.name) {
            return Err(CosignedError::Twice(witness.name.clone()));
        }
        by.push((witness.name.clone(), witness.key.check(text, &signature.bytes)?));
    }
    Ok(by)
}

#[cfg(test)]
mod tests;
