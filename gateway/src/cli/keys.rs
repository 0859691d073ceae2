//! `sealgate keys rotate|list`

use super::{Outcome, print_table};
use crate::admin::{
    api::{KeyView, RotateKey},
    client::ask,
};
use http::Method;
use std::{path::Path, process::ExitCode};

/// Hand over to a new identity key, and list those that there were
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a new identity key: the log adopts it, and whoever has the old public key is led to the new one
    Rotate {
        /// Why
        #[arg(long)]
        reason: String,
        /// The old key is not to be trusted from this entry of the log on: checkpoints of more entries don't count under it
        #[arg(long, value_name = "ENTRY")]
        revoke_from: Option<u64>,
    },
    /// List the identity keys, oldest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    let keys: Vec<KeyView> = match command {
        Command::Rotate { reason, revoke_from } => {
            ask(home, Method::POST, "/v1/keys/rotate", Some(&RotateKey { reason, revoke_from })).await?
        }
        Command::List { json } => {
            let keys: Vec<KeyView> = ask(home, Method::GET, "/v1/keys", None::<&()>).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&keys)?);
                return Ok(ExitCode::SUCCESS);
            }
            keys
        }
    };
    let revoked = |key: &KeyView| key.revoked_from.map_or_else(String::new, |from| format!("from entry {from}"));
    let rows: Vec<_> = keys.iter().map(|key| vec![key.from.to_string(), revoked(key), key.key.clone()]).collect();
    print_table(&["FROM ENTRY", "REVOKED", "KEY"], &rows);
    Ok(ExitCode::SUCCESS)
}
