//! The ledger on a simulated disk: power that goes at any operation, processes that are killed, syncs that fail, bits that
//! rot. After each start everything acknowledged is there, unchanged and in order, and all of it verifies.
//!
//! No network and no real disk, so that thousands of seeds run in minutes. The writer is asked one thing after the other, and
//! a batch of several records is made by holding the disk until all of them wait: the same seed asks the same operations of
//! the disk in the same order. Salts, nonces and times are not seeded.

use bytes::Bytes;
use sealgate::{
    clock::SystemClock,
    config::Config,
    ledger::{self, Draft, Ledger, LedgerError, Paths, Placed, Setup, disk::Disk, row_salt},
};
use sealgate_schema::{
    Payload, Record, Text,
    note::SigningKey,
    parquet::{self, Rows},
    record::{Fields, Kind},
    seal::{State, Table},
    verify::{Asked, Name, Report, Source, verify_evidence},
};
use sealgate_tests::{
    faults::Form,
    random::Random,
    setting::{length, seeds},
    simdisk::{Plan, SimDisk},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

const GATEWAY: &str = "gw-sim";
const HOME: &str = "/home";
/// Seeds of the property test.
const SEEDS: (u64, u64) = (200, 20_000);
/// Seeds whose recovery is crashed at every operation.
const RECOVERIES: (u64, u64) = (1, 400);
/// Seeds whose unsynced batch is met by a start that crashes at every operation.
const UNSYNCED: (u64, u64) = (1, 100);
/// Lives of a process on one disk, before the last one in which nothing goes wrong.
const LIVES: u64 = 4;
/// Things asked of the ledger in one life, at most.
const STEPS_MAX: u64 = 12;
/// Operations of a life among which the one is chosen that goes wrong: some lives end before it.
const OPERATIONS: u64 = 70;
/// Records asked for at once, at most.
const BATCH_MAX: u64 = 6;
/// Windows of a seed, at most.
const WINDOWS_MAX: usize = 3;
/// Bytes of a body, at most: some sectors.
const BODY_BYTES_MAX: u64 = 2_000;
const EIO: i32 = 5;
const EINTR: i32 = 4;
const ENOSPC: i32 = 28;

/// What was done, counted over all seeds.
#[derive(Debug, Default)]
struct Figures {
    lives: AtomicU64,
    crashes: AtomicU64,
    crashes_in_recovery: AtomicU64,
    kills: AtomicU64,
    failures: AtomicU64,
    acknowledged: AtomicU64,
    rot: AtomicU64,
    rot_refused: AtomicU64,
    rot_found: AtomicU64,
    rot_torn: AtomicU64,
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

/// What the test knows of one window.
#[derive(Debug, Default, Clone)]
struct Window {
    opened: bool,
    closing: bool,
    sealed: bool,
    /// Everything asked for, by `detail`.
    sent: HashMap<Text, (Fields, Option<Payload>)>,
    /// What was acknowledged: `detail` and time, by `seq`.
    acknowledged: BTreeMap<u64, (Text, i64)>,
    /// Intents of this life without an outcome.
    open_calls: Vec<u64>,
}

/// Evidence of one window as it stands on the disk, verified.
struct Evidence {
    state: State,
    records: Vec<Record>,
    payloads: BTreeMap<u64, Payload>,
}

/// A disk, and all that was asked of it.
#[derive(Debug, Clone)]
struct World<'a> {
    disk: SimDisk,
    key: Arc<SigningKey>,
    windows: BTreeMap<String, Window>,
    /// Windows that take records in this life.
    open: Vec<String>,
    random: Random,
    sent: u64,
    figures: &'a Figures,
}

/// A start that was done.
struct Started {
    ledger: Ledger,
    open: Vec<String>,
    torn_bytes: usize,
}

fn paths() -> Paths {
    let path = |name| Path::new(HOME).join(name);
    Paths {
        journal: path("journal"),
        staging: path("journal/staging"),
        evidence: path("evidence"),
        payload_keys: path("keys/payloads"),
    }
}

/// Starts the ledger as `app::start` does. The only use of the signatures of recovery and writer.
async fn start(disk: &SimDisk, key: &Arc<SigningKey>) -> Result<Started, String> {
    let setup = Setup {
        gateway: GATEWAY.into(),
        paths: paths(),
        cutting: Config::default().cutting(),
        encrypt_payloads: false,
        disk: Arc::new(disk.clone()),
        clock: Arc::new(SystemClock),
        identity: key.clone(),
    };
    let opened = ledger::open(setup).map_err(|error| error.to_string())?;
    let open = opened.found.standings.iter().map(|standing| standing.chain.ledger().window().to_string()).collect();
    match opened.settle().await {
        Ok(()) => Ok(Started { ledger: opened.ledger, open, torn_bytes: opened.found.torn_bytes }),
        Err(error) => {
            // Its threads end before the next life begins.
            drop(opened.ledger.stop().await);
            Err(error.to_string())
        }
    }
}

/// The simulated evidence as a verifier reads it.
struct Look<'a>(&'a SimDisk);

impl Source for Look<'_> {
    fn list(&self, folder: &str) -> Result<Vec<Name>, String> {
        let folder = paths().evidence.join(folder);
        let name = |name: String| Name { folder: self.0.look(&folder.join(&name)).is_none(), name };
        Ok(self.0.names(&folder).into_iter().map(name).collect())
    }

    fn read(&self, path: &str) -> Result<Bytes, String> {
        self.0.look(&paths().evidence.join(path)).map(Bytes::from).ok_or_else(|| "missing".to_owned())
    }
}

impl<'a> World<'a> {
    fn new(seed: u64, figures: &'a Figures) -> Self {
        let disk = SimDisk::default();
        for folder in [paths().staging, paths().evidence] {
            disk.create_folder(&folder).unwrap();
            folder.ancestors().for_each(|above| disk.sync_folder(above).unwrap());
        }
        let key = Arc::new(SigningKey::from_seed("sealgate/gw-sim", &[7; 32]).unwrap());
        Self { disk, key, windows: BTreeMap::new(), open: Vec::new(), random: Random::new(seed), sent: 0, figures }
    }

    /// One life of a process, with what goes wrong in it, and its end.
    async fn live(&mut self) {
        let plan = self.draw_plan();
        self.disk.plan(plan);
        count(&self.figures.lives);
        let started = start(&self.disk, &self.key).await;
        let mut ledger = None;
        match started {
            Ok(started) => {
                self.accept(&started);
                for _ in 0..self.random.below(STEPS_MAX) {
                    self.step(&started.ledger).await;
                }
                ledger = Some(started.ledger);
            }
            Err(error) => {
                assert!(self.disk.met(), "the start was refused on a disk that works: {error}");
                count(&self.figures.crashes_in_recovery);
            }
        }
        self.end(plan, ledger).await;
    }

    fn draw_plan(&mut self) -> Plan {
        let at = 1 + self.random.below(OPERATIONS);
        match self.random.below(8) {
            0..4 => Plan { crash_at: Some(at), fail_at: None },
            4..7 => {
                let form = [Form::Lost, Form::Half, Form::Kept][self.random.below(3) as usize];
                let errno = [EIO, ENOSPC, EINTR][self.random.below(3) as usize];
                Plan { crash_at: None, fail_at: Some((at, errno, form)) }
            }
            _ => Plan::default(),
        }
    }

    /// In order, by a kill or by a crash.
    async fn end(&mut self, plan: Plan, ledger: Option<Ledger>) {
        let crashed = plan.crash_at.is_some() && self.disk.met();
        if plan.fail_at.is_some() && self.disk.met() {
            count(&self.figures.failures);
        }
        let way = if crashed { 0 } else { self.random.below(4) };
        let seed = self.random.number();
        let disk = self.disk.clone();
        if way == 3
            && let Some(ledger) = &ledger
        {
            let stopped = ledger.stop().await;
            assert!(stopped.is_ok() || disk.met(), "{stopped:?}");
        }
        self.disk = if way <= 1 {
            count(&self.figures.crashes);
            disk.crash(seed)
        } else {
            count(&self.figures.kills);
            disk.kill(seed)
        };
        // Its disk is gone; its threads end before the next life begins.
        if let Some(ledger) = ledger {
            drop(ledger.stop().await);
        }
        self.windows.values_mut().for_each(|window| window.open_calls.clear());
    }

    /// After a start: all that holds.
    fn accept(&mut self, started: &Started) {
        self.open.clone_from(&started.open);
        for (name, window) in &self.windows {
            let open = self.open.contains(name);
            assert!(open || !window.opened || window.closing, "{name} was opened and is forgotten");
            assert!(!open || !window.sealed, "{name} was sealed and is open again");
        }
        if let Err(why) = self.examine() {
            panic!("{why}");
        }
    }

    /// Verifies all evidence, and compares it with what was acknowledged.
    fn examine(&self) -> Result<(), String> {
        let evidence = self.evidence()?;
        for (name, window) in &self.windows {
            match evidence.get(name) {
                Some(evidence) => compare(window, evidence).map_err(|why| format!("{name}: {why}"))?,
                None if window.opened => return Err(format!("{name} has no evidence")),
                None => {}
            }
        }
        Ok(())
    }

    /// All evidence, verified together with its log. A window may be longer in the log than in its parts.
    fn evidence(&self) -> Result<BTreeMap<String, Evidence>, String> {
        let asked = Asked { keys: vec![self.key.verifier().clone()], ..Asked::default() };
        let report = verify_evidence(&Look(&self.disk), &asked);
        if report.tampered() {
            let logs: Vec<_> = report.logs.iter().map(|log| &log.findings.list).collect();
            let ledgers: Vec<_> = report.ledgers.iter().map(|ledger| (&ledger.folder, &ledger.findings.list)).collect();
            return Err(format!("it does not verify: {logs:?} {ledgers:?} {:?}", report.strays));
        }
        let there = report.ledgers.iter().filter_map(|ledger| Some((ledger, ledger.state?)));
        Ok(there.map(|(report, state)| self.read(report, state)).collect())
    }

    fn read(&self, report: &Report, state: State) -> (String, Evidence) {
        let ledger = report.ledger.clone().unwrap();
        let mut evidence = Evidence { state, records: Vec::new(), payloads: BTreeMap::new() };
        for standing in &report.files {
            let bytes = Look(&self.disk).read(&format!("{}/{}", report.folder, standing.name)).unwrap();
            match (standing.file.table, parquet::read(standing.file.table, &ledger, standing.file.first_seq, &bytes).rows) {
                (Table::Records, Rows::Records(rows)) => evidence.records.extend(rows.into_iter().map(|row| row.record)),
                (Table::Payloads, Rows::Payloads(rows)) => {
                    evidence.payloads.extend(rows.into_iter().map(|row| (row.seq, row.payload)))
                }
                _ => unreachable!("a file holds the table it was asked for"),
            }
        }
        (ledger.window().to_string(), evidence)
    }

    /// One thing asked of the ledger.
    async fn step(&mut self, ledger: &Ledger) {
        match self.random.below(8) {
            0 if self.windows.len() < WINDOWS_MAX => self.open_window(ledger).await,
            1 => drop(ledger.cut().await),
            2 => self.close_window(ledger).await,
            _ if self.open.is_empty() && self.windows.len() < WINDOWS_MAX => self.open_window(ledger).await,
            _ => self.batch(ledger).await,
        }
    }

    async fn open_window(&mut self, ledger: &Ledger) {
        let name = format!("W-{}", self.windows.len());
        let opened = ledger.open_window(name.clone().into(), "{}".into()).await.is_ok();
        self.windows.insert(name.clone(), Window { opened, ..Window::default() });
        if opened {
            self.open.push(name);
        }
    }

    /// Gives the open calls their outcomes first: for those the ledger would wait.
    async fn close_window(&mut self, ledger: &Ledger) {
        let Some(name) = self.some_window() else { return };
        let calls = std::mem::take(&mut self.windows.get_mut(&name).unwrap().open_calls);
        for call in calls {
            let draft = self.draft(&name, Kind::Outcome, Some(call));
            self.record(ledger, &name, draft).await;
        }
        let window = self.windows.get_mut(&name).unwrap();
        window.closing = true;
        window.sealed = ledger.close_window(name.clone().into(), json!({})).await.is_ok();
        self.open.retain(|open| *open != name);
    }

    fn some_window(&mut self) -> Option<String> {
        let index = self.random.below(self.open.len().max(1) as u64) as usize;
        self.open.get(index).cloned()
    }

    /// Some records in one batch: the first is held before it is written until the others wait.
    async fn batch(&mut self, ledger: &Ledger) {
        let Some(name) = self.some_window() else { return };
        let first = self.any_draft(&name);
        let others: Vec<_> = (0..self.random.below(BATCH_MAX)).map(|_| self.any_draft(&name)).collect();
        if ledger.health().failure().is_some() {
            return self.record(ledger, &name, first).await;
        }
        self.disk.hold();
        let mut waiting = vec![spawn(ledger, &name, first)];
        tokio::task::yield_now().await;
        self.disk.wait_held();
        waiting.extend(others.into_iter().map(|draft| spawn(ledger, &name, draft)));
        tokio::task::yield_now().await;
        self.disk.release();
        for task in waiting {
            let (detail, placed) = task.await.unwrap();
            self.note(&name, detail, placed);
        }
    }

    async fn record(&mut self, ledger: &Ledger, name: &str, draft: (Text, Draft)) {
        let placed = ledger.record(Text::from(name.to_owned()), draft.1).await;
        self.note(name, draft.0, placed);
    }

    fn note(&mut self, name: &str, detail: Text, placed: Result<Placed, LedgerError>) {
        let Ok(Placed { seq, time }) = placed else { return };
        count(&self.figures.acknowledged);
        let window = self.windows.get_mut(name).unwrap();
        if window.sent[&detail].0.kind == Kind::Intent {
            window.open_calls.push(seq);
        }
        window.acknowledged.insert(seq, (detail, time));
    }

    fn any_draft(&mut self, name: &str) -> (Text, Draft) {
        let calls = &mut self.windows.get_mut(name).unwrap().open_calls;
        match self.random.below(4) {
            0 if !calls.is_empty() => {
                let call = calls.remove(self.random.below(calls.len() as u64) as usize);
                self.draft(name, Kind::Outcome, Some(call))
            }
            0 | 1 => self.draft(name, Kind::Refusal, None),
            _ => self.draft(name, Kind::Intent, None),
        }
    }

    fn draft(&mut self, name: &str, kind: Kind, call: Option<u64>) -> (Text, Draft) {
        self.sent += 1;
        let detail = Text::from(json!({ "sent": self.sent }).to_string());
        let payload = self.random.once_in(2).then(|| {
            let mut payload = Payload::new(row_salt());
            let body: Vec<u8> = (0..self.random.below(BODY_BYTES_MAX)).map(|_| self.random.number() as u8).collect();
            payload.body = Some(body.into());
            payload
        });
        let fields = Fields { call, detail: Some(detail.clone()), ..Fields::new(kind) };
        let draft = match &payload {
            Some(payload) => Draft::with_payload(fields.clone(), payload),
            None => Draft::new(fields.clone()),
        };
        self.windows.get_mut(name).unwrap().sent.insert(detail.clone(), (fields, payload));
        (detail, draft)
    }

    /// A last life in which nothing goes wrong: every window is sealed, and stays sealed.
    async fn settle(&mut self) {
        let started = start(&self.disk, &self.key).await.unwrap_or_else(|error| panic!("the last start was refused: {error}"));
        self.accept(&started);
        for name in self.open.clone() {
            started.ledger.close_window(name.clone().into(), json!({})).await.unwrap();
            let window = self.windows.entry(name).or_default();
            (window.closing, window.sealed) = (true, true);
        }
        started.ledger.stop().await.unwrap();
        self.disk = self.disk.crash(self.random.number());
        let again = start(&self.disk, &self.key).await.unwrap();
        self.accept(&again);
        let all = self.evidence().unwrap();
        for name in self.windows.keys() {
            let Some(evidence) = all.get(name) else { continue };
            assert_eq!(evidence.state, State::Sealed, "{name}");
            // The start listed every call that had no end: none was left for the seal.
            let unknown = evidence.records.iter().filter(|record| record.fields.kind == Kind::OutcomeUnknown);
            unknown.for_each(|record| assert!(record.fields.detail.as_ref().unwrap().contains("the gateway ended"), "{record:?}"));
        }
        again.ledger.stop().await.unwrap();
    }

    /// Flips a bit, starts, and says what came of it: refused, found, said to be a torn write, or without harm.
    async fn rot(&mut self) {
        let Some(path) = self.disk.rot(&[&paths().journal, &paths().evidence], &mut self.random) else { return };
        count(&self.figures.rot);
        let Ok(started) = start(&self.disk, &self.key).await else { return count(&self.figures.rot_refused) };
        match self.examine() {
            Err(why) if why.contains("does not verify") => count(&self.figures.rot_found),
            Err(why) => {
                assert!(started.torn_bytes > 0, "a bit of {} flipped, and nothing says so: {why}", path.display());
                count(&self.figures.rot_torn);
            }
            Ok(()) => {}
        }
        started.ledger.stop().await.unwrap();
    }
}

type Waiting = tokio::task::JoinHandle<(Text, Result<Placed, LedgerError>)>;

fn spawn(ledger: &Ledger, name: &str, (detail, draft): (Text, Draft)) -> Waiting {
    let (ledger, name) = (ledger.clone(), Text::from(name.to_owned()));
    tokio::spawn(async move { (detail, ledger.record(name, draft).await) })
}

/// Everything acknowledged is there as it was sent, and nothing that was not sent, nor anything twice.
fn compare(window: &Window, evidence: &Evidence) -> Result<(), String> {
    for (seq, (detail, time)) in &window.acknowledged {
        let Some(record) = evidence.records.get(*seq as usize) else {
            return Err(format!("record {seq} was acknowledged and is lost: there are {}", evidence.records.len()));
        };
        if record.fields.detail.as_ref() != Some(detail) || record.time != *time {
            return Err(format!("record {seq} was acknowledged with {detail} and is {record:?}"));
        }
    }
    let mut seen = HashMap::new();
    for record in &evidence.records {
        let kind = &record.fields.kind;
        if ![Kind::Intent, Kind::Outcome, Kind::Refusal].contains(kind) {
            continue;
        }
        let detail = record.fields.detail.clone().unwrap_or("".into());
        let Some((fields, payload)) = window.sent.get(&detail) else { return Err(format!("nobody sent {record:?}")) };
        let call = if *kind == Kind::Intent { Some(record.seq) } else { fields.call };
        let payload_hash = payload.as_ref().map(Payload::commitment);
        if record.fields != (Fields { call, payload_hash, ..fields.clone() })
            || evidence.payloads.get(&record.seq) != payload.as_ref()
        {
            return Err(format!("{record:?} is not what was sent"));
        }
        if seen.insert(detail, record.seq).is_some() {
            return Err(format!("{record:?} is there twice"));
        }
    }
    match evidence.state {
        State::Open if window.sealed => Err("it was sealed and is open".to_owned()),
        State::Sealed if !window.closing => Err("it is sealed, and nobody asked".to_owned()),
        _ => Ok(()),
    }
}

/// Runs `one` for each seed, on every core, and names the seeds that failed.
fn each_seed<F: Future<Output = ()>>(count: u64, one: impl Fn(u64) -> F + Sync) {
    let (seeds, next, failed) = (seeds(count), AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            let seed = seeds.start + next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            // The panic itself says why on stderr.
            let run = std::panic::AssertUnwindSafe(|| runtime.block_on(one(seed)));
            if std::panic::catch_unwind(run).is_err() {
                eprintln!("seed {seed} failed");
                failed.lock().unwrap().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} failed; run one again with SEALGATE_TEST_SEED={}", failed[0]);
}

#[test]
fn nothing_acknowledged_is_lost_whatever_a_disk_does() {
    let figures = Figures::default();
    each_seed(length(SEEDS.0, SEEDS.1), async |seed| {
        let mut world = World::new(seed, &figures);
        for _ in 0..1 + world.random.below(LIVES) {
            world.live().await;
        }
        if world.random.once_in(4) { world.rot().await } else { world.settle().await }
    });
    println!("{figures:#?}");
    for figure in [&figures.crashes, &figures.crashes_in_recovery, &figures.kills, &figures.failures, &figures.rot] {
        assert!(seeds(2).count() == 1 || figure.load(Ordering::Relaxed) > 0, "every kind of trouble was met: {figures:?}");
    }
}

/// Starts on copies of a disk, with the power going at one operation after the other; each is mended by starting again.
async fn crash_each_start(before: &World<'_>, seed: u64, step: u64) -> u64 {
    for (points, at) in (1..).step_by(step as usize).enumerate() {
        let mut world = before.clone();
        world.disk = before.disk.copy();
        world.disk.plan(Plan { crash_at: Some(at), fail_at: None });
        if let Ok(started) = start(&world.disk, &world.key).await {
            // The operation may come with the stop.
            drop(started.ledger.stop().await);
            return points as u64;
        }
        world.disk = if at % 4 == 0 { world.disk.kill(seed + at) } else { world.disk.crash(seed + at) };
        world.settle().await;
    }
    unreachable!("a start ends")
}

#[test]
fn a_recovery_that_crashes_at_any_operation_is_mended_by_recovering_again() {
    let (figures, points) = (Figures::default(), AtomicU64::new(0));
    each_seed(length(RECOVERIES.0, RECOVERIES.1), async |seed| {
        let mut before = World::new(seed, &figures);
        for _ in 0..2 {
            before.live().await;
        }
        points.fetch_add(crash_each_start(&before, seed, length(5, 1)).await, Ordering::Relaxed);
    });
    println!("{} operations of recoveries crashed", points.load(Ordering::Relaxed));
}

/// A window with some records in it, in a life that goes on.
async fn begun(seed: u64, figures: &Figures) -> (World<'_>, Ledger) {
    let mut world = World::new(seed, figures);
    let ledger = start(&world.disk, &world.key).await.unwrap().ledger;
    world.open_window(&ledger).await;
    world.batch(&ledger).await;
    (world, ledger)
}

/// Kills a life, and waits for its threads.
async fn kill(world: &mut World<'_>, ledger: Option<Ledger>) {
    let disk = world.disk.clone();
    world.disk = disk.kill(0);
    if let Some(ledger) = ledger {
        drop(ledger.stop().await);
    }
}

fn fails(at: u64) -> Plan {
    Plan { crash_at: None, fail_at: Some((at, EIO, Form::Lost)) }
}

/// A process that starts reads from memory what the one before it could not sync. Parts that were made of it outlived a crash
/// in which the journal lost it, and the next start was refused.
#[test]
fn what_a_killed_process_had_not_synced_is_durable_before_parts_are_made_of_it() {
    let figures = Figures::default();
    each_seed(length(UNSYNCED.0, UNSYNCED.1), async |seed| {
        let (mut world, ledger) = begun(seed, &figures).await;
        // The first operation of a batch writes it, the second syncs it.
        world.disk.plan(fails(2));
        world.batch(&ledger).await;
        kill(&mut world, Some(ledger)).await;
        crash_each_start(&world, seed, length(5, 1)).await;
    });
}

/// A note whose folder could not be synced was taken for durable by the next start, which removed the segment.
#[test]
fn an_error_at_any_operation_of_a_cut_and_then_a_crash_lose_nothing() {
    let figures = Figures::default();
    each_seed(1, async |seed| {
        for at in (1..).step_by(length(2, 1) as usize) {
            let (mut world, ledger) = begun(seed, &figures).await;
            world.disk.plan(fails(at));
            let cut = ledger.cut().await;
            let met = world.disk.met();
            assert_eq!(cut.is_err(), met, "operation {at}");
            kill(&mut world, Some(ledger)).await;
            let started = start(&world.disk, &world.key).await.unwrap();
            world.disk = world.disk.crash(seed + at);
            drop(started.ledger.stop().await);
            world.settle().await;
            if !met {
                break;
            }
        }
    });
}

/// A start that failed while it removed old segments left its writer to finish its own, and so a gap; one that failed before
/// its segment's name was durable left a name that went while that of the next start's segment stayed.
#[test]
fn an_error_at_any_operation_of_a_start_is_mended_by_starting_again() {
    let figures = Figures::default();
    each_seed(1, async |seed| {
        let (mut before, ledger) = begun(seed, &figures).await;
        kill(&mut before, Some(ledger)).await;
        for at in (1..).step_by(length(4, 1) as usize) {
            let mut world = before.clone();
            world.disk = before.disk.copy();
            world.disk.plan(fails(at));
            let started = start(&world.disk, &world.key).await;
            let met = world.disk.met();
            kill(&mut world, started.ok().map(|started| started.ledger)).await;
            crash_each_start(&world, seed + at, length(29, 1)).await;
            if !met {
                break;
            }
        }
    });
}
