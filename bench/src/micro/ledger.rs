//! The ledger on a real disk: group commit under one and many clients, and verifying what came of it.

use super::{row, sample::Sample};
use crate::{
    Result,
    child::own_cpu,
    figures::{median, short},
};
use sealgate::{
    clock::SystemClock,
    config::Config,
    evidence::Folder,
    ledger::{self, Draft, Ledger, Paths, disk::LocalDisk},
};
use sealgate_schema::{
    Text,
    note::SigningKey,
    record::{Fields, Kind},
    verify::{Asked, verify_evidence},
};
use serde_json::json;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

const WINDOW: Text = Text::Static("BENCH");
const GATEWAY: &str = "gw-bench";
/// How long each group of clients writes.
const SPAN: Duration = Duration::from_secs(2);
/// Length of `detail` in the records without payload: with the other columns some 2 KiB.
const DETAIL_BYTES: usize = 1_700;

pub(super) async fn run(folder: &Path, sample: &Sample) -> Result<()> {
    let detail: Text = format!(r#"{{"filler":"{}"}}"#, "x".repeat(DETAIL_BYTES)).into();
    let plain = Fields { detail: Some(detail), ..refusal(sample) };
    let record = move || Draft::new(plain.clone());
    for clients in [1, 64] {
        let home = Home::new(folder)?;
        let written = home.write(clients, record.clone()).await?;
        written.print(&format!("journal, 2 KiB records, {clients} client(s)"));
    }
    let home = Home::new(folder)?;
    let (fields, payload) = (refusal(sample), sample.response());
    let written = home.write(64, move || Draft::with_payload(fields.clone(), &payload)).await?;
    written.print("journal, answers, 64 clients");
    home.verify()
}

/// A record that stands alone: an intent would need an outcome to verify.
fn refusal(sample: &Sample) -> Fields {
    Fields { kind: Kind::Refusal, call: None, payload_hash: None, ..sample.intent.clone() }
}

struct Home {
    folder: TempDir,
    key: Arc<SigningKey>,
}

struct Written {
    records: usize,
    wall: Duration,
    cpu: Duration,
    p50_micros: f64,
}

impl Written {
    fn print(&self, name: &str) {
        let cpu = short(self.cpu.as_secs_f64() * 1e6 / self.records as f64);
        let what = format!("p50 {} µs, {cpu} µs CPU a record (clients, writer and parts)", short(self.p50_micros));
        row(name, &format!("{} records/s", short(self.records as f64 / self.wall.as_secs_f64())), &what);
    }
}

impl Home {
    fn new(folder: &Path) -> Result<Self> {
        let folder = TempDir::new_in(folder)?;
        for name in ["journal", "staging", "evidence"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self { folder, key: Arc::new(SigningKey::from_seed("sealgate/gw-bench", &[7; 32])?) })
    }

    /// Clients that each write one record after the other; then the window is sealed.
    async fn write(&self, clients: usize, draft: impl Fn() -> Draft + Send + Clone + 'static) -> Result<Written> {
        let ledger = self.start()?;
        ledger.open_window(WINDOW, "{}".into()).await?;
        let (cpu, start) = (own_cpu()?, Instant::now());
        let latencies = write_all(&ledger, clients, start + SPAN, draft).await?;
        let wall = start.elapsed();
        ledger.cut().await?;
        let cpu = own_cpu()?.saturating_sub(cpu);
        ledger.close_window(WINDOW, json!({})).await?;
        ledger.stop().await?;
        Ok(Written { records: latencies.len(), wall, cpu, p50_micros: median(latencies).unwrap_or(f64::NAN) })
    }

    fn start(&self) -> Result<Ledger> {
        let path = |name| self.folder.path().join(name);
        let paths = Paths { journal: path("journal"), staging: path("staging"), evidence: path("evidence") };
        let setup = ledger::Setup {
            gateway: GATEWAY.into(),
            paths,
            cutting: Config::default().cutting(),
            disk: Arc::new(LocalDisk),
            clock: Arc::new(SystemClock),
            identity: self.key.clone(),
        };
        Ok(ledger::open(setup)?.ledger)
    }

    fn verify(&self) -> Result<()> {
        let evidence = Folder::new(&self.folder.path().join("evidence"));
        let asked = Asked { keys: vec![self.key.verifier().clone()], ..Asked::default() };
        let start = Instant::now();
        let report = verify_evidence(&evidence, &asked);
        let seconds = start.elapsed().as_secs_f64();
        let [ledger] = report.ledgers.as_slice() else { return Err("the bench has one ledger".into()) };
        if report.tampered() || report.incomplete() {
            return Err(format!("the bench's own ledger does not verify: {:?}", ledger.findings).into());
        }
        let bytes: u64 = ledger.files.iter().map(|file| file.bytes).sum();
        let what = format!("{} records with payloads, {} bytes each on disk", ledger.records, bytes / ledger.records.max(1));
        row("verify a sealed ledger", &format!("{} records/s", short(ledger.records as f64 / seconds)), &what);
        Ok(())
    }
}

/// Microseconds of each record.
async fn write_all(
    ledger: &Ledger,
    clients: usize,
    end: Instant,
    draft: impl Fn() -> Draft + Send + Clone + 'static,
) -> Result<Vec<f64>> {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (ledger, draft) = (ledger.clone(), draft.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                ledger.record(WINDOW, draft()).await?;
                latencies.push(start.elapsed().as_secs_f64() * 1e6);
            }
            Result::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = tasks.join_next().await {
        all.extend(latencies??);
    }
    Ok(all)
}
