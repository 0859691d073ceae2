//! `sealgate hold set|clear|list`: while a legal hold stands, nothing is taken away from a window.

use super::{
    Outcome,
    erase::{ask_any, start},
    print_table,
};
use crate::admin::{
    api::{HoldView, SetHold, Warrant},
    client::ask,
};
use http::Method;
use std::{path::Path, process::ExitCode};

/// Set, clear and list legal holds
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Set a hold: nothing is erased from the window, and retention passes it by
    Set(Args),
    /// Clear a hold
    Clear(Args),
    /// List the holds that stand
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Of which window, on whose word, why
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The window, open or sealed
    #[arg(long, value_name = "WINDOW")]
    window: String,
    /// On whose word
    #[arg(long)]
    authority: String,
    /// Why
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::Set(args) => change(home, args, true).await?,
        Command::Clear(args) => change(home, args, false).await?,
        Command::List { json } => list(home, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(home: &Path, args: Args, set: bool) -> Result<(), super::Failure> {
    let request = SetHold { set, warrant: Warrant { authority: args.authority, reason: args.reason } };
    ask_any::<()>(home, &args.window, "hold", &request).await?;
    let state = if set { "under a legal hold" } else { "under a legal hold no longer" };
    println!("window {} is {state}", args.window);
    Ok(())
}

async fn list(home: &Path, json: bool) -> Result<(), super::Failure> {
    let own = start(home).await?;
    let answer = ask::<Vec<HoldView>>(home, Method::GET, "/v1/holds", None::<&()>).await;
    if let Some(running) = own {
        running.stop().await?;
    }
    let holds = answer?;
    if json {
        println!("{}", serde_json::to_string_pretty(&holds)?);
        return Ok(());
    }
    let rows: Vec<_> = holds.into_iter().map(|hold| vec![hold.window, hold.since, hold.authority, hold.reason]).collect();
    print_table(&["WINDOW", "SINCE", "AUTHORITY", "REASON"], &rows);
    Ok(())
}
