//! What ties the windows log to other people: witnesses that cosign its checkpoints, an authority that signs the time of seals.
//!
//! Here is the wiring alone: who is told when. [`crate::ledger::witness`] and [`crate::ledger::timestamp`] do the work. No call
//! waits for any of it.

use crate::{
    config::Config,
    ledger::{
        Draft, Ledger, Paths,
        disk::Disk,
        timestamp::{self, Stamped, Stamping},
        windows_log::WindowsLog,
        witness::{self, Anchor, AnchorEvent, WitnessError, Witnesses, rounds::Ends},
    },
    limits::{ANCHOR_EVENTS_MAX, TIMESTAMPS_PENDING_MAX},
    remote::{self, Remote},
    sessions::Sessions,
};
use sealgate_schema::{
    Text,
    log::{CHECKPOINT_NAME, Event, LOG_FOLDER},
    note::VerifierKey,
    record::{Fields, Kind},
    witness::policy::Policy,
};
use serde_json::json;
use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What anchoring stands on.
#[derive(Debug, Clone)]
pub struct Anchoring {
    disk: Arc<dyn Disk>,
    gateway: PathBuf,
    staging: PathBuf,
    policy: Option<Policy>,
    timestamps: Option<http::Uri>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    anchor: watch::Sender<Option<Anchor>>,
    timestamps_failing: watch::Sender<Option<String>>,
}

impl Anchoring {
    /// Reads what the configuration names.
    pub fn new(gateway: &str, paths: &Paths, config: &Config, disk: Arc<dyn Disk>) -> Result<Self, WitnessError> {
        let policy = config.witness.as_ref().map(|witness| witness::read_policy(&witness.policy)).transpose()?;
        let timestamps = config.timestamp.as_ref().map(|timestamp| remote::url(&timestamp.url));
        Ok(Self {
            disk,
            gateway: paths.evidence.join(gateway),
            staging: paths.staging.clone(),
            policy,
            timestamps: timestamps.transpose().map_err(WitnessError::Unusable)?,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            anchor: watch::Sender::new(None),
            timestamps_failing: watch::Sender::new(None),
        })
    }

    /// Asks the witnesses whether they have seen more than the disk holds, before anything is signed on it. A log that is not
    /// there yet is asked about with the first `checkpoint` it has.
    pub async fn check(&self, key: &VerifierKey, checkpoint: Option<&str>) -> Result<(), WitnessError> {
        let Some(witnesses) = self.witnesses(key)? else { return Ok(()) };
        let path = self.gateway.join(LOG_FOLDER).join(CHECKPOINT_NAME);
        let note = match (checkpoint, self.disk.read(&path)) {
            (Some(note), _) => note.to_owned(),
            (None, Ok(note)) => String::from_utf8_lossy(&note).into_owned(),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            (None, Err(error)) => return Err(WitnessError::Unusable(format!("{}: {error}", path.display()))),
        };
        for unreached in witnesses.seen(&note).await? {
            let (witness, why) = (unreached.witness, unreached.why);
            tracing::warn!(witness, %why, "a witness could not be asked whether this disk was rolled back");
        }
        Ok(())
    }

    fn witnesses(&self, key: &VerifierKey) -> Result<Option<Witnesses>, WitnessError> {
        let Some(policy) = self.policy.clone() else { return Ok(None) };
        let setup = witness::Setup {
            disk: self.disk.clone(),
            log_folder: self.gateway.join(LOG_FOLDER),
            staging: self.staging.clone(),
            log_key: key.clone(),
            policy,
            waits: witness::Waits::default(),
        };
        Witnesses::new(setup).map(Some)
    }

    /// Starts what is configured.
    pub fn start(&self, log: &WindowsLog, ledger: &Ledger, sessions: &Arc<Sessions>) -> Result<(), WitnessError> {
        if self.policy.is_some() {
            let (events, receiver) = mpsc::channel(ANCHOR_EVENTS_MAX);
            self.tasks.spawn(self.clone().witness(log.clone(), events));
            self.tasks.spawn(record_lags(receiver, ledger.clone(), sessions.clone()));
        }
        if let Some(url) = self.timestamps.clone() {
            let stamping = Stamping {
                remote: Remote::new()?,
                url,
                disk: self.disk.clone(),
                evidence: self.gateway.clone(),
                staging: self.staging.clone(),
                waits: timestamp::Waits::default(),
            };
            let (sealed, pending) = mpsc::channel(TIMESTAMPS_PENDING_MAX);
            let (stamped, done) = mpsc::channel(1);
            let failing = self.timestamps_failing.clone();
            self.tasks.spawn(stamping.run(Vec::new(), pending, stamped, failing, self.stopping.clone()));
            self.tasks.spawn(find_unstamped(log.clone(), sealed, self.stopping.clone()));
            self.tasks.spawn(declare_stamped(log.clone(), done));
        }
        Ok(())
    }

    /// Witnessing under one identity key after the other: after a handover the checkpoints are signed by the next.
    async fn witness(self, log: WindowsLog, events: mpsc::Sender<AnchorEvent>) {
        let mut identity = log.identity();
        while !self.stopping.is_cancelled() {
            let key = identity.borrow_and_update().clone();
            let round = self.stopping.child_token();
            let witnesses = match self.witnesses(&key) {
                Ok(Some(witnesses)) => witnesses,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "nobody witnesses the log until the gateway is started again");
                    return;
                }
            };
            let (anchor, mut seen) = watch::channel(unknown());
            let ends = Ends { checkpoints: log.checkpoint(), anchor, events: events.clone(), stopping: round.clone() };
            let mut run = std::pin::pin!(witnesses.run(ends));
            loop {
                // The losers are what has not come yet; the rounds go on at the next turn.
                tokio::select! {
                    ended = &mut run => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a checkpoint of the next identity key");
                        }
                        break;
                    }
                    changed = seen.changed() => if changed.is_ok() {
                        self.anchor.send_replace(Some(seen.borrow_and_update().clone()));
                    },
                    _ = identity.changed(), if !round.is_cancelled() => round.cancel(),
                }
            }
            // The log's writer is gone: no checkpoint will come, and asking about the last one again and again helps nobody.
            if identity.has_changed().is_err() {
                return;
            }
        }
    }

    /// How well the log is anchored; nothing where no witnesses are configured.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor.borrow().clone()
    }

    /// Why seals get no timestamps.
    pub fn timestamps_failing(&self) -> Option<String> {
        self.timestamps_failing.borrow().clone()
    }

    /// Ends it, after the last checkpoint; the witnesses get a bounded time for that one.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn unknown() -> Anchor {
    Anchor { cosigned_size: 0, cosigned_at: None, size: 0, since: None, error: None, witnesses: Vec::new() }
}

/// A lag is a record of the standing window.
async fn record_lags(mut events: mpsc::Receiver<AnchorEvent>, ledger: Ledger, sessions: Arc<Sessions>) {
    while let Some(event) = events.recv().await {
        let AnchorEvent { lagging, cosigned, size, since_seconds, error } = event;
        let detail = json!({ "lagging": lagging, "cosigned": cosigned, "entries": size, "seconds": since_seconds, "error": error });
        let fields = Fields { detail: Some(detail.to_string().into()), ..Fields::new(Kind::AnchorLag) };
        let Some(window) = sessions.standing_window() else { continue };
        if let Err(error) = ledger.record(Text::clone(&window), Draft::new(fields)).await {
            tracing::error!(%error, lagging, "the lag of the witnesses could not be recorded");
        }
    }
}

/// Looks for new seals with each checkpoint.
async fn find_unstamped(log: WindowsLog, sealed: mpsc::Sender<String>, stopping: CancellationToken) {
    let (mut checkpoints, mut told) = (log.checkpoint(), BTreeSet::new());
    loop {
        let asked = log.clone();
        let Ok(Ok(lacking)) = tokio::task::spawn_blocking(move || asked.unstamped()).await else { return };
        for window in lacking.into_iter().filter(|window| told.insert(window.clone())) {
            tokio::select! {
                sent = sealed.send(window) => if sent.is_err() { return },
                () = stopping.cancelled() => return,
            }
        }
        tokio::select! {
            changed = checkpoints.changed() => if changed.is_err() { return },
            () = stopping.cancelled() => return,
        }
    }
}

/// A timestamp that is on disk gets its entry in the log.
async fn declare_stamped(log: WindowsLog, mut stamped: mpsc::Receiver<Stamped>) {
    while let Some(Stamped { window, sha256 }) = stamped.recv().await {
        let (log, entry) = (log.clone(), Event::Timestamp { window: window.clone(), sha256: sha256.to_string() });
        match tokio::task::spawn_blocking(move || log.append(vec![entry])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, window, "a timestamp could not be entered into the log"),
            Err(error) => tracing::error!(%error, window, "a timestamp could not be entered into the log"),
        }
    }
}
