//! `sealgate witness`: a witness in the foreground, until SIGINT or SIGTERM. Needs no home.

use super::{Failure, Outcome, USAGE};
use crate::{
    clock::SystemClock,
    ledger::disk::LocalDisk,
    witness::{server, state::Witness},
};
use sealgate_schema::note::VerifierKey;
use std::{fs, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Run a witness: cosign other gateways' logs where they only grow
///
/// Run it on another machine than the gateway, as another person. The first start makes its key and prints the line for the gateway's and the auditors' policies. Keep its folder: a witness that lost what it has seen must be replaced.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder with its key and what it has seen; made on the first start
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Its name: a URL without the scheme, such as witness.example/w1
    #[arg(long)]
    name: String,
    /// Key of a log to watch, as in its gateway's keys/gateway.vkey: a file or the key itself; more than once for more
    #[arg(long = "log", value_name = "VKEY", required = true)]
    logs: Vec<String>,
}

pub(super) async fn run(args: Args) -> Outcome {
    let logs = args.logs.iter().map(|given| log_key(given)).collect::<Result<Vec<_>, _>>()?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let witness = Arc::new(Witness::open(&args.dir, &args.name, logs, Arc::new(LocalDisk))?);
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| Failure::new(1, format!("can't listen on {}: {error}; choose another --listen", args.listen)))?;
    let listen = listener.local_addr()?;
    // Whoever reads the greeting may be gone; the witness serves all the same.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "sealgate {} witness {} listens on {listen}", env!("CARGO_PKG_VERSION"), witness.name());
    // All addresses are none that somebody could ask.
    let host = if listen.ip().is_unspecified() { format!("HOST:{}", listen.port()) } else { listen.to_string() };
    let _ = writeln!(out, "for policies:\nwitness {} {} http://{host}", witness.name(), witness.key());
    let stopping = CancellationToken::new();
    let mut serving = tokio::spawn(server::serve(witness, Arc::new(SystemClock), listener, stopping.clone()));
    // The losers are signals that did not come; the server itself ends only when told to.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = &mut serving => ended?,
    }
    eprintln!("sealgate: stopping");
    stopping.cancel();
    if !serving.is_finished() {
        serving.await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn log_key(given: &str) -> Result<VerifierKey, Failure> {
    let text = match VerifierKey::parse(given) {
        Ok(key) => return Ok(key),
        Err(_) => fs::read_to_string(given),
    };
    let key = text.ok().and_then(|text| VerifierKey::parse(&text).ok());
    key.ok_or_else(|| Failure::new(USAGE, format!("{given:?} is not a log's key or a file with one, such as keys/gateway.vkey")))
}
