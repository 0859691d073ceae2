//! `sealgate run`: the gateway in the foreground, until SIGINT or SIGTERM.

use super::{Failure, Outcome};
use crate::{
    app,
    clock::SystemClock,
    config::{Config, FILE_NAME},
    home::{Home, verifier_key},
    ledger::disk::LocalDisk,
};
use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};
use tokio::signal::unix::{SignalKind, signal};

/// Run the gateway
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file [default: sealgate.toml in the home, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on, in place of the configured one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
}

/// Reads the named configuration, or the home's where there is one, or the defaults.
pub(super) fn configuration(home: &Path, named: Option<&Path>) -> Result<Config, Failure> {
    let default = home.join(FILE_NAME);
    match named {
        Some(file) => Ok(Config::read(file)?),
        None if default.exists() => Ok(Config::read(&default)?),
        None => Ok(Config::default()),
    }
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    let mut config = configuration(home, args.config.as_deref())?;
    config.listen = args.listen.unwrap_or(config.listen);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let first_start = !verifier_key(home).exists();
    let running = app::start(Home::open(home)?, config, Arc::new(SystemClock), Arc::new(LocalDisk)).await?;
    greet(home, running.gateway.listen, &running.gateway.name, first_start);
    // The losers are signals that did not come.
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("sealgate: stopping");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever reads the greeting may be gone; the gateway serves all the same.
fn greet(home: &Path, listen: SocketAddr, gateway: &str, first_start: bool) {
    let (home, mut out) = (home.display(), std::io::stdout());
    let _ = writeln!(out, "sealgate {} {gateway} listens on {listen}, home {home}", env!("CARGO_PKG_VERSION"));
    if first_start {
        let _ = writeln!(
            out,
            "\nThis home is new: its keys were made just now. Auditors need {home}/keys/gateway.vkey, and nothing else of it.\n\
             \nNext, in another terminal:\n\
             \n  sealgate --home {home} window open CHG-1 --title \"first look\" --for 4h\
             \n  sealgate --home {home} session open --window CHG-1 --principal \"$USER\" --for 1h --reason \"first look\"\
             \n  sealgate --home {home} session exec SESSION -- aws sts get-caller-identity\
             \n  sealgate --home {home} window close CHG-1\
             \n  sealgate --home {home} verify {home}/evidence --key {home}/keys/gateway.vkey\n"
        );
    }
}
