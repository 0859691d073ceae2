//! `sealgate erase`: payloads taken away from a sealed window so that it still verifies.

use super::{Failure, Outcome, USAGE, record};
use crate::{
    admin::{
        api::{Erase, EraseRows, ErasedView, Shred, Warrant},
        client::ask_for,
    },
    home::evidence,
    limits::ERASE_WAIT,
};
use http::Method;
use sealgate_schema::{id::check_name, payload::FIELDS};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::Path, process::ExitCode};

/// Records that a dry run names.
const NAMED_MAX: usize = 20;

/// Erase payload fields of a sealed window, on somebody's word
///
/// What is erased is gone for good: its file is written again without it. The records stay as they were sealed, the windows log says what went, on whose word and why, and everything still verifies. A window under a legal hold loses nothing. Where no gateway runs, this command is one for a moment.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("rows").required(true).args(["seq", "call", "session", "all", "shred"])))]
pub(super) struct Args {
    /// The window
    #[arg(long, value_name = "WINDOW")]
    window: String,
    /// Of one record, by its number
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// Of a call, by the number of its intent: request, request body, outcome
    #[arg(long, value_name = "N")]
    call: Option<u64>,
    /// Of a session: all of its calls and refusals
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Of the whole window
    #[arg(long)]
    all: bool,
    /// Destroy the key of the window's encrypted payload files: nobody can read them any more, nor any copy of them
    #[arg(long, conflicts_with_all = ["field", "dry_run"])]
    shred: bool,
    /// Fields, by commas: query, headers, body, body_bytes, body_sha256, body_capture, parameters, proof [default: all]. A body's hash and decoded parameters are fields of their own
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    field: Vec<String>,
    /// On whose word
    #[arg(long, required_unless_present = "dry_run")]
    authority: Option<String>,
    /// Why
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Say what would go, and erase nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    let rows = match (args.seq, args.call, args.session) {
        (Some(seq), ..) => EraseRows::Seq(seq),
        (_, Some(call), _) => EraseRows::Call(call),
        (_, _, Some(session)) => EraseRows::Session(session),
        _ => EraseRows::All,
    };
    let warrant = match (args.dry_run, args.authority, args.reason) {
        (false, Some(authority), Some(reason)) => Some(Warrant { authority, reason }),
        _ => None,
    };
    if let (true, Some(warrant)) = (args.shred, warrant.as_ref()) {
        let warrant = Warrant { authority: warrant.authority.clone(), reason: warrant.reason.clone() };
        ask_any::<()>(home, &args.window, "shred", &Shred { warrant }).await?;
        println!("window {}: the key of its payloads is destroyed", args.window);
        return Ok(ExitCode::SUCCESS);
    }
    let request = Erase { rows, fields: args.field, warrant };
    let erased: ErasedView = ask_any(home, &args.window, "erase", &request).await?;
    print(&args.window, &erased, request.warrant.is_some());
    Ok(ExitCode::SUCCESS)
}

/// Asks the running gateway about a window, or one that is started for it.
pub(super) async fn ask_any<T: DeserializeOwned>(
    home: &Path,
    window: &str,
    act: &str,
    request: &impl Serialize,
) -> Result<T, Failure> {
    check_name("window", window).map_err(|error| Failure::new(USAGE, error.to_string()))?;
    let own = start(home).await?;
    let answer = ask_for(home, Method::POST, &format!("/v1/windows/{window}/{act}"), Some(request), ERASE_WAIT).await;
    if let Some(running) = own {
        running.stop().await?;
    }
    Ok(answer?)
}

/// Starts a gateway where none runs and there is evidence.
pub(super) async fn start(home: &Path) -> Result<Option<crate::app::Running>, Failure> {
    if !evidence(home).is_dir() {
        return Err(Failure::new(1, format!("there is no evidence in {} yet", evidence(home).display())));
    }
    record::gateway(home, None).await
}

fn print(window: &str, erased: &ErasedView, done: bool) {
    let values: u64 = erased.fields.values().sum();
    let fields: Vec<String> =
        FIELDS.into_iter().filter_map(|field| erased.fields.get(field).map(|count| format!("{field} {count}"))).collect();
    let does = if done { "erased" } else { "would erase" };
    println!(
        "window {window}: {does} {values} values ({}) of {} records in {} files",
        fields.join(", "),
        erased.records.len(),
        erased.files
    );
    if !done {
        let named: Vec<String> = erased.records.iter().take(NAMED_MAX).map(u64::to_string).collect();
        let more = erased.records.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        println!("records: {}{more}", named.join(", "));
    }
}
