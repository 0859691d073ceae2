//! Timestamps over seals: an RFC 3161 authority signs when it saw the hash of `ledger.note`, and its answer is kept beside
//! the note as `ledger.tsr`.
//!
//! A seal does not wait for its timestamp. Which windows lack one, the windows log knows; [`Stamping::run`]
//! works them off and tells of each, so that the log gets its entry. The authority's signature is not checked here but by
//! whoever verifies, with their own choice of whom to trust.

use crate::{
    ledger::disk::{Disk, write_durably},
    limits::{TIMESTAMP_RETRY_MAX, TIMESTAMP_RETRY_MIN, TIMESTAMP_WAIT, TIMESTAMPS_PENDING_MAX},
    remote::{Remote, RemoteError},
};
use bytes::Bytes;
use http::{StatusCode, Uri};
use sealgate_schema::{
    Hash,
    log::TIMESTAMP_NAME,
    seal::NOTE_NAME,
    timestamp::{ANSWER_BYTES_MAX, AnswerError, QUERY_TYPE, check, request},
};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Why there is no timestamp.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The authority can't be reached.
    #[error("the timestamp authority: {0}")]
    Unreached(#[from] RemoteError),
    /// It answers with another status than 200.
    #[error("the timestamp authority answers {0}")]
    Status(StatusCode),
    /// Its answer is not the timestamp that was asked for.
    #[error("the timestamp authority: {0}")]
    Answer(#[from] AnswerError),
    /// No random bytes for a nonce.
    #[error("no random bytes")]
    Random,
    /// The note can't be read, or the timestamp can't be written.
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
}

/// Gets a timestamp over the bytes of a note; returns the authority's whole answer, for `ledger.tsr`.
pub async fn stamp(remote: &Remote, url: &Uri, note: &[u8], wait: Duration) -> Result<Vec<u8>, TimestampError> {
    let mut nonce = [0; 8];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| TimestampError::Random)?;
    let (imprint, nonce) = (Hash::of(&[note]), u64::from_be_bytes(nonce));
    let body = Bytes::from(request(&imprint, nonce));
    let answer = remote.post(url, QUERY_TYPE, body, ANSWER_BYTES_MAX, wait).await?;
    if answer.status != StatusCode::OK {
        return Err(TimestampError::Status(answer.status));
    }
    check(&answer.body, &imprint, Some(nonce))?;
    Ok(answer.body.to_vec())
}

/// A timestamp that is on disk, for a `timestamp` entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The window.
    pub window: String,
    /// SHA-256 of `ledger.tsr`.
    pub sha256: Hash,
}

/// How long to wait for what. [`Waits::default`] is what the gateway uses, from `limits.rs`; tests wait less.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For one answer.
    pub request: Duration,
    /// After a failure, the first time; then twice as long each time.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { request: TIMESTAMP_WAIT, retry_min: TIMESTAMP_RETRY_MIN, retry_max: TIMESTAMP_RETRY_MAX }
    }
}

/// The work of getting timestamps.
#[derive(Debug)]
pub struct Stamping {
    /// The client.
    pub remote: Remote,
    /// The authority.
    pub url: Uri,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Folder with the windows' folders, `HOME/evidence/GATEWAY`.
    pub evidence: PathBuf,
    /// Folder for files on their way into place, on the same file system.
    pub staging: PathBuf,
    /// How long to wait.
    pub waits: Waits,
}

impl Stamping {
    /// Gets timestamps for the windows that come in, one at a time, until it is told to stop. What it does not get to,
    /// the next start finds.
    ///
    /// `pending` are those of the last start. Each timestamp is told to `stamped` once it is on disk. `failing` holds the
    /// last failure while there is one, for health.
    pub async fn run(
        self,
        pending: Vec<String>,
        mut sealed: mpsc::Receiver<String>,
        stamped: mpsc::Sender<Stamped>,
        failing: watch::Sender<Option<String>>,
        stopping: CancellationToken,
    ) {
        // The loser is an answer that has not come: the window lacks its timestamp at the next start.
        tokio::select! {
            () = self.work(pending.into(), &mut sealed, &stamped, &failing) => {}
            () = stopping.cancelled() => {}
        }
    }

    /// A window that fails goes to the end of the queue: one that can't be stamped holds up nobody.
    async fn work(
        &self,
        mut pending: VecDeque<String>,
        sealed: &mut mpsc::Receiver<String>,
        stamped: &mpsc::Sender<Stamped>,
        failing: &watch::Sender<Option<String>>,
    ) {
        let mut failures = 0;
        loop {
            while pending.len() < TIMESTAMPS_PENDING_MAX
                && let Ok(window) = sealed.try_recv()
            {
                pending.push_back(window);
            }
            let next = match pending.pop_front() {
                None => sealed.recv().await,
                window => window,
            };
            let Some(window) = next else { return };
            match self.window(&window).await {
                Ok(sha256) => {
                    failures = 0;
                    if pending.is_empty() {
                        failing.send_replace(None);
                    }
                    if stamped.send(Stamped { window, sha256 }).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    failing.send_replace(Some(format!("window {window}: {error}")));
                    pending.push_back(window);
                    let doubled = self.waits.retry_min.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
                    failures = failures.saturating_add(1);
                    // A window that is sealed meanwhile is tried at once; it may be that only the other one can't be stamped.
                    tokio::select! {
                        () = tokio::time::sleep(doubled.min(self.waits.retry_max)) => {}
                        Some(window) = sealed.recv(), if pending.len() < TIMESTAMPS_PENDING_MAX => pending.push_front(window),
                    }
                }
            }
        }
    }

    /// Gets one window's timestamp and writes it, unless it is there already: a crash may have come before the log's entry.
    async fn window(&self, window: &str) -> Result<Hash, TimestampError> {
        let folder = self.evidence.join(window);
        let (note, there) = (self.read(folder.join(NOTE_NAME)).await?, self.read(folder.join(TIMESTAMP_NAME)).await);
        if let Ok(answer) = there
            && check(&answer, &Hash::of(&[&note]), None).is_ok()
        {
            return Ok(Hash::of(&[&answer]));
        }
        let answer = stamp(&self.remote, &self.url, &note, self.waits.request).await?;
        let sha256 = Hash::of(&[&answer]);
        let (disk, staging, path) = (self.disk.clone(), self.staging.clone(), folder.join(TIMESTAMP_NAME));
        let to = path.clone();
        let written = tokio::task::spawn_blocking(move || write_durably(&*disk, &staging, &to, &answer)).await;
        written.map_err(io::Error::other).flatten().map_err(|error| TimestampError::Disk(path, error))?;
        Ok(sha256)
    }

    async fn read(&self, path: PathBuf) -> Result<Vec<u8>, TimestampError> {
        let (disk, from) = (self.disk.clone(), path.clone());
        let read = tokio::task::spawn_blocking(move || disk.read(Path::new(&from))).await;
        read.map_err(io::Error::other).flatten().map_err(|error| TimestampError::Disk(path, error))
    }
}
