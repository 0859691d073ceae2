//! `sealgate session revoke|allow|revoked`

use super::{Failure, print_table};
use crate::admin::{
    api::{Allow, CloseSession, RevocationView, Revoke, Revoked},
    client::ask,
};
use http::Method;
use std::path::Path;

/// End somebody's session at once, or all of a principal or window
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["id", "principal", "window"]))]
pub(in crate::cli) struct Args {
    /// The session
    id: Option<String>,
    /// Every session of this principal and of those who act for it; it gets none until `session allow`
    #[arg(long)]
    principal: Option<String>,
    /// Every session of this window, which stays open
    #[arg(long)]
    window: Option<String>,
    /// Why
    #[arg(long)]
    reason: String,
}

/// Let a revoked principal have sessions again
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AllowArgs {
    /// Who
    #[arg(long)]
    principal: String,
    /// Why
    #[arg(long)]
    reason: String,
}

pub(super) async fn revoke(home: &Path, args: Args) -> Result<(), Failure> {
    let Args { id, principal, window, reason } = args;
    if let Some(id) = id {
        ask::<()>(home, Method::POST, &format!("/v1/sessions/{id}/revoke"), Some(&CloseSession { reason })).await?;
        println!("session {id} is revoked");
        return Ok(());
    }
    let request = Revoke { principal, window, reason };
    let revoked: Revoked = ask(home, Method::POST, "/v1/revocations", Some(&request)).await?;
    let ended = match revoked.sessions {
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    };
    match (&request.principal, &request.window) {
        (Some(name), _) => println!("{name} is revoked, {ended}; to take it back: sealgate session allow --principal {name}"),
        (None, window) => println!("{ended} in window {}, which stays open", window.as_deref().unwrap_or_default()),
    }
    Ok(())
}

pub(super) async fn allow(home: &Path, args: AllowArgs) -> Result<(), Failure> {
    let AllowArgs { principal, reason } = args;
    let request = Allow { principal, reason };
    ask::<()>(home, Method::POST, "/v1/revocations/allow", Some(&request)).await?;
    println!("{} may have sessions again", request.principal);
    Ok(())
}

pub(super) async fn list(home: &Path, json: bool) -> Result<(), Failure> {
    let revoked: Vec<RevocationView> = ask(home, Method::GET, "/v1/revocations", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&revoked)?);
        return Ok(());
    }
    let rows: Vec<_> = revoked.into_iter().map(|one| vec![one.principal, one.since, one.by, one.reason]).collect();
    print_table(&["PRINCIPAL", "SINCE", "BY", "REASON"], &rows);
    Ok(())
}
