//! `sealgate record -- COMMAND`: a window, a session, the command, the seal, in one go.
//!
//! Uses the gateway of the home where one runs; otherwise this process is the gateway while the command runs.

use super::{
    Failure, Outcome, run,
    session::{self, NOT_RUN},
};
use crate::{
    admin::{
        api::{Health, OpenSession, OpenWindow, WindowView},
        client::{AdminError, ask},
    },
    app::{self, Running},
    clock::SystemClock,
    home::{Home, evidence, verifier_key},
    ledger::disk::LocalDisk,
    sessions::store::WindowState,
};
use http::Method;
use sealgate_policies::session::PrincipalKind;
use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
    sync::Arc,
};
use tokio::signal::unix::{SignalKind, signal};

/// Run one command and record its cloud calls: no server, no configuration
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The change window; opened and sealed by this command, unless it is open already
    #[arg(long)]
    window: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who acts [default: the user's name]
    #[arg(long, env = "USER")]
    principal: Option<String>,
    /// What the principal is: human, workload or agent
    #[arg(long, default_value = "human")]
    kind: String,
    /// How long the command may call, for example 1h
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    duration: String,
    /// Leave the window open, for more commands
    #[arg(long)]
    keep_open: bool,
    /// Configuration file [default: sealgate.toml in the home, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    let own = gateway(home, args.config.as_deref()).await.map_err(not_run)?;
    let result = recorded(home, &args).await;
    // The gateway is stopped whatever became of the command: its journal is then in parts.
    if let Some(running) = own {
        running.stop().await?;
    }
    result
}

/// Starts a gateway where none runs.
pub(super) async fn gateway(home: &Path, config: Option<&Path>) -> Result<Option<Running>, Failure> {
    match ask::<Health>(home, Method::GET, "/v1/health", None::<&()>).await {
        Ok(_) => return Ok(None),
        Err(AdminError::NotRunning(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut config = run::configuration(home, config)?;
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(Some(app::start(Home::open(home)?, config, Arc::new(SystemClock), Arc::new(LocalDisk)).await?))
}

async fn recorded(home: &Path, args: &Args) -> Outcome {
    args.kind.parse::<PrincipalKind>().map_err(|line| Failure::new(NOT_RUN, line))?;
    let opened = open_window(home, args).await.map_err(not_run)?;
    let request = OpenSession {
        window: args.window.clone(),
        principal: Some(args.principal.clone().unwrap_or_else(|| "unknown".to_owned())),
        kind: Some(args.kind.clone()),
        duration: args.duration.clone(),
        reason: args.reason.clone(),
        ..OpenSession::default()
    };
    let session = session::open(home, request).await.map_err(not_run)?;
    let ran = run_command(home, &session.id, &args.command).await;
    let closing = if opened && !args.keep_open {
        ask::<()>(home, Method::POST, &format!("/v1/windows/{}/close", args.window), None::<&()>).await
    } else {
        let body = crate::admin::api::CloseSession { reason: "the command ended".to_owned() };
        ask::<()>(home, Method::POST, &format!("/v1/sessions/{}/close", session.id), Some(&body)).await
    };
    closing?;
    let sealed = if opened && !args.keep_open { "sealed" } else { "open" };
    eprintln!(
        "sealgate: recorded in window {} ({sealed}), session {}\nsealgate: check it: sealgate verify {} --key {}",
        args.window,
        session.id,
        evidence(home).display(),
        verifier_key(home).display()
    );
    Ok(exit_code(ran?))
}

/// Opens the window where it does not exist; says whether it did.
async fn open_window(home: &Path, args: &Args) -> Result<bool, Failure> {
    let windows: Vec<WindowView> = ask(home, Method::GET, "/v1/windows", None::<&()>).await?;
    match windows.iter().find(|window| window.id == args.window) {
        Some(window) if window.state == WindowState::Open => Ok(false),
        Some(_) => Err(Failure::new(1, format!("window {} is sealed already; choose another name", args.window))),
        None => {
            let request = OpenWindow { id: args.window.clone(), title: args.reason.clone(), duration: args.duration.clone() };
            ask::<WindowView>(home, Method::POST, "/v1/windows", Some(&request)).await?;
            Ok(true)
        }
    }
}

async fn run_command(home: &Path, session: &str, command: &[OsString]) -> Result<ExitStatus, Failure> {
    let variables = session::environment(home, session, session::Given::default()).await.map_err(not_run)?;
    let Some((program, arguments)) = command.split_first() else { return Err(Failure::new(super::USAGE, "no command")) };
    let mut child = tokio::process::Command::new(program);
    for name in &variables.unset {
        child.env_remove(name);
    }
    let mut child = child
        .args(arguments)
        .envs(variables.set)
        .spawn()
        .map_err(|error| Failure::new(NOT_RUN, format!("{} could not be run: {error}", program.display())))?;
    // The terminal's interrupt goes to the command too; this process stays to write down how it ended.
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupt.recv() => {}
        }
    }
}

/// As a shell says it: the command's own code, or 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

fn not_run(failure: Failure) -> Failure {
    Failure { code: NOT_RUN, ..failure }
}
