//! The ledger: the one place where records get their order, and where "written down" means "on disk".
//!
//! - [`sequencer`]: the writer thread that owns every chain, and group commit
//! - [`journal`]: the write-ahead segments
//! - [`part`]: finished segments → Parquet parts and signed notes; the last part of a closed window is its seal
//! - [`windows_log`]: which windows there are, how far each has grown, how it was sealed · [`keys`]: who signs for each
//! - [`redact`]: what is taken away from sealed windows, and the legal hold that refuses it · [`retain`]: what goes by time
//! - [`recover`]: what a start makes of what a stop or crash left
//! - `tear`: what of a segment's end is a torn write, and what is damage
//! - [`payload_keys`]: the keys of encrypted payload files
//! - [`disk`]: the file system port · `found`: records that a start found
//! - [`mod@witness`], [`timestamp`], over [`crate::remote`]: what other parties sign of it
//!
//! A call goes through [`Ledger::intend`] (a [`Permit`] becomes a [`Receipt`]) and [`OpenCall::finish`].

pub mod disk;
mod found;
pub mod journal;
pub mod keys;
pub mod part;
pub mod payload_keys;
pub mod recover;
pub mod redact;
pub mod retain;
pub mod sequencer;
mod tear;
pub mod timestamp;
pub mod windows_log;
pub mod witness;

use crate::{
    clock::Clock,
    limits::{CALL_SLOT_WAIT, CALLS_IN_FLIGHT_MAX, WINDOW_DRAIN_WAIT},
};
use arc_swap::ArcSwapOption;
use disk::Disk;
use keys::WindowKeys;
use part::PartWriter;
use payload_keys::PayloadKeys;
use recover::{RecoverError, Recovered};
use redact::Redactor;
use sealgate_policies::permit::Permit;
use sealgate_schema::{
    Payload, Text,
    log::{CHECKPOINT_NAME, LOG_FOLDER},
    note::{SigningKey, VerifierKey},
    record::{Fields, Kind},
};
use sequencer::{Append, Message, Reply};
use std::{fmt::Debug, io, path::PathBuf, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use windows_log::{LogError, WindowsLog};

/// Why a record was not written. What was acknowledged before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The disk refused. Nothing more is written until the gateway is started again and has recovered.
    #[error("the ledger can't be written ({0}); mend the disk, then start the gateway again")]
    Unwritable(String),
    /// The window takes no more records of this kind.
    #[error("window {0} is closed")]
    WindowClosed(String),
    /// A window of this name was opened before.
    #[error("window {0} exists already; a window is opened once, choose another name")]
    WindowExists(String),
    /// Too many calls are open.
    #[error("{CALLS_IN_FLIGHT_MAX} calls are open already; try again")]
    Busy,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// The place of a written record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its `seq`.
    pub seq: u64,
    /// Its `time`.
    pub time: i64,
}

/// A record that waits for its place.
#[derive(Debug)]
pub struct Draft {
    fields: Box<Fields>,
    payload: Option<Vec<u8>>,
}

impl Draft {
    /// A record without payload.
    pub fn new(fields: Fields) -> Self {
        Self { fields: Box::new(fields), payload: None }
    }

    /// A record and its payload; commits the record to it.
    pub fn with_payload(mut fields: Fields, payload: &Payload) -> Self {
        fields.payload_hash = Some(payload.commitment());
        let body = payload.body.as_ref().map_or(0, |body| body.len());
        let mut encoded = Vec::with_capacity(body + 1024);
        payload.encode(&mut encoded);
        Self { fields: Box::new(fields), payload: Some(encoded) }
    }
}

/// Random bytes for the salts of one payload row.
pub fn row_salt() -> [u8; 16] {
    let mut salt = [0; 16];
    #[expect(clippy::expect_used, reason = "aws-lc's generator aborts the process before it fails")]
    aws_lc_rs::rand::fill(&mut salt).expect("the random generator works");
    salt
}

/// The identity key: signs the checkpoints of the windows log. A key file today; KMS or PKCS#11 behind the same port.
pub trait Signer: Debug + Send + Sync + 'static {
    /// The public key.
    fn verifier(&self) -> &VerifierKey;
    /// The signature line over `text`.
    fn line(&self, text: &str) -> Result<String, String>;
    /// Signs `text` into a note.
    fn sign(&self, text: &str) -> Result<String, String> {
        Ok(format!("{text}\n{}", self.line(text)?))
    }
}

impl Signer for SigningKey {
    fn verifier(&self) -> &VerifierKey {
        SigningKey::verifier(self)
    }

    fn line(&self, text: &str) -> Result<String, String> {
        Ok(SigningKey::line(self, text))
    }
}

/// Where a ledger keeps what.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Segments.
    pub journal: PathBuf,
    /// Files on their way to `evidence`; on the same file system.
    pub staging: PathBuf,
    /// Parts and notes, by gateway and window.
    pub evidence: PathBuf,
    /// Keys of encrypted payload files.
    pub payload_keys: PathBuf,
}

/// What a ledger is opened with.
#[derive(Debug)]
pub struct Setup {
    /// This gateway instance.
    pub gateway: Text,
    /// Where things are kept.
    pub paths: Paths,
    /// When parts are cut.
    pub cutting: Cutting,
    /// Whether payload files of new windows are encrypted.
    pub encrypt_payloads: bool,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock of records and entries.
    pub clock: Arc<dyn Clock>,
    /// The identity key.
    pub identity: Arc<dyn Signer>,
}

/// A ledger that can be written.
#[derive(Debug)]
pub struct Opened {
    /// Its handle.
    pub ledger: Ledger,
    /// The windows log.
    pub log: WindowsLog,
    /// What takes away from sealed windows.
    pub redactor: Arc<Redactor>,
    /// What was found, for [`Opened::settle`].
    pub found: Recovered,
    gateway: Text,
    parts: PartWriter,
    paths: Paths,
    disk: Arc<dyn Disk>,
}

/// Opens the ledger: the windows log first, then what the last run left, then the writer. Blocks while it reads.
pub fn open(setup: Setup) -> Result<Opened, RecoverError> {
    let Setup { gateway, paths, cutting, encrypt_payloads, disk, clock, identity } = setup;
    let health = Arc::new(Health::default());
    let start = windows_log::Start {
        gateway: gateway.to_string(),
        evidence: paths.evidence.clone(),
        staging: paths.staging.clone(),
        disk: disk.clone(),
        clock: clock.clone(),
        identity,
    };
    refuse_lost_log(&*disk, &paths, &gateway)?;
    let log = WindowsLog::open(start, health.clone())?;
    let payload_keys = PayloadKeys::new(paths.payload_keys.clone(), paths.staging.clone(), disk.clone(), encrypt_payloads);
    let parts = PartWriter::new(paths.clone(), disk.clone(), Arc::new(WindowKeys::new(log.clone())), payload_keys);
    let found = recover::recover(&gateway, &paths, &disk, &parts)?;
    let name = gateway.clone();
    let redactor = Redactor::new(gateway.clone(), parts.clone(), paths.staging.clone(), disk.clone());
    redactor.settle()?;
    let standings = found.standings.clone();
    let start = sequencer::Start { gateway, paths: paths.clone(), cutting, standings, segment: found.segment };
    let ledger = sequencer::start(start, disk.clone(), clock, parts.clone(), health)?;
    Ok(Opened { ledger, log, redactor: Arc::new(redactor), found, gateway: name, parts, paths, disk })
}

/// A journal without a log: the evidence was taken away. A new log beside it would be a second history under the same key.
fn refuse_lost_log(disk: &dyn Disk, paths: &Paths, gateway: &str) -> Result<(), RecoverError> {
    let checkpoint = paths.evidence.join(gateway).join(LOG_FOLDER).join(CHECKPOINT_NAME);
    let lost = disk.read(&checkpoint).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let names = disk.list(&paths.journal).map_err(|error| RecoverError::Disk(paths.journal.clone(), error))?;
    match lost && names.iter().any(|name| sequencer::segment_number(name).is_some()) {
        true => Err(LogError::Lost(checkpoint).into()),
        false => Ok(()),
    }
}

impl Opened {
    /// Writes down what recovery found, and lets go of the segments that it came from: the new one has it all now.
    pub async fn settle(&self) -> Result<(), SettleError> {
        recover::declare(&self.found, &self.ledger).await?;
        Ok(recover::remove_before(self.found.segment, &self.paths, &*self.disk, &self.parts)?)
    }
}

/// Why what recovery found could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The old segments.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// When parts are cut.
#[derive(Debug, Clone, Copy)]
pub struct Cutting {
    /// Records a part.
    pub records: u64,
    /// Seconds from a part's first record to its cut.
    pub seconds: u64,
}

/// Whether the ledger can be written, for the health page and for refusals that need no round trip.
#[derive(Debug, Default)]
pub struct Health {
    failure: ArcSwapOption<String>,
}

impl Health {
    /// Why the ledger can't be written.
    pub fn failure(&self) -> Option<Arc<String>> {
        self.failure.load_full()
    }

    fn fail(&self, why: &str) {
        tracing::error!(why, "the ledger can't be written: calls are refused until the gateway is started again");
        self.failure.store(Some(Arc::new(why.to_owned())));
    }
}

/// Handle to the writer. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    sender: mpsc::UnboundedSender<Message>,
    /// Bounds the queue: each call in flight has at most two messages in it.
    calls: Arc<Semaphore>,
    health: Arc<Health>,
}

impl Ledger {
    fn new(sender: mpsc::UnboundedSender<Message>, health: Arc<Health>) -> Self {
        Self { sender, calls: Arc::new(Semaphore::new(CALLS_IN_FLIGHT_MAX)), health }
    }

    /// Whether the ledger can be written.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Calls that have no outcome yet.
    pub fn calls_in_flight(&self) -> usize {
        CALLS_IN_FLIGHT_MAX - self.calls.available_permits()
    }

    /// Opens a window: its ledger begins with `window_open`.
    pub async fn open_window(&self, window: Text, detail: Text) -> Result<Placed, LedgerError> {
        let (reply, placed) = oneshot::channel();
        self.send(Message::Open { window, detail, reply })?;
        placed.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Writes the intent of a permitted call: when this returns, it is on disk.
    pub async fn intend(&self, window: Text, intent: Draft, permit: Permit) -> Result<Receipt, LedgerError> {
        let slot = tokio::time::timeout(CALL_SLOT_WAIT, self.calls.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| LedgerError::Busy)?.map_err(|_| LedgerError::Stopping)?;
        let (reply, call) = oneshot::channel();
        // The writer makes the open call and sends it here. If this future is dropped meanwhile, the open call is dropped
        // with it, and gives the intent its outcome itself.
        let reply = Reply::Call { reply, ledger: self.clone(), slot };
        self.send(Message::Append(Append { window, first: intent, second: None, reply, slot: None }))?;
        let call = call.await.map_err(|_| LedgerError::Stopping)??;
        Ok(Receipt { permit, call })
    }

    /// Writes any other record: an event, a refusal.
    pub async fn record(&self, window: Text, draft: Draft) -> Result<Placed, LedgerError> {
        let (reply, placed) = oneshot::channel();
        self.send(Message::Append(Append { window, first: draft, second: None, reply: Reply::Placed(reply), slot: None }))?;
        placed.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Closes and seals a window: no new calls, a bounded wait for those in flight, `window_close`, the seal. When this
    /// returns, the seal is on disk and was read back.
    pub async fn close_window(&self, window: Text, detail: serde_json::Value) -> Result<(), LedgerError> {
        let (reply, drained) = oneshot::channel();
        self.send(Message::Drain { window: window.clone(), reply })?;
        // Past the wait the calls still open get an unknown outcome, and their answers are cut.
        if let Ok(drained) = tokio::time::timeout(WINDOW_DRAIN_WAIT, drained).await {
            drained.map_err(|_| LedgerError::Stopping)??;
        }
        let (reply, sealed) = oneshot::channel();
        self.send(Message::Seal { window, detail, reply })?;
        sealed.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Cuts a part now, so that queries see every record written so far.
    pub async fn cut(&self) -> Result<(), LedgerError> {
        let (reply, done) = oneshot::channel();
        self.send(Message::Cut { reply })?;
        done.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Cuts a part where the open one is old enough, and tells the windows log how far the ledgers have grown.
    pub fn tick(&self) {
        // A writer that is gone has neither.
        let _ = self.send(Message::Tick);
    }

    /// Ends the writer after everything sent so far; the journal then holds where each open ledger stands.
    pub async fn stop(&self) -> Result<(), LedgerError> {
        let (reply, done) = oneshot::channel();
        self.send(Message::Stop { reply })?;
        done.await.map_err(|_| LedgerError::Stopping)?
    }

    fn send(&self, message: Message) -> Result<(), LedgerError> {
        self.sender.send(message).map_err(|_| LedgerError::Stopping)
    }
}

/// Proof that the intent of a permitted call is on disk. Made by [`Ledger::intend`] alone, spent by re-signing.
///
/// ```compile_fail,E0451
/// fn forge(permit: sealgate_policies::permit::Permit, call: sealgate::ledger::OpenCall) -> sealgate::ledger::Receipt {
///     sealgate::ledger::Receipt { permit, call }
/// }
/// ```
#[derive(Debug)]
#[must_use = "a receipt that is not spent leaves a call without an answer"]
pub struct Receipt {
    permit: Permit,
    call: OpenCall,
}

impl Receipt {
    /// Where the intent stands.
    pub fn placed(&self) -> Placed {
        self.call.placed
    }

    /// Spends the receipt: the permit it holds, and the call that now needs an outcome.
    pub(crate) fn spend(self) -> (Permit, OpenCall) {
        (self.permit, self.call)
    }
}

/// A call that has an intent and needs an outcome. Dropped without one, it writes `outcome` with an error code itself:
/// whatever ends a call, its end is recorded once.
#[derive(Debug)]
pub struct OpenCall {
    ledger: Ledger,
    window: Text,
    placed: Placed,
    slot: Option<OwnedSemaphorePermit>,
}

impl OpenCall {
    /// Where the intent stands.
    pub fn placed(&self) -> Placed {
        self.placed
    }

    /// Sends the outcome, and the request body where the intent could not hold it. The receiver resolves when both are
    /// on disk; dropping it changes nothing about that.
    pub fn finish(mut self, request_body: Option<Draft>, outcome: Draft) -> oneshot::Receiver<Result<Placed, LedgerError>> {
        let (reply, written) = oneshot::channel();
        let (first, second) = match request_body {
            Some(body) => (body, Some(outcome)),
            None => (outcome, None),
        };
        self.send(first, second, Reply::Placed(reply));
        written
    }

    /// Lets go of a call whose intent did not reach the disk: it needs no outcome.
    fn forget(mut self) {
        self.slot = None;
    }

    fn send(&mut self, mut first: Draft, mut second: Option<Draft>, reply: Reply) {
        let slot = self.slot.take();
        for draft in std::iter::once(&mut first).chain(second.as_mut()) {
            draft.fields.call = Some(self.placed.seq);
        }
        // Where the writer is gone, the reply's sender is dropped with the message, and the waiting end says so.
        let _ = self.ledger.send(Message::Append(Append { window: self.window.clone(), first, second, reply, slot }));
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.slot.is_some() {
            let fields = Fields { error_code: Some("SealgateCallAbandoned".into()), ..Fields::new(Kind::Outcome) };
            self.send(Draft::new(fields), None, Reply::Nobody);
        }
    }
}
