//! `sealgate status`

use super::Outcome;
use crate::admin::{api::Health, client::ask};
use http::Method;
use std::{path::Path, process::ExitCode};

/// Show whether the gateway runs and can record
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(home: &Path, args: &Args) -> Outcome {
    let health: Health = ask(home, Method::GET, "/v1/health", None::<&()>).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&health)?);
    } else {
        let tls = health.listen_tls.as_ref().map(|address| format!(" and with TLS on {address}")).unwrap_or_default();
        println!(
            "{} listens on {}{tls}, {} calls in flight, ledger {}",
            health.gateway, health.listen, health.calls_in_flight, health.state
        );
    }
    if let Some(anchor) = health.anchor.as_ref().filter(|_| !args.json) {
        println!(
            "windows log: {} of {} entries cosigned, the oldest other one {} s old",
            anchor.cosigned, anchor.entries, anchor.lag_seconds
        );
        anchor.trouble.iter().for_each(|trouble| eprintln!("sealgate: witness {trouble}"));
    }
    if let Some(why) = &health.timestamps_failing {
        eprintln!("sealgate: seals get no timestamps: {why}");
    }
    health.trouble.iter().for_each(|trouble| eprintln!("sealgate: {trouble}"));
    if !args.json {
        say_open_questions(&health);
    }
    match health.failure {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => {
            eprintln!("sealgate: calls are refused, the ledger can't be written: {why}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What people owe.
fn say_open_questions(health: &Health) {
    if health.requests_pending > 0 {
        println!("{} requests wait for approval: sealgate session requests", health.requests_pending);
    }
    for session in &health.unreviewed {
        println!("unreviewed: break-glass session {session}: sealgate session review {session}");
    }
    for session in &health.unnotified {
        eprintln!("sealgate: who is to be told of break-glass session {session} could not be: see [notify] and the day's records");
    }
}
