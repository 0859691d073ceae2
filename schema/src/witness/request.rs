//! What a log asks of a witness: the body of `add-checkpoint` (C2SP tlog-witness).

use crate::Hash;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt;

/// The most hashes of a consistency proof: that of the specification.
pub const PROOF_LINES_MAX: usize = 63;
/// The largest signed checkpoint that a witness takes: 16 signatures of 5 kB each, as verifiers have to accept, and as much
/// again for extension lines.
pub const CHECKPOINT_BYTES_MAX: usize = 160 << 10;
/// The largest body: the old size, the proof, the checkpoint.
pub const REQUEST_BYTES_MAX: usize = 32 + PROOF_LINES_MAX * 45 + CHECKPOINT_BYTES_MAX;

/// A new checkpoint and the proof that the one before is a beginning of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 where it has seen none.
    pub old: u64,
    /// Proof of consistency from `old` on.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

/// A body that is no such request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a request of tlog-witness: {0}")]
pub struct BadRequest(pub &'static str);

impl AddCheckpoint {
    /// Reads a body. One request has one spelling. The note is not opened here.
    pub fn parse(body: &[u8]) -> Result<Self, BadRequest> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(BadRequest("larger than REQUEST_BYTES_MAX"));
        }
        let body = std::str::from_utf8(body).map_err(|_| BadRequest("not UTF-8"))?;
        let (head, note) = body.split_once("\n\n").ok_or(BadRequest("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or(BadRequest("the first line is `old` and a size"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_LINES_MAX {
                return Err(BadRequest("more than 63 proof lines"));
            }
            let hash = STANDARD.decode(line).ok().and_then(|hash| Hash::try_from(hash.as_slice()).ok());
            proof.push(hash.ok_or(BadRequest("a proof line is one hash in base64"))?);
        }
        Ok(Self { old, proof, note: note.to_owned() })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.note)
    }
}

/// A number in decimal without leading zeroes.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Reads the body of a witness's 409: the size that it has cosigned, and a newline.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}
