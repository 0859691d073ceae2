//! Load through the gateway, beside what it is measured against: one command, one run, loopback only.
//!
//! The bench process makes the load and prints; the upstream and each proxy are processes of their own, so that their CPU
//! time is theirs alone. `recorded` is the real `sealgate` binary. What it is compared with lives here and nowhere in the
//! product: [`tunnel`] copies bytes, [`intercept`] opens TLS with the product's own stack and records nothing.
//!
//! - [`compare`]: the rounds, and which rows and cells there are
//! - [`load`]: connections, calls and their latencies
//! - [`child`], [`product`]: the processes that are measured
//! - [`figures`]: medians and tables
//! - [`revoke`](mod@revoke): how soon a revocation is felt
//! - [`micro`]: timed loops over the parts of a recorded call

mod child;
mod compare;
mod figures;
mod intercept;
mod listen;
mod load;
mod micro;
mod product;
mod revoke;
mod tls;
mod tunnel;
mod upstream;

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// Revocations of each kind, of which median and maximum are told.
const REVOCATIONS: usize = 100;

/// What goes wrong in a bench ends it: a figure from a run with errors is no figure.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Loads sealgate on loopback beside direct, a plain tunnel and interception without recording
#[derive(Debug, Parser)]
#[command(name = "sealgate-bench")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Rounds; printed are the medians over them
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds a cell
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Parallel clients of the GET cells
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// One short round: looks whether it works, measures nothing
    #[arg(long)]
    quick: bool,
    /// Only these rows: direct, tunnel, intercepted, recorded, resigned
    #[arg(long, value_delimiter = ',', value_enum)]
    rows: Vec<compare::Row>,
    /// Take the sealgate binary as it is, also where its sources are newer
    #[arg(long)]
    no_build: bool,
    /// Folder for homes and journals; its disk is the one that is measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Timed loops over the parts of a recorded call
    Micro,
    /// Time from a revocation to the last broken stream
    Revoke,
    #[command(hide = true)]
    Upstream { folder: PathBuf },
    #[command(hide = true)]
    Tunnel { upstream: SocketAddr },
    #[command(hide = true)]
    Intercept { upstream: SocketAddr, upstream_ca: PathBuf, folder: PathBuf },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(until_stopped(cli)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealgate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Dropping the run ends the processes that it started.
async fn until_stopped(cli: Cli) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = run(cli) => done,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn run(cli: Cli) -> Result<()> {
    let folder = cli.options.folder.clone().unwrap_or_else(std::env::temp_dir);
    match cli.command {
        None => Box::pin(compare::run(cli.options, &folder)).await,
        Some(Command::Revoke) => {
            Box::pin(revoke::run(if cli.options.quick { 2 } else { REVOCATIONS }, &folder, !cli.options.no_build)).await
        }
        Some(Command::Micro) => Box::pin(micro::run(&folder)).await,
        Some(Command::Upstream { folder }) => upstream::run(&folder).await,
        Some(Command::Tunnel { upstream }) => tunnel::run(upstream).await,
        Some(Command::Intercept { upstream, upstream_ca, folder }) => intercept::run(upstream, &upstream_ca, &folder).await,
    }
}
