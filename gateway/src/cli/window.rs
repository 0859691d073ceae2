//! `sealgate window open|close|list`

use super::{Outcome, print_table};
use crate::{
    admin::{
        api::{OpenWindow, WindowView},
        client::ask,
    },
    home::evidence,
};
use http::Method;
use std::{path::Path, process::ExitCode};

/// Open, close and list change windows
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Open a window: the interval whose records are sealed together
    Open {
        /// Its name, for example CHG-4211: letters, digits, '.', '_' and '-'
        id: String,
        /// What it is for
        #[arg(long)]
        title: String,
        /// How long until it closes by itself, for example 4h or 90m
        #[arg(long = "for", value_name = "DURATION")]
        duration: String,
    },
    /// Close a window: ends its sessions, waits for its calls, seals its records
    Close {
        /// Its name
        id: String,
    },
    /// List windows
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::Open { id, title, duration } => {
            let window: WindowView = ask(home, Method::POST, "/v1/windows", Some(&OpenWindow { id, title, duration })).await?;
            println!("window {} is open until {}", window.id, window.closes);
        }
        Command::Close { id } => {
            ask::<()>(home, Method::POST, &format!("/v1/windows/{id}/close"), None::<&()>).await?;
            println!("window {id} is closed and sealed: {}", evidence(home).display());
        }
        Command::List { json } => list(home, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(home: &Path, json: bool) -> Result<(), super::Failure> {
    let windows: Vec<WindowView> = ask(home, Method::GET, "/v1/windows", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&windows)?);
        return Ok(());
    }
    let rows: Vec<_> = windows
        .into_iter()
        .map(|window| {
            let state = window.state.as_str();
            let state = if window.unreviewed.is_empty() { state.to_owned() } else { format!("{state}, unreviewed") };
            vec![window.id, state, window.opened, window.closes, window.title]
        })
        .collect();
    print_table(&["WINDOW", "STATE", "OPENED", "CLOSES", "TITLE"], &rows);
    Ok(())
}
