//! One conversation with one witness: this checkpoint, and the proof that it continues what the witness has seen.

use super::log_files::LogFiles;
use crate::{
    limits::WITNESS_ANSWER_BYTES_MAX,
    remote::{Remote, RemoteError, url},
};
use bytes::Bytes;
use http::{StatusCode, Uri};
use sealgate_schema::witness::{
    Cosignature, WitnessKey,
    policy::Witness,
    request::{AddCheckpoint, parse_size},
};
use std::{sync::Arc, time::Duration};

/// Requests of one conversation: one to learn the size, one to go on from there, one more where it moved in between.
const REQUESTS_MAX: u32 = 3;
/// Bytes of a refusal that are repeated in an error.
const SAID_BYTES_MAX: usize = 200;

/// A signed checkpoint of our own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) note: Arc<str>,
    pub(super) text: String,
    pub(super) size: u64,
}

/// A witness that is asked.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    key: WitnessKey,
    url: Uri,
}

impl Peer {
    /// `None` where the policy says no URL.
    pub(super) fn of(witness: &Witness) -> Result<Option<Self>, String> {
        let Some(prefix) = &witness.url else { return Ok(None) };
        let url = url(&format!("{}/add-checkpoint", prefix.trim_end_matches('/')))?;
        Ok(Some(Self { name: witness.name.clone(), key: witness.key.clone(), url }))
    }
}

/// Why a witness did not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It can't be reached.
    #[error("{0}")]
    Unreached(#[from] RemoteError),
    /// It says no.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It answers nothing that can be used.
    #[error("it answers {0}")]
    Garbage(String),
    /// The proof can't be made.
    #[error("the windows log can't be read: {0}")]
    Log(String),
    /// It has seen more than the disk holds.
    #[error("it has seen {seen} entries, this disk holds {held}: it was rolled back")]
    Ahead {
        /// Entries that it has cosigned.
        seen: u64,
        /// Entries here.
        held: u64,
    },
    /// It has seen another beginning of this log.
    #[error(
        "it has seen {seen} entries with another content than this disk holds: they were changed, or the key signs elsewhere too"
    )]
    OtherHistory {
        /// Entries that it has cosigned.
        seen: u64,
    },
}

impl AskError {
    /// Whether the witness's word speaks against this disk.
    pub fn speaks_against_the_disk(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::OtherHistory { .. })
    }
}

/// What a conversation needs besides the witness.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) remote: Remote,
    pub(super) log: LogFiles,
    pub(super) wait: Duration,
}

impl Asking {
    /// Asks a witness that was last known to have seen `old` entries. Where it has seen others, goes on from those.
    pub(super) async fn cosign(&self, peer: &Peer, checkpoint: &Published, mut old: u64) -> Result<Cosignature, AskError> {
        let held = checkpoint.size;
        old = old.min(held);
        for _ in 0..REQUESTS_MAX {
            let (log, from) = (self.log.clone(), old);
            let proof = tokio::task::spawn_blocking(move || log.consistency(from, held)).await;
            let proof =
                proof.map_err(|error| AskError::Log(error.to_string()))?.map_err(|error| AskError::Log(error.to_string()))?;
            let body = Bytes::from(AddCheckpoint { old, proof, note: checkpoint.note.to_string() }.to_string());
            let answer =
                self.remote.post(&peer.url, "text/plain; charset=utf-8", body, WITNESS_ANSWER_BYTES_MAX, self.wait).await?;
            match answer.status {
                StatusCode::OK => return cosignature(peer, checkpoint, &answer.body),
                StatusCode::CONFLICT => {
                    let seen = parse_size(&answer.body).ok_or_else(|| AskError::Garbage("a conflict without a size".to_owned()))?;
                    match seen {
                        _ if seen > held => return Err(AskError::Ahead { seen, held }),
                        _ if seen == held && old == held => return Err(AskError::OtherHistory { seen }),
                        _ if seen == old => {
                            return Err(AskError::Garbage(format!("a conflict with {old}, the size that it was told")));
                        }
                        _ => old = seen,
                    }
                }
                // It compares sizes before it looks at the proof: it knows these entries by another root.
                StatusCode::UNPROCESSABLE_ENTITY if old > 0 => return Err(AskError::OtherHistory { seen: old }),
                status => return Err(AskError::Refused(said(status, &answer.body))),
            }
        }
        Err(AskError::Garbage(format!("{REQUESTS_MAX} different sizes in a row")))
    }
}

fn cosignature(peer: &Peer, checkpoint: &Published, body: &[u8]) -> Result<Cosignature, AskError> {
    let lines = std::str::from_utf8(body).map_err(|_| AskError::Garbage("what is not UTF-8".to_owned()))?;
    match peer.key.find(&checkpoint.text, lines) {
        Ok(Some(cosignature)) => Ok(cosignature),
        Ok(None) => Err(AskError::Garbage(format!("without a cosignature by the key that the policy names, {}", peer.key))),
        Err(error) => Err(AskError::Garbage(format!("no cosignature of this checkpoint: {error}"))),
    }
}

fn said(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SAID_BYTES_MAX).unwrap_or(body));
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{status}, {}", text.trim())
}
