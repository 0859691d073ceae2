//! The rounds: in each one every process is new, and a cell is measured for all rows before the next cell, in an order that
//! turns from cell to cell. So noise of the machine falls on all rows alike.

use crate::{
    Options, Result,
    child::Child,
    figures::{Figures, MEMORY_CELL, Metric, median, short},
    intercept,
    load::{self, Call, Way},
    product::{self, Product, Started},
    tls, upstream,
};
use sealgate::{
    clock::{Clock, SystemClock, rfc3339},
    ledger::disk::{Disk, LocalDisk},
};
use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A way from the load to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Row {
    /// No proxy; the process measured is the upstream.
    Direct,
    /// Bytes copied.
    Tunnel,
    /// TLS opened, nothing kept.
    Intercepted,
    /// The product, with the client's signature as it came.
    Recorded,
    /// The product, with the client's signature checked and the call signed again.
    Resigned,
}

const ROWS: [Row; 5] = [Row::Direct, Row::Tunnel, Row::Intercepted, Row::Recorded, Row::Resigned];

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Tunnel => "tunnel",
            Self::Intercepted => "intercepted",
            Self::Recorded => "recorded",
            Self::Resigned => "re-signed",
        })
    }
}

/// One kind of load.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// Head of its columns.
    pub(crate) name: String,
    work: Work,
    clients: usize,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    KeepAlive(Call),
    NewConnections,
}

/// Clients of the POST cell; the cell that the goals speak of.
const POST_CLIENTS: usize = 16;
/// Clients of the cells with large answers and with new connections: enough that the proxy never waits for one.
const FEW_CLIENTS: usize = 4;
/// Idle sessions whose memory is measured.
const IDLE_SESSIONS: usize = 200;
/// Calls before idle memory is measured, so that what is allocated once is not counted.
const SETTLING: Duration = Duration::from_millis(200);
/// Before each cell its connections work for so long without being measured.
const WARM_UP: Duration = Duration::from_millis(200);

fn cells(options: &Options) -> Vec<Cell> {
    let cell = |name: String, work, clients| Cell { name, work, clients };
    let mut cells: Vec<Cell> = options.clients.iter().map(|c| cell(format!("GET c{c}"), Work::KeepAlive(Call::Get), *c)).collect();
    cells.push(cell(format!("POST c{POST_CLIENTS}"), Work::KeepAlive(Call::Post), POST_CLIENTS));
    cells.push(cell(format!("GET 1 MiB c{FEW_CLIENTS}"), Work::KeepAlive(Call::Large), FEW_CLIENTS));
    cells.push(cell(format!("new conn. c{FEW_CLIENTS}"), Work::NewConnections, FEW_CLIENTS));
    cells
}

/// Runs all rounds and prints.
pub(crate) async fn run(mut options: Options, folder: &Path) -> Result<()> {
    if options.quick {
        (options.rounds, options.seconds) = (1, 0.3);
    }
    if !options.no_build {
        product::build()?;
    }
    let rows: Vec<Row> = ROWS.into_iter().filter(|row| options.rows.is_empty() || options.rows.contains(row)).collect();
    let (cells, span) = (cells(&options), Duration::from_secs_f64(options.seconds));
    println!("{}", machine(&options, folder)?);
    let mut figures = Figures::default();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let rig = Rig::start(folder, &rows)?;
        measure(&rig, &cells, span, round, &mut figures).await?;
        if round + 1 == options.rounds {
            figures.print(&rows, &cells);
            rig.print_evidence()?;
        }
    }
    Ok(())
}

fn machine(options: &Options, folder: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let build = if cfg!(debug_assertions) { ", DEBUG BUILD" } else { "" };
    let (rounds, seconds, sync) = (options.rounds, options.seconds, short(sync_micros(folder)?));
    let (now, folder) = (rfc3339(SystemClock.now()), folder.display());
    Ok(format!(
        "{now}, {cores} cores, load {load} before, fdatasync of 4 KiB {sync} µs ({folder}){build}; medians of {rounds} rounds, {seconds} s a cell"
    ))
}

/// What durability costs on this disk.
fn sync_micros(folder: &Path) -> Result<f64> {
    let folder = TempDir::new_in(folder)?;
    let mut file = LocalDisk.create(&folder.path().join("sync"))?;
    let mut once = || -> Result<f64> {
        file.append(&[0x5a; 4096])?;
        let start = Instant::now();
        file.sync()?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    let times = (0..200).map(|_| once()).collect::<Result<Vec<_>>>()?;
    median(times).ok_or_else(|| "no time was taken".into())
}

async fn measure(rig: &Rig, cells: &[Cell], span: Duration, round: usize, figures: &mut Figures) -> Result<()> {
    for subject in &rig.subjects {
        figures.note(subject.row, MEMORY_CELL, Metric::IdleKib, subject.idle_kib().await?);
    }
    for (index, cell) in cells.iter().enumerate() {
        let mut order: Vec<&Subject> = rig.subjects.iter().collect();
        let turn = (round + index) % order.len().max(1);
        order.rotate_left(turn);
        for subject in order {
            subject.load(cell, span, figures).await.map_err(|error| format!("{}, {}: {error}", subject.row, cell.name))?;
        }
    }
    for subject in &rig.subjects {
        let (resident, peak) = subject.child.memory_kib()?;
        figures.note(subject.row, MEMORY_CELL, Metric::Rss, resident / 1024.0);
        figures.note(subject.row, MEMORY_CELL, Metric::Peak, peak / 1024.0);
    }
    Ok(())
}

/// A process that is measured, and the way through it.
struct Subject {
    row: Row,
    way: Way,
    child: Child,
}

impl Subject {
    async fn load(&self, cell: &Cell, span: Duration, figures: &mut Figures) -> Result<()> {
        let connections = match cell.work {
            Work::KeepAlive(call) => load::keep_alive(self.way.open_all(call, cell.clients).await?, call, WARM_UP).await?.0,
            Work::NewConnections => Vec::new(),
        };
        let (cpu, start) = (self.child.cpu_when_idle().await?, Instant::now());
        let latencies = match cell.work {
            Work::KeepAlive(call) => load::keep_alive(connections, call, span).await?.1,
            Work::NewConnections => load::connections(&self.way, cell.clients, span).await?,
        };
        let wall = start.elapsed();
        // What a call leaves behind to do (parts) is part of its price.
        let cpu = self.child.cpu_when_idle().await?.saturating_sub(cpu);
        figures.note_load(self.row, &cell.name, latencies, wall, cpu);
        Ok(())
    }

    async fn idle_kib(&self) -> Result<f64> {
        load::keep_alive(self.way.open_all(Call::Get, 1).await?, Call::Get, SETTLING).await?;
        self.child.cpu_when_idle().await?;
        let before = self.child.memory_kib()?.0;
        let mut idle = Vec::with_capacity(IDLE_SESSIONS);
        for _ in 0..IDLE_SESSIONS {
            let mut connection = self.way.open(Call::Get).await?;
            connection.call(Call::Get).await?;
            idle.push(connection);
        }
        self.child.cpu_when_idle().await?;
        Ok((self.child.memory_kib()?.0 - before) / IDLE_SESSIONS as f64)
    }
}

/// All processes of a round. They end before the folder goes.
struct Rig {
    subjects: Vec<Subject>,
    products: Vec<Product>,
    _upstream: Option<Child>,
    _folder: TempDir,
}

impl Rig {
    fn start(folder: &Path, rows: &[Row]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sealgate-bench-").tempdir_in(folder)?;
        let path = folder.path();
        let upstream_ca = path.join(upstream::CA_FILE);
        let (mut upstream, address) = {
            let (child, address) = Child::of_bench(&["upstream".as_ref(), path.as_os_str()])?;
            (Some(child), address)
        };
        let through = |address, ca: &Path| {
            Result::Ok(Way { address, credential: Some("Basic YmVuY2g6YmVuY2g=".to_owned()), tls: tls::load(ca)?, key: None })
        };
        let (mut subjects, mut products) = (Vec::new(), Vec::new());
        for row in rows {
            let (child, way) = match row {
                Row::Direct => (upstream.take(), Way { credential: None, ..through(address, &upstream_ca)? }),
                Row::Tunnel => {
                    let (child, tunnel) = Child::of_bench(&["tunnel", &address.to_string()])?;
                    (Some(child), through(tunnel, &upstream_ca)?)
                }
                Row::Intercepted => {
                    let arguments = ["intercept".as_ref(), address.to_string().as_ref(), upstream_ca.as_os_str(), path.as_os_str()]
                        .map(std::ffi::OsStr::to_owned);
                    let (child, proxy) = Child::of_bench(&arguments)?;
                    (Some(child), through(proxy, &path.join(intercept::CA_FILE))?)
                }
                Row::Recorded | Row::Resigned => {
                    let started = product::start(&path.join(row.to_string()), address, &upstream_ca)?;
                    let Started { product, child, address, credential, key, ca } = started;
                    products.push(product);
                    let key = (*row == Row::Resigned).then_some(key);
                    (Some(child), Way { credential: Some(credential), key, ..through(address, &ca)? })
                }
            };
            subjects.extend(child.map(|child| Subject { row: *row, way, child }));
        }
        Ok(Self { subjects, products, _upstream: upstream, _folder: folder })
    }

    /// Seals what the last round recorded, and has it verified.
    fn print_evidence(&self) -> Result<()> {
        for product in &self.products {
            let (report, closed, verified) = product.seal_and_verify()?;
            let (closed, verified) = (closed.as_secs_f64(), verified.as_secs_f64());
            println!("\nThe last round's evidence: sealed in {closed:.1} s, verified in {verified:.1} s.");
            // The levels of each ledger are indented; its verdict is not.
            report.lines().filter(|line| line.starts_with(|c: char| !c.is_whitespace())).for_each(|line| println!("{line}"));
        }
        Ok(())
    }
}
