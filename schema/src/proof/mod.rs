//! Proof bundles: one record shown alone, with what it takes to check it (`schema/FORMAT.md` §13).
//!
//! [`build`] makes a bundle from evidence that was verified, [`check`] checks one from its bytes and a key. Here is the form:
//! one JSON object with one spelling. A bundle never says that it is complete: not what else the ledger holds, nor what the log
//! said after its checkpoint.

mod build;
mod check;
mod log;
#[cfg(test)]
mod tests;

pub use build::{ProveError, Reveal, Wanted, build};
pub use check::{Approval, Field, ProofReport, Shown, Value, check};

use crate::Hash;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Value of a bundle's `format`.
pub const PROOF_FORMAT: &str = "sealgate/proof/v1";
/// The largest bundle that is read: a note of the largest size and a body of the largest capture, both as JSON.
pub const PROOF_BYTES_MAX: usize = 64 << 20;

/// Every integer is below: beyond, one JSON number has several spellings.
const INTEGER_MAX: u64 = 1 << 53;

/// A bundle as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// The gateway instance.
    pub gateway: String,
    /// The change window.
    pub window: String,
    /// The record that the bundle is about.
    pub seq: u64,
    /// The ledger's note, whole.
    pub note: String,
    /// That record and those that it refers to, by `seq`.
    pub records: Vec<RecordPart>,
    /// What is shown of its payload; nothing where no field is.
    pub payload: Option<PayloadPart>,
    /// What the windows log says.
    pub log: LogPart,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPart {
    /// What its hash is over.
    #[serde(with = "base64_bytes")]
    pub preimage: Vec<u8>,
    /// That the hash is in the ledger's tree at the record's `seq`, from the leaf up.
    #[serde(with = "base64_hashes")]
    pub proof: Vec<Hash>,
}

/// What is shown of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadPart {
    /// The commitments of all fields, in the order of [`crate::payload::FIELDS`].
    #[serde(with = "base64_hashes")]
    pub commitments: Vec<Hash>,
    /// The fields shown, in that order.
    pub revealed: Vec<Revealed>,
}

/// One field of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    /// Its name.
    pub field: String,
    /// Its salt, 32 bytes.
    #[serde(with = "base64_bytes")]
    pub salt: Vec<u8>,
    /// Its value as canonical CBOR.
    #[serde(with = "base64_bytes")]
    pub value: Vec<u8>,
}

/// What is shown of the windows log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    /// The signed checkpoint that all the proofs lead to, with the lines of witnesses where there are any.
    pub checkpoint: String,
    /// Entries, by index.
    pub entries: Vec<EntryPart>,
    /// The checkpoints with which one identity key handed over to the next, in order.
    pub handovers: Vec<OlderPart>,
    /// A checkpoint that a verifier is known to have kept.
    pub pin: Option<OlderPart>,
}

/// One entry of the windows log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryPart {
    /// Its number.
    pub index: u64,
    /// Its bytes.
    pub entry: String,
    /// That it is in the log's tree, from the leaf up.
    #[serde(with = "base64_hashes")]
    pub proof: Vec<Hash>,
    /// That the ledger's tree at the size that the entry names is a beginning of the note's. Empty for `key` entries.
    #[serde(with = "base64_hashes")]
    pub ledger_proof: Vec<Hash>,
}

/// An older checkpoint of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OlderPart {
    /// The signed checkpoint.
    pub note: String,
    /// That its tree is a beginning of the one that the bundle's checkpoint signs.
    #[serde(with = "base64_hashes")]
    pub proof: Vec<Hash>,
}

/// Bytes that are no proof bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a proof bundle: {0}")]
pub struct BadBundle(String);

impl Bundle {
    /// The bytes of the bundle.
    pub fn encode(&self) -> Result<Vec<u8>, BadBundle> {
        serde_json_canonicalizer::to_vec(self).map_err(|error| BadBundle(error.to_string()))
    }

    /// Reads a bundle, and checks nothing but its form. One bundle has one spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        let bad = |what: &str| BadBundle(what.to_owned());
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(bad("larger than PROOF_BYTES_MAX"));
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| BadBundle(error.to_string()))?;
        if bundle.format != PROOF_FORMAT {
            return Err(BadBundle(format!("format is {:?}, this version reads {PROOF_FORMAT:?}", bundle.format)));
        }
        if bundle.seq >= INTEGER_MAX || bundle.log.entries.iter().any(|entry| entry.index >= INTEGER_MAX) {
            return Err(bad("an integer of 2^53 or more"));
        }
        if bundle.encode()? == bytes { Ok(bundle) } else { Err(bad("not in canonical form")) }
    }
}

fn decoded<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    STANDARD.decode(text).map_err(|_| E::custom("bytes are written as base64, padded"))
}

/// Bytes as base64.
mod base64_bytes {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer, decoded};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        decoded(&String::deserialize(deserializer)?)
    }
}

/// Hashes, each as base64.
mod base64_hashes {
    use super::{Deserialize, Deserializer, Engine, Hash, STANDARD, Serializer, decoded};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| STANDARD.encode(hash.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let hash = |text: &String| {
            let bytes = decoded::<D::Error>(text)?;
            Hash::try_from(bytes.as_slice()).map_err(|_| D::Error::custom("a hash has 32 bytes"))
        };
        Vec::<String>::deserialize(deserializer)?.iter().map(hash).collect()
    }
}
