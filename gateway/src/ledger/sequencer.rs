//! The writer: one thread that owns every chain of this gateway.
//!
//! It takes what has queued up as one batch: gives each record its place, writes the frames, one fdatasync, then the
//! acknowledgements. What a crash leaves behind, step by step:
//!
//! 1. before the write: nothing; nobody was told anything
//! 2. after the write, before the sync: some or all frames, a torn one last; nobody was told anything, so recovery may
//!    keep them (`outcome_unknown`) or cut them
//! 3. after the sync: all frames; those told and those not yet told alike
//!
//! After an error of the disk nothing is known about the segment, so it is never written or synced again: every waiting
//! and later append fails, and the next start recovers.

use super::{
    Cutting, Draft, Health, Ledger, LedgerError, OpenCall, Paths, Placed,
    disk::{Append as AppendFile, Disk},
    journal::{self, Nonce, Origin, Standing},
    part::{Finisher, PartWriter},
    windows_log::LogError,
};
use crate::{
    clock::Clock,
    limits::{BATCH_BYTES_MAX, BATCH_MAX, CLOCK_STEP_MIN, SEGMENT_BYTES_MAX},
};
use sealgate_schema::{
    LedgerId, Text,
    log::Event,
    record::{Fields, Kind},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, mpsc as blocking},
    time::Instant,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

type Told<T> = oneshot::Sender<Result<T, LedgerError>>;

/// One or two records of the same window, written together.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) window: Text,
    pub(super) first: Draft,
    pub(super) second: Option<Draft>,
    pub(super) reply: Reply,
    /// The call's place in the queue, given back when its outcome is taken.
    pub(super) slot: Option<OwnedSemaphorePermit>,
}

/// Who is told when the records are on disk.
#[derive(Debug)]
pub(super) enum Reply {
    /// The maker of an intent: it gets the open call.
    Call { reply: Told<OpenCall>, ledger: Ledger, slot: OwnedSemaphorePermit },
    /// Whoever waits for a record.
    Placed(Told<Placed>),
    /// The client is gone.
    Nobody,
}

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Message {
    Append(Append),
    Open {
        window: Text,
        detail: Text,
        reply: Told<Placed>,
    },
    /// No new intents; answers when no call is open.
    Drain {
        window: Text,
        reply: Told<()>,
    },
    Seal {
        window: Text,
        detail: serde_json::Value,
        reply: Told<()>,
    },
    Cut {
        reply: Told<()>,
    },
    Tick,
    Stop {
        reply: Told<()>,
    },
}

/// What a writer starts from.
#[derive(Debug)]
pub struct Start {
    /// This gateway instance.
    pub gateway: Text,
    /// Where things are kept.
    pub paths: Paths,
    /// When parts are cut.
    pub cutting: Cutting,
    /// The ledgers that are open.
    pub standings: Vec<Standing>,
    /// Number of the next segment.
    pub segment: u64,
}

/// Starts the writer and the thread that makes parts with `parts`.
pub fn start(
    start: Start,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    parts: PartWriter,
    health: Arc<Health>,
) -> Result<Ledger, LogError> {
    let io_error = |error: io::Error| LogError::Disk(start.paths.journal.clone(), error.to_string());
    let finisher = Finisher::start(parts, health.clone()).map_err(io_error)?;
    let mut ledgers = HashMap::new();
    for standing in start.standings {
        let window = standing.chain.ledger().window().clone();
        let announced = finisher.keys().log().window(&window)?.map_or(0, |window| window.length());
        ledgers.insert(window, Open { announced, ..Open::new(standing) });
    }
    let paths = start.paths.clone();
    let mut sequencer = Sequencer {
        gateway: start.gateway,
        ledgers,
        heads_pending: None,
        segment: Segment { file: None, number: start.segment, nonce: [0; 16], bytes: 0, records: 0, since: Instant::now() },
        paths,
        cutting: start.cutting,
        buffer: Vec::with_capacity(1 << 20),
        acknowledgements: Vec::with_capacity(BATCH_MAX),
        step: None,
        clock: Steady::new(clock),
        disk,
        finisher,
        health: health.clone(),
    };
    sequencer.segment = sequencer.new_segment(start.segment, Origin::Recovery).map_err(io_error)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("ledger".to_owned()).spawn(move || sequencer.run(receiver)).map_err(io_error)?;
    Ok(Ledger::new(sender, health))
}

struct Open {
    standing: Standing,
    /// Records that the windows log knows of.
    announced: u64,
    draining: bool,
    waiting: Vec<Told<()>>,
}

impl Open {
    fn new(standing: Standing) -> Self {
        Self { standing, announced: 0, draining: false, waiting: Vec::new() }
    }

    /// How far the ledger has grown, where the windows log does not know it yet.
    fn head(&mut self) -> Option<Event> {
        let chain = &self.standing.chain;
        (chain.size() > self.announced).then(|| {
            self.announced = chain.size();
            let window = chain.ledger().window().to_string();
            Event::Head { window, records: chain.size(), root: chain.root().to_string() }
        })
    }
}

struct Segment {
    /// `None` after a failure: the file is never touched again.
    file: Option<Box<dyn AppendFile>>,
    number: u64,
    nonce: Nonce,
    bytes: u64,
    records: u64,
    since: Instant,
}

enum Acknowledgement {
    Call { reply: Told<OpenCall>, call: OpenCall },
    Placed { reply: Told<Placed>, placed: Placed },
    Done(Told<()>),
}

impl Acknowledgement {
    /// Says that the records are on disk, or that they are not.
    fn tell(self, failure: Option<&LedgerError>) {
        // Where nobody takes the word, nobody needs it: an open call that is not taken closes itself.
        match (self, failure.cloned()) {
            (Self::Call { reply, call }, None) => drop(reply.send(Ok(call))),
            (Self::Placed { reply, placed }, None) => drop(reply.send(Ok(placed))),
            (Self::Done(reply), None) => drop(reply.send(Ok(()))),
            (Self::Call { reply, call }, Some(failure)) => {
                call.forget();
                drop(reply.send(Err(failure)));
            }
            (Self::Placed { reply, .. }, Some(failure)) => drop(reply.send(Err(failure))),
            (Self::Done(reply), Some(failure)) => drop(reply.send(Err(failure))),
        }
    }
}

impl Reply {
    fn refuse(self, error: LedgerError) {
        match self {
            Self::Call { reply, .. } => drop(reply.send(Err(error))),
            Self::Placed(reply) => drop(reply.send(Err(error))),
            // An outcome of a caller that is gone: recovery or the seal lists the call.
            Self::Nobody => {}
        }
    }
}

struct Sequencer {
    gateway: Text,
    ledgers: HashMap<Text, Open>,
    /// The heads that the windows log is writing: more are told when these are durable.
    heads_pending: Option<blocking::Receiver<Result<(), LogError>>>,
    segment: Segment,
    paths: Paths,
    cutting: Cutting,
    buffer: Vec<u8>,
    acknowledgements: Vec<Acknowledgement>,
    /// A step of the wall clock, in microseconds, that no record has told of yet.
    step: Option<i64>,
    clock: Steady,
    disk: Arc<dyn Disk>,
    finisher: Finisher,
    health: Arc<Health>,
}

impl Sequencer {
    fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        let mut stopping = None;
        let mut tick = false;
        while stopping.is_none() && receiver.blocking_recv_many(&mut messages, BATCH_MAX) > 0 {
            for message in messages.drain(..) {
                if let Message::Stop { reply } = message {
                    stopping = Some(reply);
                    continue;
                }
                tick |= matches!(message, Message::Tick);
                self.take(message);
                if self.buffer.len() >= BATCH_BYTES_MAX {
                    self.commit();
                }
            }
            self.commit();
            // After the commit: the log may know of records that are on disk, and of no others.
            if std::mem::take(&mut tick) {
                self.announce();
            }
            if self.cut_is_due() {
                // The cut may wait for parts that are being made: a head is not to wait with it.
                self.announce();
                self.cut(Vec::new());
            }
        }
        self.announce_all();
        // Messages still queued lose their reply with the receiver, and their senders are told that the gateway stops.
        if self.segment.records > 0 {
            self.cut(Vec::new());
        }
        let result = self.finisher.stop().and(self.failure().map_or(Ok(()), Err));
        if let Some(reply) = stopping {
            let _ = reply.send(result);
        }
    }

    /// Tells the windows log how far the open ledgers have grown; where it is still busy with that, the next tick does.
    fn announce(&mut self) {
        match self.heads_pending.as_ref().map(blocking::Receiver::try_recv) {
            Some(Err(blocking::TryRecvError::Empty)) => return,
            Some(answer) => self.heads_told(answer.map_err(|_| LogError::Ended)),
            None => {}
        }
        self.heads_pending = None;
        if self.failure().is_some() {
            return;
        }
        let heads: Vec<Event> = self.ledgers.values_mut().filter_map(Open::head).collect();
        self.heads_pending = (!heads.is_empty()).then(|| self.tell_log(heads));
    }

    /// Waits until the log knows of every record.
    fn announce_all(&mut self) {
        for _ in 0..2 {
            if let Some(pending) = self.heads_pending.take() {
                self.heads_told(pending.recv().map_err(|_| LogError::Ended));
            }
            self.announce();
        }
    }

    /// Heads that the log did not take are known to nobody: without them records could be removed unnoticed.
    fn heads_told(&self, answer: Result<Result<(), LogError>, LogError>) {
        if let Err(error) = answer.flatten()
            && self.failure().is_none()
        {
            self.health.fail(&error.to_string());
        }
    }

    fn tell_log(&self, events: Vec<Event>) -> blocking::Receiver<Result<(), LogError>> {
        let (told, done) = blocking::sync_channel(1);
        self.finisher.keys().log().submit(events, told);
        done
    }

    fn failure(&self) -> Option<LedgerError> {
        self.health.failure().map(|why| LedgerError::Unwritable(why.to_string()))
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Append(append) => self.append(append),
            Message::Open { window, detail, reply } => self.open(window, detail, reply),
            Message::Drain { window, reply } => self.drain(window, reply),
            Message::Seal { window, detail, reply } => self.seal(&window, detail, reply),
            Message::Cut { reply } => {
                self.commit();
                // Whoever asks for parts is about to look: the log is to know what they hold.
                self.announce_all();
                self.cut(vec![reply]);
            }
            Message::Tick | Message::Stop { .. } => {}
        }
    }

    fn append(&mut self, append: Append) {
        let refused = match (self.failure(), self.ledgers.get(&append.window)) {
            (Some(failure), _) => Some(failure),
            (None, Some(open)) if !(open.draining && append.first.fields.kind == Kind::Intent) => None,
            _ => Some(LedgerError::WindowClosed(append.window.to_string())),
        };
        if let Some(error) = refused {
            return append.reply.refuse(error);
        }
        let first = self.place(&append.window, append.first);
        let placed = append.second.map_or(first, |second| self.place(&append.window, second));
        self.release_drained(&append.window);
        match append.reply {
            Reply::Call { reply, ledger, slot } => {
                let call = OpenCall { ledger, window: append.window, placed, slot: Some(slot) };
                self.acknowledgements.push(Acknowledgement::Call { reply, call });
            }
            Reply::Placed(reply) => self.acknowledgements.push(Acknowledgement::Placed { reply, placed }),
            Reply::Nobody => {}
        }
        // The outcome has its place: another call may come.
        drop(append.slot);
    }

    /// Gives a record its place and writes its frame into the batch. The window is open: the caller looked.
    fn place(&mut self, window: &Text, mut draft: Draft) -> Placed {
        let Some(open) = self.ledgers.get_mut(window) else { return Placed { seq: 0, time: 0 } };
        let (time, step) = self.clock.now();
        if self.segment.records == 0 {
            self.segment.since = Instant::now();
        }
        // A ledger begins with its window_open: a step that is seen then is told by the record after it.
        if draft.fields.kind == Kind::WindowOpen {
            self.step = self.step.or(step);
        } else if let Some(step) = step.or(self.step.take()) {
            let detail = json!({ "step_us": step }).to_string();
            let fields = Fields { detail: Some(detail.into()), ..Fields::new(Kind::ClockStep) };
            journal::write_record(&mut self.buffer, &self.segment.nonce, &mut open.standing, fields, time, None);
            self.segment.records += 1;
        }
        if draft.fields.kind == Kind::Intent {
            draft.fields.call = Some(open.standing.chain.size());
        }
        let record = journal::write_record(
            &mut self.buffer,
            &self.segment.nonce,
            &mut open.standing,
            *draft.fields,
            time,
            draft.payload.as_deref(),
        );
        self.segment.records += 1;
        Placed { seq: record.seq, time }
    }

    fn open(&mut self, window: Text, detail: Text, reply: Told<Placed>) {
        let ledger = match (self.failure(), LedgerId::new(self.gateway.clone(), window.clone())) {
            (Some(failure), _) => return drop(reply.send(Err(failure))),
            (None, Ok(ledger)) if !self.ledgers.contains_key(&window) && !self.finisher.exists(&ledger) => ledger,
            _ => return drop(reply.send(Err(LedgerError::WindowExists(window.to_string())))),
        };
        // The log first: a window without its entry would be one that nobody can miss.
        if let Err(error) = self.finisher.keys().open(&ledger) {
            return drop(reply.send(Err(LedgerError::Unwritable(error.to_string()))));
        }
        self.ledgers.insert(window.clone(), Open::new(Standing::new(ledger)));
        let placed = self.place(&window, Draft::new(Fields { detail: Some(detail), ..Fields::new(Kind::WindowOpen) }));
        self.acknowledgements.push(Acknowledgement::Placed { reply, placed });
    }

    fn drain(&mut self, window: Text, reply: Told<()>) {
        match (self.failure(), self.ledgers.get_mut(&window)) {
            (Some(failure), _) => drop(reply.send(Err(failure))),
            (None, None) => drop(reply.send(Err(LedgerError::WindowClosed(window.to_string())))),
            (None, Some(open)) => {
                open.draining = true;
                open.waiting.push(reply);
                self.release_drained(&window);
            }
        }
    }

    fn release_drained(&mut self, window: &Text) {
        if let Some(open) = self.ledgers.get_mut(window)
            && open.standing.open_calls.is_empty()
        {
            self.acknowledgements.extend(open.waiting.drain(..).map(Acknowledgement::Done));
        }
    }

    /// Unknown outcomes for the calls still open, `window_close`, then a cut: the part with `window_close` is the seal.
    fn seal(&mut self, window: &Text, mut detail: serde_json::Value, reply: Told<()>) {
        if let Some(failure) = self.failure() {
            return drop(reply.send(Err(failure)));
        }
        let Some(open) = self.ledgers.get(window) else {
            return drop(reply.send(Err(LedgerError::WindowClosed(window.to_string()))));
        };
        for call in open.standing.open_calls.clone() {
            self.place(window, unknown_outcome(call, "the window was closed before the call had ended"));
        }
        let Some(open) = self.ledgers.get(window) else { return };
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("counts".to_owned(), counts_with(&open.standing.counts, &Kind::WindowClose));
        }
        self.place(window, Draft::new(Fields { detail: Some(detail.to_string().into()), ..Fields::new(Kind::WindowClose) }));
        self.commit();
        // Its last head: the parts may take longer than a head may be late.
        self.announce_all();
        // Removed before the cut: the next segment must not carry the ledger on.
        self.ledgers.remove(window);
        self.cut(vec![reply]);
    }

    /// Writes and syncs the batch, then tells those who wait.
    fn commit(&mut self) {
        if !self.buffer.is_empty() {
            if let Err(error) = self.write() {
                self.segment.file = None;
                self.health.fail(&error.to_string());
            }
            self.buffer.clear();
        }
        let failure = self.failure();
        for acknowledgement in self.acknowledgements.drain(..) {
            acknowledgement.tell(failure.as_ref());
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let file = self.segment.file.as_mut().ok_or_else(|| io::Error::other("the segment failed before"))?;
        // An unlinked or moved journal would take records that no recovery will ever find.
        if !file.is_in_place()? {
            return Err(io::Error::other("the journal file or its folder was removed or renamed"));
        }
        file.append(&self.buffer)?;
        file.sync()?;
        self.segment.bytes += self.buffer.len() as u64;
        Ok(())
    }

    fn cut_is_due(&self) -> bool {
        let segment = &self.segment;
        let old = segment.since.elapsed().as_secs() >= self.cutting.seconds;
        segment.records > 0 && (old || segment.records >= self.cutting.records || segment.bytes >= SEGMENT_BYTES_MAX)
    }

    /// Begins the next segment, finishes this one, and hands it over to become parts.
    ///
    /// In that order, so that a next segment that can't be made (no file descriptor, no space) costs a cut and not the
    /// ledger: this one goes on, and the cut is tried again. A crash after the beginning leaves a next segment without
    /// records and this one without its end frame; the next start makes the same parts from it.
    fn cut(&mut self, replies: Vec<Told<()>>) {
        let next = match self.failure() {
            Some(failure) => Err(failure),
            None => self.new_segment(self.segment.number + 1, Origin::Cut).map_err(|error| {
                tracing::warn!(%error, "a part could not be cut; it is tried again");
                LedgerError::Unwritable(error.to_string())
            }),
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => return replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        };
        journal::write_end(&mut self.buffer, &self.segment.nonce);
        self.commit();
        if let Some(failure) = self.failure() {
            return replies.into_iter().for_each(|reply| drop(reply.send(Err(failure.clone()))));
        }
        let finished = std::mem::replace(&mut self.segment, next).number;
        self.finisher.finish(finished, replies);
    }

    /// Makes a segment that says where every open ledger stands. What an earlier try left under its name goes first.
    fn new_segment(&self, number: u64, origin: Origin) -> io::Result<Segment> {
        let path = segment_path(&self.paths, number);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.disk.create(&path)?;
        let (mut start, nonce) = (Vec::new(), super::row_salt());
        let mut standings: Vec<_> = self.ledgers.values().map(|open| &open.standing).collect();
        standings.sort_by(|a, b| a.chain.ledger().cmp(b.chain.ledger()));
        journal::write_start(&mut start, &self.gateway, number, &nonce, origin, standings.into_iter());
        file.append(&start)?;
        file.sync()?;
        self.disk.sync_folder(&self.paths.journal)?;
        Ok(Segment { file: Some(file), number, nonce, bytes: start.len() as u64, records: 0, since: Instant::now() })
    }
}

/// `outcome_unknown` for a call, with the reason.
pub(super) fn unknown_outcome(call: u64, why: &str) -> Draft {
    let detail = json!({ "why": why }).to_string();
    Draft::new(Fields { call: Some(call), detail: Some(detail.into()), ..Fields::new(Kind::OutcomeUnknown) })
}

/// The counts, with one more of `kind`.
fn counts_with(counts: &BTreeMap<String, u64>, kind: &Kind) -> serde_json::Value {
    let mut counts = counts.clone();
    *counts.entry(kind.as_str().to_owned()).or_default() += 1;
    json!(counts)
}

/// Where a segment is kept.
pub(super) fn segment_path(paths: &Paths, number: u64) -> PathBuf {
    paths.journal.join(segment_name(number))
}

/// Name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("segment-{number:012}.journal")
}

/// Number in the name of a segment's file.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("segment-")?.strip_suffix(".journal")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Wall time, watched against the steady clock.
struct Steady {
    clock: Arc<dyn Clock>,
    wall: i64,
    steady: Instant,
}

impl Steady {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { wall: clock.now(), steady: Instant::now(), clock }
    }

    /// Now, and by how many microseconds the wall clock stepped since it was last asked.
    fn now(&mut self) -> (i64, Option<i64>) {
        let (wall, steady) = (self.clock.now(), Instant::now());
        let elapsed = i64::try_from(steady.duration_since(self.steady).as_micros()).unwrap_or(i64::MAX);
        let step = wall.saturating_sub(self.wall).saturating_sub(elapsed);
        (self.wall, self.steady) = (wall, steady);
        (wall, (step.unsigned_abs() >= CLOCK_STEP_MIN.as_micros() as u64).then_some(step))
    }
}
