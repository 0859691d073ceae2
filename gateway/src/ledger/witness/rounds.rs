//! Which checkpoint is shown to which witness when.
//!
//! A quorum must stand under one checkpoint, so all witnesses get the same one, a round at a time. The next round takes the
//! newest checkpoint, and begins when nobody is being asked about the present one any more, or when it has its quorum and has
//! waited for the slower ones. A witness has one request under way at most; one that fails is asked again after a wait that
//! doubles, about whatever the round is about by then.

use super::{Anchor, AnchorEvent, Peer, Published, WitnessState, WitnessView, Witnesses, ask::AskError, seen_by};
use crate::ledger::disk::write_durably;
use sealgate_schema::{log::COSIGNED_NAME, note::NoteError, witness::Cosignature};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Where the rounds get their checkpoints, and whom they tell.
#[derive(Debug)]
pub struct Ends {
    /// The newest signed checkpoint.
    pub checkpoints: watch::Receiver<Arc<str>>,
    /// How well the log is anchored.
    pub anchor: watch::Sender<Anchor>,
    /// Lags, for the ledger. At most one event waits here besides those in the channel: a lag that is over before it was
    /// told is not told.
    pub events: mpsc::Sender<AnchorEvent>,
    /// Cancelled after the last checkpoint was published.
    pub stopping: CancellationToken,
}

/// One witness.
#[derive(Debug)]
struct Seat {
    name: String,
    peer: Option<Arc<Peer>>,
    state: WitnessState,
    /// Entries that it is known to have cosigned.
    cosigned_size: u64,
    /// Number of the round that it is being asked about.
    asked: Option<u64>,
    /// Failures in a row, and when to ask again.
    failures: u32,
    not_before: Instant,
    error: Option<String>,
    /// Its cosignature of the round's checkpoint.
    line: Option<Cosignature>,
}

/// The checkpoint that the witnesses are shown now.
#[derive(Debug)]
struct Round {
    number: u64,
    checkpoint: Arc<Published>,
    began: Instant,
    /// Cosignatures in `_log/cosigned`; `None` where the file is not of this round.
    written: Option<usize>,
}

struct Answered {
    seat: usize,
    round: u64,
    size: u64,
    result: Result<Cosignature, AskError>,
}

struct Rounds {
    witnesses: Witnesses,
    ends: Ends,
    seats: Vec<Seat>,
    round: Round,
    newest: Arc<Published>,
    asks: JoinSet<Answered>,
    cosigned_size: u64,
    cosigned_at: Option<u64>,
    /// Since when there are entries without a quorum, and since when there are some that the round's checkpoint lacks.
    since: Option<Instant>,
    since_round: Option<Instant>,
    /// Set while a lag was told or waits to be: since when it is.
    lag: Option<Instant>,
    event: Option<AnchorEvent>,
    write_error: Option<String>,
    write_not_before: Instant,
    stop_at: Option<Instant>,
}

impl Witnesses {
    /// Gets checkpoints cosigned until it is told to stop, then for a bounded time the last one. Spawn it where it is waited for.
    pub async fn run(self, ends: Ends) -> Result<(), NoteError> {
        let mut rounds = Rounds::new(self, ends)?;
        rounds.run().await;
        Ok(())
    }
}

impl Rounds {
    fn new(witnesses: Witnesses, mut ends: Ends) -> Result<Self, NoteError> {
        let now = Instant::now();
        let newest = Arc::new(witnesses.published(&ends.checkpoints.borrow_and_update().clone())?);
        let known = witnesses.cosigned();
        let seats = witnesses.setup.policy.witnesses().iter().zip(&witnesses.peers).map(|(witness, peer)| Seat {
            name: witness.name.clone(),
            peer: peer.clone(),
            state: if peer.is_some() { WitnessState::Asked } else { WitnessState::NotAsked },
            cosigned_size: known.as_ref().map_or(0, |cosigned| seen_by(cosigned, &witness.name)),
            asked: None,
            failures: 0,
            not_before: now,
            error: None,
            line: None,
        });
        let cosigned_size = known.as_ref().map_or(0, |cosigned| cosigned.checkpoint.size);
        Ok(Self {
            seats: seats.collect(),
            round: Round { number: 1, checkpoint: newest.clone(), began: now, written: None },
            asks: JoinSet::new(),
            cosigned_size,
            cosigned_at: known.and_then(|cosigned| cosigned.by.iter().map(|(_, time)| *time).max()),
            since: (newest.size > cosigned_size).then_some(now),
            since_round: None,
            newest,
            lag: None,
            event: None,
            write_error: None,
            write_not_before: now,
            stop_at: None,
            witnesses,
            ends,
        })
    }

    async fn run(&mut self) {
        loop {
            self.write_if_due().await;
            self.advance();
            self.ask();
            self.look_at_lag();
            self.ends.anchor.send_replace(self.anchor());
            if self.is_over() {
                return;
            }
            self.wait().await;
        }
    }

    /// Waits for whatever comes first. What loses is still there at the next turn.
    async fn wait(&mut self) {
        let (wake, stopping, events) = (self.wake(), self.stop_at.is_some(), self.ends.events.clone());
        tokio::select! {
            changed = self.ends.checkpoints.changed(), if !stopping => match changed {
                Ok(()) => self.take_newest(),
                // The log's writer is gone: nothing new will come.
                Err(_) => self.stop(),
            },
            Some(answered) = self.asks.join_next(), if !self.asks.is_empty() => self.take(answered),
            place = events.reserve(), if self.event.is_some() && !events.is_closed() => {
                if let (Ok(place), Some(event)) = (place, self.event.take()) {
                    place.send(event);
                }
            }
            () = self.ends.stopping.cancelled(), if !stopping => self.stop(),
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn stop(&mut self) {
        self.take_newest();
        self.stop_at = Some(Instant::now() + self.witnesses.setup.waits.stop);
    }

    /// At a stop: the newest checkpoint has its quorum, or everybody was asked about it, or the time is over.
    fn is_over(&self) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        let on_newest = self.round.checkpoint.note == self.newest.note;
        let tried =
            self.asks.is_empty() && self.seats.iter().all(|seat| seat.peer.is_none() || seat.line.is_some() || seat.failures > 0);
        Instant::now() >= stop_at || (on_newest && tried)
    }

    fn take_newest(&mut self) {
        let note = self.ends.checkpoints.borrow_and_update().clone();
        if note == self.newest.note {
            return;
        }
        match self.witnesses.published(&note) {
            Ok(newest) if newest.size >= self.newest.size => {
                let now = Instant::now();
                if newest.size > self.round.checkpoint.size {
                    self.since_round.get_or_insert(now);
                    self.since.get_or_insert(now);
                }
                self.newest = Arc::new(newest);
            }
            Ok(older) => self.write_error = Some(format!("the log published {} entries after {}", older.size, self.newest.size)),
            Err(error) => self.write_error = Some(format!("the log published what is not its checkpoint: {error}")),
        }
    }

    /// Begins the next round where there is a newer checkpoint and this round is over.
    fn advance(&mut self) {
        if self.newest.note == self.round.checkpoint.note {
            return;
        }
        let mut asked = self.seats.iter().filter(|seat| seat.asked == Some(self.round.number)).peekable();
        let under_way = asked.peek().is_some();
        // One that failed just now may be hanging: it is not waited for again.
        let waited = asked.all(|seat| seat.failures > 0) || self.round.began.elapsed() >= self.witnesses.setup.waits.round;
        if under_way && !(waited && self.round.written.is_some()) {
            return;
        }
        let number = self.round.number + 1;
        self.round = Round { number, checkpoint: self.newest.clone(), began: Instant::now(), written: None };
        self.since_round = None;
        self.seats.iter_mut().for_each(|seat| seat.line = None);
    }

    /// Asks every witness that is free, has not cosigned the round's checkpoint, and did not fail just now.
    fn ask(&mut self) {
        let now = Instant::now();
        let Round { number, checkpoint, .. } = &self.round;
        for (index, seat) in self.seats.iter_mut().enumerate() {
            let Some(peer) = &seat.peer else { continue };
            if seat.asked.is_some() || seat.line.is_some() || seat.not_before > now {
                continue;
            }
            seat.asked = Some(*number);
            let (asking, peer, checkpoint) = (self.witnesses.asking.clone(), peer.clone(), checkpoint.clone());
            let (round, old) = (*number, seat.cosigned_size);
            self.asks.spawn(async move {
                let result = asking.cosign(&peer, &checkpoint, old).await;
                Answered { seat: index, round, size: checkpoint.size, result }
            });
        }
    }

    fn take(&mut self, answered: Result<Answered, tokio::task::JoinError>) {
        // A conversation is only ended by the set it is in, and does not panic.
        let Ok(Answered { seat, round, size, result }) = answered else { return };
        let waits = self.witnesses.setup.waits;
        let Some(seat) = self.seats.get_mut(seat) else { return };
        seat.asked = None;
        match result {
            Ok(cosignature) => {
                (seat.state, seat.failures, seat.error) = (WitnessState::Cosigned, 0, None);
                seat.cosigned_size = size;
                if round == self.round.number {
                    seat.line = Some(cosignature);
                }
            }
            Err(error) => {
                let against = error.speaks_against_the_disk();
                seat.state = if against { WitnessState::SpeaksAgainstTheDisk } else { WitnessState::Failed };
                seat.error = Some(error.to_string());
                let doubled = waits.retry_min.saturating_mul(1_u32.checked_shl(seat.failures).unwrap_or(u32::MAX));
                seat.failures = seat.failures.saturating_add(1);
                seat.not_before = Instant::now() + doubled.min(waits.retry_max);
            }
        }
    }

    /// Writes `_log/cosigned` where the round has its quorum and the file lacks a cosignature.
    async fn write_if_due(&mut self) {
        let by: BTreeSet<&str> = self.seats.iter().filter(|seat| seat.line.is_some()).map(|seat| seat.name.as_str()).collect();
        let lacks = self.round.written.is_none_or(|written| written < by.len());
        if !lacks || !self.witnesses.setup.policy.satisfied(&by) || Instant::now() < self.write_not_before {
            return;
        }
        let count = by.len();
        let lines: Vec<&Cosignature> = self.seats.iter().filter_map(|seat| seat.line.as_ref()).collect();
        let at = lines.iter().map(|line| line.time).max();
        let note = lines.iter().fold(self.round.checkpoint.note.to_string(), |note, line| note + &line.line);
        match self.write(note).await {
            Ok(()) => {
                self.round.written = Some(count);
                (self.cosigned_size, self.cosigned_at, self.write_error) = (self.round.checkpoint.size, at, None);
                // What is without a quorum now came after this checkpoint.
                self.since = self.since_round;
            }
            Err(error) => {
                self.write_error = Some(error.to_string());
                self.write_not_before = Instant::now() + self.witnesses.setup.waits.retry_max;
            }
        }
    }

    /// A crash leaves the file before or this one; both hold.
    async fn write(&self, note: String) -> std::io::Result<()> {
        let setup = &self.witnesses.setup;
        let (disk, staging, path) = (setup.disk.clone(), setup.staging.clone(), setup.log_folder.join(COSIGNED_NAME));
        let written = tokio::task::spawn_blocking(move || write_durably(&*disk, &staging, &path, note.as_bytes())).await;
        written.map_err(std::io::Error::other)?
    }

    fn look_at_lag(&mut self) {
        let late = self.since.filter(|since| since.elapsed() >= self.witnesses.setup.waits.lag);
        match (self.lag, late) {
            (None, Some(since)) => {
                self.lag = Some(since);
                self.tell(true, since.elapsed());
            }
            (Some(since), None) => {
                self.lag = None;
                self.tell(false, since.elapsed());
            }
            _ => {}
        }
    }

    fn tell(&mut self, lagging: bool, since: Duration) {
        // An event that still waits is the opposite one: nobody has heard of it, so neither is told.
        if self.event.take().is_some() {
            return;
        }
        let failed = self.seats.iter().filter_map(|seat| Some(format!("{}: {}", seat.name, seat.error.as_ref()?)));
        let errors: Vec<String> = self.write_error.clone().into_iter().chain(failed).collect();
        self.event = Some(AnchorEvent {
            lagging,
            cosigned: self.cosigned_size,
            size: self.newest.size,
            since_seconds: since.as_secs(),
            error: (!errors.is_empty()).then(|| errors.join("; ")),
        });
    }

    fn anchor(&self) -> Anchor {
        let view = |seat: &Seat| WitnessView {
            name: seat.name.clone(),
            state: seat.state,
            cosigned_size: seat.cosigned_size,
            error: seat.error.clone(),
        };
        Anchor {
            cosigned_size: self.cosigned_size,
            cosigned_at: self.cosigned_at,
            size: self.newest.size,
            since: self.since,
            error: self.write_error.clone(),
            witnesses: self.seats.iter().map(view).collect(),
        }
    }

    /// When something is due though nothing has come.
    fn wake(&self) -> Instant {
        let waits = self.witnesses.setup.waits;
        let now = Instant::now();
        let again = self.seats.iter().filter(|seat| seat.peer.is_some() && seat.line.is_none() && seat.asked.is_none());
        let again = again.map(|seat| seat.not_before);
        let round = (self.newest.note != self.round.checkpoint.note).then(|| self.round.began + waits.round);
        let lag = self.since.filter(|_| self.lag.is_none()).map(|since| since + waits.lag);
        let write = Some(self.write_not_before);
        // What is past is not due by time; what makes it due wakes by itself.
        let due = again.chain(round).chain(lag).chain(write).chain(self.stop_at).filter(|due| *due > now).min();
        due.unwrap_or(now + waits.retry_max)
    }
}
