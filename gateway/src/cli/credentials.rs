//! `sealgate credentials`: a session's credential for a `credential_process`, and those that there are.

use super::{Failure, Outcome, USAGE, print_table};
use crate::admin::{
    api::{CredentialView, RevokeCredential},
    client::ask,
};
use http::Method;
use std::{path::Path, process::ExitCode};

/// Print a session's AWS credential as SDKs ask a `credential_process` for it; list and revoke credentials
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// The session
    #[arg(long, env = "SEALGATE_SESSION")]
    session: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List those that were made here, and real ones that were seen to go out
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End one at once, and all that were got with it
    Revoke {
        /// Its access key id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    match (args.command, args.session) {
        (Some(Command::List { json }), _) => list(home, json).await?,
        (Some(Command::Revoke { id, reason }), _) => {
            ask::<()>(home, Method::POST, &format!("/v1/credentials/{id}/revoke"), Some(&RevokeCredential { reason })).await?;
            println!("credential {id} is revoked, and all that were got with it");
        }
        (None, Some(session)) => {
            let path = format!("/v1/sessions/{session}/credentials");
            let credential: serde_json::Value = ask(home, Method::POST, &path, None::<&()>).await?;
            println!("{credential}");
        }
        (None, None) => {
            let why = "name the session: credential_process = sealgate credentials --session SESSION";
            return Err(Failure::new(USAGE, why));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(home: &Path, json: bool) -> Result<(), Failure> {
    let credentials: Vec<CredentialView> = ask(home, Method::GET, "/v1/credentials", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&credentials)?);
        return Ok(());
    }
    let row = |view: CredentialView| {
        let from = view.parents.first().cloned().unwrap_or_default();
        vec![view.id, view.status, view.kind, view.session, view.principal, view.expires, from, view.real.unwrap_or_default()]
    };
    let rows: Vec<_> = credentials.into_iter().map(row).collect();
    print_table(&["CREDENTIAL", "STATUS", "KIND", "SESSION", "PRINCIPAL", "EXPIRES", "GOT WITH", "REAL"], &rows);
    Ok(())
}
