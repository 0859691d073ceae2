//! `sealgate session open|env|exec|close|revoke|list`

use super::{Failure, Outcome, print_table};
use crate::admin::{
    api::{CloseSession, OpenSession, SessionView},
    client::ask,
};
use http::Method;
use std::{ffi::OsString, os::unix::process::CommandExt, path::Path, process::ExitCode};

/// Exit code when sealgate failed before the command ran.
pub(super) const NOT_RUN: u8 = 125;

/// Open, use, end and list sessions
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Open a session: a time-boxed grant to one principal within one window
    Open {
        /// The window it belongs to
        #[arg(long)]
        window: String,
        /// Who acts
        #[arg(long)]
        principal: String,
        /// What the principal is: human, workload or agent
        #[arg(long, default_value = "human")]
        kind: String,
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
        /// Print the session's id and nothing else
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print export lines that bring a shell's tools into a session
    Env {
        /// The session
        id: String,
    },
    /// Run a command in a session
    Exec {
        /// The session
        id: String,
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
    /// End somebody's session at once
    Revoke {
        /// The session
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List sessions
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(home: &Path, command: Command) -> Outcome {
    match command {
        Command::Open { window, principal, kind, acting_for, account, role, duration, reason, quiet } => {
            let request = OpenSession { window, principal, kind, acting_for, account, role, duration, reason };
            let session = open(home, request).await?;
            if quiet { println!("{}", session.id) } else { announce(&session) }
        }
        Command::Env { id } => print_environment(&environment(home, &id).await?),
        Command::Exec { id, command } => return Err(exec(home, &id, &command).await),
        Command::Close { id, reason } => end(home, &id, "close", reason).await?,
        Command::Revoke { id, reason } => end(home, &id, "revoke", reason).await?,
        Command::List { json } => list(home, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn open(home: &Path, request: OpenSession) -> Result<SessionView, Failure> {
    Ok(ask(home, Method::POST, "/v1/sessions", Some(&request)).await?)
}

fn announce(session: &SessionView) {
    println!(
        "session {} for {} ({}) in window {} until {}",
        session.id, session.principal, session.kind, session.window, session.expires
    );
    println!("use it: sealgate session exec {} -- COMMAND", session.id);
    println!("    or: eval \"$(sealgate session env {})\"", session.id);
}

pub(super) async fn environment(home: &Path, id: &str) -> Result<Vec<(String, String)>, Failure> {
    Ok(ask(home, Method::GET, &format!("/v1/sessions/{id}/env"), None::<&()>).await?)
}

fn print_environment(variables: &[(String, String)]) {
    for (name, value) in variables {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
}

/// Becomes the command. Returns only when that failed.
async fn exec(home: &Path, id: &str, command: &[OsString]) -> Failure {
    let variables = match environment(home, id).await {
        Ok(variables) => variables,
        Err(failure) => return Failure { code: NOT_RUN, ..failure },
    };
    let Some((program, arguments)) = command.split_first() else { return Failure::new(super::USAGE, "no command") };
    let error = std::process::Command::new(program).args(arguments).envs(variables).exec();
    Failure::new(NOT_RUN, format!("{} could not be run: {error}", program.display()))
}

pub(super) async fn end(home: &Path, id: &str, how: &str, reason: String) -> Result<(), Failure> {
    ask::<()>(home, Method::POST, &format!("/v1/sessions/{id}/{how}"), Some(&CloseSession { reason })).await?;
    println!("session {id} is {}", if how == "revoke" { "revoked" } else { "closed" });
    Ok(())
}

async fn list(home: &Path, json: bool) -> Result<(), Failure> {
    let sessions: Vec<SessionView> = ask(home, Method::GET, "/v1/sessions", None::<&()>).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&sessions)?);
        return Ok(());
    }
    let row = |session: SessionView| {
        vec![session.id, session.status, session.window, session.principal, session.kind, session.expires, session.reason]
    };
    let rows: Vec<_> = sessions.into_iter().map(row).collect();
    print_table(&["SESSION", "STATUS", "WINDOW", "PRINCIPAL", "KIND", "EXPIRES", "REASON"], &rows);
    Ok(())
}
