//! `sealgate session …`: sessions opened, used, ended and listed. The rest is by noun: [`request`], [`asking`] (what is signed to
//! ask), [`approval`] (what people sign), [`revocation`].

mod approval;
mod asking;
mod request;
mod revocation;

use super::{Failure, Outcome, print_table, proof::ProofArguments};
use crate::{
    admin::{
        api::{AskEnvironment, CloseSession, Environment, GivenCredentials, OpenSession, SessionView},
        client::ask,
    },
    sessions::asked::Errand,
};
use asking::Elsewhere;
use http::Method;
use std::{ffi::OsString, os::unix::process::CommandExt, path::Path, process::ExitCode};

/// Exit code when sealgate failed before the command ran.
pub(super) const NOT_RUN: u8 = 125;

/// Ask for, open, use, end and list sessions
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Ask for a session: others approve it, or a standing rule does
    Request(request::Args),
    /// List requests: those that wait, or all
    Requests(request::ListArgs),
    /// Approve a request with your SSH key; the last approval that it needs opens the session
    Approve(approval::Args),
    /// Turn a request down, with your SSH key
    Deny(approval::Args),
    /// Take your own request back
    Withdraw {
        /// The request
        id: String,
    },
    /// Open a session on your own word: where the configuration requires no approval
    Open {
        #[command(flatten)]
        terms: Terms,
        /// Print the session's id and nothing else
        #[arg(short, long)]
        quiet: bool,
    },
    /// Open a session at once, before anybody approved: others are told, and it owes a review by somebody else
    #[command(name = "break-glass")]
    BreakGlass {
        #[command(flatten)]
        terms: Terms,
        /// Print the session's id and nothing else
        #[arg(short, long)]
        quiet: bool,
    },
    /// Sign, with your SSH key, that you looked at what was done in a break-glass session
    Review(approval::Args),
    /// Ask for more time of an open session; it needs what the session itself needs
    Extend(request::ExtendArgs),
    /// Print export lines that bring a shell's tools into a session
    Env {
        /// The session
        id: String,
        #[command(flatten)]
        given: Given,
    },
    /// Run a command in a session
    Exec {
        /// The session
        id: String,
        #[command(flatten)]
        given: Given,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// End your own session
    Close {
        /// The session
        id: String,
        /// Why
        #[arg(long, default_value = "done")]
        reason: String,
    },
    /// End somebody's session at once, or all of a principal or window
    Revoke(revocation::Args),
    /// Let a revoked principal have sessions again
    Allow(revocation::AllowArgs),
    /// List the principals that are revoked
    Revoked {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List sessions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// How a tool is brought into a session.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct Given {
    /// How the tool gets the session's AWS credential
    #[arg(long, value_enum, default_value = "keys")]
    credentials: GivenCredentials,
    /// For AWS tools that can't use a proxy or a CA: make the gateway their endpoint
    #[arg(long)]
    endpoint: bool,
}

/// What a session is to be.
#[derive(Debug, clap::Args)]
pub(super) struct Terms {
    /// The window it belongs to
    #[arg(long)]
    window: String,
    /// Who acts; can be left out with a proof
    #[arg(long)]
    principal: Option<String>,
    /// What the principal is: human, workload or agent [default: as the directory of principals says; human where it says nothing]
    #[arg(long)]
    kind: Option<String>,
    /// The human that a workload or agent acts for
    #[arg(long, value_name = "PRINCIPAL")]
    acting_for: Option<String>,
    /// Account whose credentials its calls are signed with (an [[account]] of the configuration)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Role to assume there
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// How long, for example 1h
    #[arg(long = "for", value_name = "DURATION")]
    duration: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    proof: ProofArguments,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::Request(args) => request::run(home, args).await?,
        Command::Requests(args) => request::list(home, args).await?,
        Command::Approve(args) => approval::approve(home, args).await?,
        Command::Deny(args) => approval::deny(home, args).await?,
        Command::Withdraw { id } => request::withdraw(home, &id).await?,
        Command::Open { terms, quiet } => {
            if let Some(asked) = terms.asked(home, Errand::Open, None).await? {
                announce(&open(home, asked).await?, quiet);
            }
        }
        Command::BreakGlass { terms, quiet } => break_glass(home, terms, quiet).await?,
        Command::Review(args) => approval::review(home, args).await?,
        Command::Extend(args) => request::extend(home, args).await?,
        Command::Env { id, given } => print_environment(&environment(home, &id, given).await?),
        Command::Exec { id, given, command } => return Err(exec(home, &id, given, &command).await),
        Command::Close { id, reason } => close(home, &id, reason).await?,
        Command::Revoke(args) => revocation::revoke(home, args).await?,
        Command::Allow(args) => revocation::allow(home, args).await?,
        Command::Revoked { json } => revocation::list(home, json).await?,
        Command::List { json } => list(home, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn open(home: &Path, request: OpenSession) -> Result<SessionView, Failure> {
    Ok(ask(home, Method::POST, "/v1/sessions", Some(&request)).await?)
}

async fn break_glass(home: &Path, terms: Terms, quiet: bool) -> Result<(), Failure> {
    let Some(asked) = terms.asked(home, Errand::BreakGlass, None).await? else { return Ok(()) };
    let session: SessionView = ask(home, Method::POST, "/v1/sessions/break-glass", Some(&asked)).await?;
    announce(&session, quiet);
    if !quiet {
        println!("it owes a review by somebody else: sealgate session review {}", session.id);
    }
    Ok(())
}

fn announce(session: &SessionView, quiet: bool) {
    if quiet {
        return println!("{}", session.id);
    }
    println!(
        "session {} for {} ({}) in window {} until {}",
        session.id, session.principal, session.kind, session.window, session.expires
    );
    println!("use it: sealgate session exec {} -- COMMAND", session.id);
    println!("    or: eval \"$(sealgate session env {})\"", session.id);
}

pub(super) async fn environment(home: &Path, id: &str, given: Given) -> Result<Environment, Failure> {
    let asked = AskEnvironment { credentials: given.credentials, endpoint: given.endpoint };
    Ok(ask(home, Method::POST, &format!("/v1/sessions/{id}/env"), Some(&asked)).await?)
}

fn print_environment(environment: &Environment) {
    if !environment.unset.is_empty() {
        println!("unset {}", environment.unset.join(" "));
    }
    for (name, value) in &environment.set {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
}

/// Becomes the command. Returns only when that failed.
async fn exec(home: &Path, id: &str, given: Given, command: &[OsString]) -> Failure {
    let environment = match environment(home, id, given).await {
        Ok(environment) => environment,
        Err(failure) => return Failure { code: NOT_RUN, ..failure },
    };
    let Some((program, arguments)) = command.split_first() else { return Failure::new(super::USAGE, "no command") };
    let mut child = std::process::Command::new(program);
    for name in &environment.unset {
        child.env_remove(name);
    }
    let error = child.args(arguments).envs(environment.set).exec();
    Failure::new(NOT_RUN, format!("{} could not be run: {error}", program.display()))
}

async fn close(home: &Path, id: &str, reason: String) -> Result<(), Failure> {
    ask::<()>(home, Method::POST, &format!("/v1/sessions/{id}/close"), Some(&CloseSession { reason })).await?;
    println!("session {id} is closed");
    Ok(())
}

async fn list(home: &Path, json: bool) -> Result<(), Failure> {
    let sessions: Vec<SessionView> = ask(home, Method::GET, "/v1/sessions", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&sessions)?);
        return Ok(());
    }
    let rows: Vec<_> = sessions.into_iter().map(row).collect();
    print_table(&["SESSION", "STATUS", "WINDOW", "PRINCIPAL", "KIND", "EXPIRES", "RESTS ON", "REASON"], &rows);
    Ok(())
}

fn row(session: SessionView) -> Vec<String> {
    let ground = match (&session.rule, &session.request) {
        (Some(rule), _) => format!("rule {rule}"),
        (None, Some(request)) => request.clone(),
        (None, None) if session.break_glass => "break-glass".to_owned(),
        (None, None) => session.opened_by.clone(),
    };
    let status = if session.unreviewed { format!("{}, unreviewed", session.status) } else { session.status };
    vec![session.id, status, session.window, session.principal, session.kind, session.expires, ground, session.reason]
}
