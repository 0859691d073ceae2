//! The gateway's end of witnessing: gets the checkpoints of the windows log cosigned, keeps the newest one that a quorum has
//! cosigned in `_log/cosigned`, says how far behind that is, and asks at the start whether the disk was rolled back.
//!
//! - [`ask`]: one conversation with one witness
//! - [`rounds`]: which checkpoint is shown to whom when
//!
//! It does not sign checkpoints, and no call waits for it.

pub mod ask;
mod log_files;
pub mod rounds;

use crate::{
    ledger::disk::Disk,
    limits::{ANCHOR_LAG_MAX, WITNESS_RETRY_MAX, WITNESS_RETRY_MIN, WITNESS_ROUND_WAIT, WITNESS_STOP_WAIT, WITNESS_WAIT},
    remote::Remote,
};
use ask::{AskError, Asking, Peer, Published};
use log_files::LogFiles;
use sealgate_schema::{
    log::{CHECKPOINT_NAME, COSIGNED_NAME},
    note::{self, Checkpoint, NoteError, VerifierKey},
    witness::{Cosigned, check_cosigned, policy::Policy},
};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// How long to wait for what. [`Waits::default`] is what the gateway uses, from `limits.rs`; tests wait less.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For one request.
    pub request: Duration,
    /// Before a witness that failed is asked again, the first time.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
    /// For slower witnesses, once the quorum is there.
    pub round: Duration,
    /// Until a lag is an event.
    pub lag: Duration,
    /// For the last quorum, at a stop.
    pub stop: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            request: WITNESS_WAIT,
            retry_min: WITNESS_RETRY_MIN,
            retry_max: WITNESS_RETRY_MAX,
            round: WITNESS_ROUND_WAIT,
            lag: ANCHOR_LAG_MAX,
            stop: WITNESS_STOP_WAIT,
        }
    }
}

/// What witnessing stands on.
#[derive(Debug)]
pub struct Setup {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Folder of the windows log, `_log`.
    pub log_folder: PathBuf,
    /// Folder for files on their way into place, on the same file system.
    pub staging: PathBuf,
    /// The key that signs the log's checkpoints.
    pub log_key: VerifierKey,
    /// Whose cosignatures suffice.
    pub policy: Policy,
    /// How long to wait.
    pub waits: Waits,
}

/// Why witnessing can't begin. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The policy file.
    #[error("{0}: {1}")]
    Policy(PathBuf, String),
    /// The policy, as it is to be used here.
    #[error("the witness policy: {0}")]
    Unusable(String),
    /// TLS itself.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The checkpoint is not one of this log.
    #[error("{CHECKPOINT_NAME}: {0}")]
    Checkpoint(#[from] NoteError),
    /// The disk speaks against itself.
    #[error(
        "{COSIGNED_NAME} has {cosigned} entries, {CHECKPOINT_NAME} has {held}: the windows log was rolled back; restore the newest copy of the evidence and the journal"
    )]
    CosignedMore {
        /// Entries that a quorum has cosigned.
        cosigned: u64,
        /// Entries of the log.
        held: u64,
    },
    /// A witness's word speaks against the disk.
    #[error(
        "witness {witness}: {why}; restore the newest copy of the evidence and the journal. If there is none, the history is lost: keep what is left, and start a new home"
    )]
    RolledBack {
        /// Its name in the policy.
        witness: String,
        /// What it said.
        why: AskError,
    },
}

/// Reads a policy file.
pub fn read_policy(file: &Path) -> Result<Policy, WitnessError> {
    let failed = |why: String| WitnessError::Policy(file.to_owned(), why);
    let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    Policy::parse(&bytes).map_err(|error| failed(error.to_string()))
}

/// A witness that did not answer at the start. That does not stop it: whoever could cut the line could stop the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Its name in the policy.
    pub witness: String,
    /// Why.
    pub why: AskError,
}

/// What a witness's last answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WitnessState {
    /// Not asked yet, or under way for the first time.
    Asked,
    /// It cosigned.
    Cosigned,
    /// It could not be asked, or did not cosign.
    Failed,
    /// It has seen other entries than the disk holds.
    SpeaksAgainstTheDisk,
    /// The policy says no URL.
    NotAsked,
}

impl WitnessState {
    /// The word for it in health reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Cosigned => "cosigned",
            Self::Failed => "failed",
            Self::SpeaksAgainstTheDisk => "speaks-against-the-disk",
            Self::NotAsked => "not-asked",
        }
    }
}

/// One witness, for health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessView {
    /// Its name in the policy.
    pub name: String,
    /// Its last answer.
    pub state: WitnessState,
    /// Entries of the largest checkpoint that it is known to have cosigned.
    pub cosigned_size: u64,
    /// Why it did not cosign.
    pub error: Option<String>,
}

/// How well the log is anchored, for health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Entries that a quorum has cosigned, as `_log/cosigned` says.
    pub cosigned_size: u64,
    /// When the last of them did: seconds since 1970, by its clock.
    pub cosigned_at: Option<u64>,
    /// Entries of the newest checkpoint.
    pub size: u64,
    /// Since when there are entries without a quorum.
    pub since: Option<Instant>,
    /// Why `_log/cosigned` could not be written.
    pub error: Option<String>,
    /// The witnesses, in the policy's order.
    pub witnesses: Vec<WitnessView>,
}

impl Anchor {
    /// Seconds for which the oldest entry without a quorum has been published; 0 where there is none.
    pub fn lag_seconds(&self) -> u64 {
        self.since.map_or(0, |since| since.elapsed().as_secs())
    }
}

/// The lag went over its bound, or back under it: for an `anchor_lag` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorEvent {
    /// Which of the two.
    pub lagging: bool,
    /// Entries that a quorum has cosigned.
    pub cosigned: u64,
    /// Entries of the newest checkpoint.
    pub size: u64,
    /// Seconds since the oldest entry of this lag was published.
    pub since_seconds: u64,
    /// What the witnesses that failed said.
    pub error: Option<String>,
}

/// Witnesses that can be asked.
#[derive(Debug)]
pub struct Witnesses {
    setup: Setup,
    asking: Asking,
    /// In the policy's order; `None` where the policy says no URL.
    peers: Vec<Option<Arc<Peer>>>,
}

impl Witnesses {
    /// Checks that the policy can be used: that it is about this log, and its witnesses with URLs can make its quorum.
    pub fn new(setup: Setup) -> Result<Self, WitnessError> {
        let unusable = |why: String| WitnessError::Unusable(why);
        let policy = &setup.policy;
        if !policy.logs().is_empty() && !policy.logs().iter().any(|log| log.key == setup.log_key) {
            return Err(unusable(format!("it does not name this gateway's log; add a line `log {}`", setup.log_key)));
        }
        let peers = policy.witnesses().iter().map(|witness| Ok(Peer::of(witness)?.map(Arc::new)));
        let peers = peers.collect::<Result<Vec<_>, String>>().map_err(unusable)?;
        let asked: BTreeSet<&str> = peers.iter().flatten().map(|peer| peer.name.as_str()).collect();
        if !policy.satisfied(&asked) {
            let quorum = policy.quorum();
            return Err(unusable(format!("its quorum {quorum} can't be reached; give its witnesses a URL, after their keys")));
        }
        let log = LogFiles { disk: setup.disk.clone(), folder: setup.log_folder.clone() };
        let asking = Asking { remote: Remote::new()?, log, wait: setup.waits.request };
        Ok(Self { setup, asking, peers })
    }

    /// Asks every witness whether it has seen more than the disk holds, or something else: then the gateway must not start.
    ///
    /// `checkpoint` is the log's newest one. Witnesses that don't answer are returned: what they would have said is found out
    /// when they are back, and stands in [`Anchor`] then.
    pub async fn seen(&self, checkpoint: &str) -> Result<Vec<Unreached>, WitnessError> {
        let checkpoint = Arc::new(self.published(checkpoint)?);
        let known = self.cosigned();
        if let Some(cosigned) = known.as_ref().map(|known| known.checkpoint.size).filter(|size| *size > checkpoint.size) {
            return Err(WitnessError::CosignedMore { cosigned, held: checkpoint.size });
        }
        let mut asks = JoinSet::new();
        for peer in self.peers.iter().flatten().cloned() {
            let (asking, checkpoint) = (self.asking.clone(), checkpoint.clone());
            let old = known.as_ref().map_or(0, |cosigned| seen_by(cosigned, &peer.name));
            asks.spawn(async move { (asking.cosign(&peer, &checkpoint, old).await, peer) });
        }
        let mut unreached = Vec::new();
        while let Some(asked) = asks.join_next().await {
            let (asked, peer) = asked.map_err(|error| WitnessError::Unusable(error.to_string()))?;
            let Err(why) = asked else { continue };
            let witness = peer.name.clone();
            if why.speaks_against_the_disk() {
                return Err(WitnessError::RolledBack { witness, why });
            }
            unreached.push(Unreached { witness, why });
        }
        Ok(unreached)
    }

    fn published(&self, note: &str) -> Result<Published, NoteError> {
        let text = note::open(note, &self.setup.log_key)?;
        let Checkpoint { size, .. } = Checkpoint::parse(text)?;
        Ok(Published { note: note.into(), text: text.to_owned(), size })
    }

    /// The cosigned checkpoint on the disk, where it is one by the policy as it is now.
    fn cosigned(&self) -> Option<Cosigned> {
        let path = self.setup.log_folder.join(COSIGNED_NAME);
        let bytes = match self.setup.disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "can't be read; the witnesses are asked from the beginning");
                return None;
            }
        };
        match check_cosigned(&bytes, &self.setup.log_key, &self.setup.policy) {
            Ok(cosigned) => Some(cosigned),
            // A new policy or key makes the old file one that does not hold; the next quorum replaces it.
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "does not hold; the witnesses are asked from the beginning");
                None
            }
        }
    }
}

/// Entries that a cosigned checkpoint shows the witness to have seen.
fn seen_by(cosigned: &Cosigned, witness: &str) -> u64 {
    if cosigned.by.iter().any(|(name, _)| name == witness) { cosigned.checkpoint.size } else { 0 }
}
