//! `sealgate session request|requests|withdraw|extend`

use super::{Failure, Terms, announce, print_table};
use crate::{
    admin::{
        api::{ExtendSession, Outcome, RequestView},
        client::ask,
    },
    sessions::asked::Errand,
};
use http::Method;
use std::path::Path;

/// Ask for a session: others approve it, or a standing rule does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    terms: Terms,
    /// Who asks [default: the user who runs this]
    #[arg(long = "as", value_name = "NAME")]
    requester: Option<String>,
    /// Print the request's id, or the session's where a standing rule opened it, and nothing else
    #[arg(short, long)]
    quiet: bool,
}

/// Ask for more time of an open session; it needs what the session itself needs
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExtendArgs {
    /// The session
    id: String,
    /// How much more time, for example 30m
    #[arg(long = "for", value_name = "DURATION")]
    duration: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who asks [default: the user who runs this]
    #[arg(long = "as", value_name = "NAME")]
    requester: Option<String>,
    /// Print the request's id, or the session's where nobody has to approve, and nothing else
    #[arg(short, long)]
    quiet: bool,
}

/// List requests: those that wait, or all
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Those that are over, too
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(home: &Path, args: Args) -> Result<(), Failure> {
    let Args { terms, requester, quiet } = args;
    let Some(asked) = terms.asked(home, Errand::Request, requester).await? else { return Ok(()) };
    let outcome: Outcome = ask(home, Method::POST, "/v1/requests", Some(&asked)).await?;
    say(&outcome, quiet);
    Ok(())
}

pub(super) async fn extend(home: &Path, args: ExtendArgs) -> Result<(), Failure> {
    let ExtendArgs { id, duration, reason, requester, quiet } = args;
    let more = ExtendSession { duration, reason, requester };
    let outcome: Outcome = ask(home, Method::POST, &format!("/v1/sessions/{id}/extend"), Some(&more)).await?;
    say(&outcome, quiet);
    Ok(())
}

pub(super) async fn withdraw(home: &Path, id: &str) -> Result<(), Failure> {
    ask::<()>(home, Method::POST, &format!("/v1/requests/{id}/withdraw"), None::<&()>).await?;
    println!("request {id} is withdrawn");
    Ok(())
}

/// What a request or an approval led to.
pub(super) fn say(outcome: &Outcome, quiet: bool) {
    let request = &outcome.request;
    match &outcome.session {
        Some(session) if quiet => println!("{}", session.id),
        Some(session) if request.extends.is_some() => println!("session {} has time until {}", session.id, session.expires),
        Some(session) => announce(session, false),
        None if quiet => println!("{}", request.id),
        None if request.state != "pending" => println!("request {} is {}", request.id, request.state),
        None => {
            let from = if request.needs_from.is_empty() { String::new() } else { format!(" of {}", request.needs_from.join(", ")) };
            println!(
                "request {} has {} of {} approvals{from}, and waits until {}",
                request.id,
                request.approvals.len(),
                request.needs,
                request.expires
            );
            println!("approve it: sealgate session approve {}", request.id);
        }
    }
}

pub(super) async fn list(home: &Path, args: ListArgs) -> Result<(), Failure> {
    let mut requests: Vec<RequestView> = ask(home, Method::GET, "/v1/requests", None::<&()>).await?;
    requests.retain(|request| args.all || request.state == "pending");
    if args.json {
        println!("{}", serde_json::to_string_pretty(&requests)?);
        return Ok(());
    }
    let rows: Vec<_> = requests.into_iter().map(row).collect();
    let header = ["REQUEST", "STATE", "WINDOW", "PRINCIPAL", "KIND", "FOR", "ASKED BY", "APPROVED BY", "SESSION", "REASON"];
    print_table(&header, &rows);
    Ok(())
}

fn row(request: RequestView) -> Vec<String> {
    let approved = match &request.rule {
        Some(rule) => format!("rule {rule}"),
        None => {
            let names = request.approvals.join(", ");
            format!("{}/{} {names}", request.approvals.len(), request.needs).trim_end().to_owned()
        }
    };
    let more = if request.extends.is_some() { "+" } else { "" };
    let session = request.session.or(request.extends).unwrap_or_else(|| "-".to_owned());
    vec![
        request.id,
        request.state,
        request.window,
        request.principal,
        request.kind,
        format!("{more}{}", request.duration),
        request.requester,
        approved,
        session,
        request.reason,
    ]
}
