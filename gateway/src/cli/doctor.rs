//! `sealgate doctor -- COMMAND`: whether a tool's traffic really comes through the gateway, and what to set if not.
//!
//! Runs the command in a session, watches where its programs connect, and compares with what arrived ([`crate::doctor`]).

use super::{
    Failure, Outcome, record,
    session::{self, NOT_RUN},
};
use crate::{
    admin::{
        api::{Arrivals, CloseSession, LookForArrivals, OpenSession, OpenWindow, WindowView},
        client::ask,
    },
    doctor::{
        place::{Place, Places},
        program::Seen,
        report::Report,
        tools::Way,
        watch::{How, Output, watch},
    },
    limits::{DOCTOR_SETTLE_EVERY, DOCTOR_SETTLE_WAIT},
};
use http::{Method, Uri};
use std::{
    collections::HashSet,
    ffi::OsString,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// Say whether a tool's traffic comes through the gateway, and what to set if not
///
/// Runs the command in a session, watches where its programs connect (with strace, or by looking into /proc), and compares with what was recorded. Connections to this machine, to name servers and to metadata services are nobody's business. Exits with 0 when everything came through, with 1 when something went around, was refused for its set-up or did not trust the CA, and with 125 when the command could not be run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Session to run the command in [default: a short one in a window of its own]
    #[arg(long)]
    session: Option<String>,
    /// Window for the session; opened and sealed by this command, unless it is open already [default: doctor-TIME]
    #[arg(long, conflicts_with = "session")]
    window: Option<String>,
    /// Who acts [default: the user's name]
    #[arg(long, env = "USER")]
    principal: Option<String>,
    /// What the principal is: human, workload or agent
    #[arg(long, default_value = "human")]
    kind: String,
    /// How long the command may call, for example 1h
    #[arg(long = "for", value_name = "DURATION", default_value = "15m")]
    duration: String,
    /// How to see where programs connect
    #[arg(long, value_enum, default_value_t)]
    observe: How,
    /// Print JSON to standard output, and what the command prints there to standard error
    #[arg(long)]
    json: bool,
    /// Configuration file, where no gateway runs yet [default: sealgate.toml in the home, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    let own = record::gateway(home, args.config.as_deref()).await.map_err(not_run)?;
    let result = examined(home, &args).await;
    // The gateway is stopped whatever became of the command: its journal is then in parts.
    if let Some(running) = own {
        running.stop().await?;
    }
    let report = result?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text()),
    }
    if let Some(code) = report.exit_code.filter(|code| *code != 0) {
        eprintln!("sealgate: the command itself exited with {code}");
    }
    Ok(if report.through { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The session that the command runs in, and what was opened for it.
struct Bench {
    session: String,
    own_session: bool,
    /// The window, where it was opened here.
    own_window: Option<String>,
}

async fn examined(home: &Path, args: &Args) -> Result<Report, Failure> {
    let bench = set_up(home, args).await.map_err(not_run)?;
    let report = examine(home, args, &bench.session).await;
    // Both are ended also where nothing could be seen; the first trouble is the one to tell.
    let ended = take_down(home, &bench).await;
    let report = report?;
    ended.map(|()| report)
}

async fn set_up(home: &Path, args: &Args) -> Result<Bench, Failure> {
    if let Some(session) = &args.session {
        return Ok(Bench { session: session.clone(), own_session: false, own_window: None });
    }
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let window = args.window.clone().unwrap_or_else(|| format!("doctor-{now}-{}", std::process::id()));
    let windows: Vec<WindowView> = ask(home, Method::GET, "/v1/windows", None::<&()>).await?;
    let own_window = !windows.iter().any(|known| known.id == window);
    let reason = "sealgate doctor".to_owned();
    if own_window {
        let open = OpenWindow { id: window.clone(), title: reason.clone(), duration: args.duration.clone() };
        ask::<WindowView>(home, Method::POST, "/v1/windows", Some(&open)).await?;
    }
    let request = OpenSession {
        window: window.clone(),
        principal: Some(args.principal.clone().unwrap_or_else(|| "unknown".to_owned())),
        kind: Some(args.kind.clone()),
        duration: args.duration.clone(),
        reason,
        ..OpenSession::default()
    };
    let own_window = own_window.then_some(window);
    match session::open(home, request).await {
        Ok(session) => Ok(Bench { session: session.id, own_session: true, own_window }),
        Err(failure) => {
            let bench = Bench { session: String::new(), own_session: false, own_window };
            take_down(home, &bench).await.and(Err(failure))
        }
    }
}

async fn take_down(home: &Path, bench: &Bench) -> Result<(), Failure> {
    if let Some(window) = &bench.own_window {
        ask::<()>(home, Method::POST, &format!("/v1/windows/{window}/close"), None::<&()>).await?;
        eprintln!("sealgate: recorded in window {window} (sealed)");
        return Ok(());
    }
    if bench.own_session {
        let reason = CloseSession { reason: "the command ended".to_owned() };
        ask::<()>(home, Method::POST, &format!("/v1/sessions/{}/close", bench.session), Some(&reason)).await?;
    }
    Ok(())
}

async fn examine(home: &Path, args: &Args, session: &str) -> Result<Report, Failure> {
    let before = arrivals(home, session, None).await.map_err(not_run)?;
    let variables = session::environment(home, session, session::Given::default()).await.map_err(not_run)?;
    let (way, places) = (way(&variables.set), places(&before, &variables.set));
    let output = if args.json { Output::Error } else { Output::Same };
    let seen = watch(&args.command, &variables, args.observe, output).await.map_err(|error| not_run(error.into()))?;
    let program = args.command.first().map(|program| program.display().to_string()).unwrap_or_default();
    let seen = seen.ok_or_else(|| Failure::new(NOT_RUN, format!("{program} could not be run: there is no such command")))?;
    let arrived = settled(home, session, &before, &seen, &places).await?;
    Ok(Report::new(seen, &arrived.arrivals, &places, &way))
}

/// Asks until every connection to the gateway that was seen has a record, or it has waited long enough for that.
async fn settled(home: &Path, session: &str, before: &Arrivals, seen: &Seen, places: &Places) -> Result<Arrivals, Failure> {
    let ours = seen.ends.iter().filter(|(_, (_, to))| places.of(*to) == Place::Gateway).map(|(end, _)| *end);
    let mut waiting: HashSet<SocketAddr> = ours.collect();
    let until = Instant::now() + DOCTOR_SETTLE_WAIT;
    loop {
        let arrived = arrivals(home, session, Some(before.time)).await?;
        arrived.arrivals.iter().filter_map(|arrival| arrival.client.parse().ok()).for_each(|client: SocketAddr| {
            waiting.remove(&SocketAddr::new(client.ip().to_canonical(), client.port()));
        });
        if waiting.is_empty() || Instant::now() >= until {
            return Ok(arrived);
        }
        tokio::time::sleep(DOCTOR_SETTLE_EVERY).await;
    }
}

async fn arrivals(home: &Path, session: &str, since: Option<i64>) -> Result<Arrivals, Failure> {
    Ok(ask(home, Method::POST, &format!("/v1/sessions/{session}/arrivals"), Some(&LookForArrivals { since })).await?)
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Host and port of the session's proxy, without its credential.
fn proxy(variables: &[(String, String)]) -> Option<(String, u16)> {
    let uri: Uri = value(variables, "HTTPS_PROXY")?.parse().ok()?;
    Some((uri.host()?.to_owned(), uri.port_u16()?))
}

fn way(variables: &[(String, String)]) -> Way {
    let (host, port) = proxy(variables).unwrap_or_default();
    Way { host, port: port.to_string(), bundle: value(variables, "AWS_CA_BUNDLE").unwrap_or_default().to_owned() }
}

fn places(answer: &Arrivals, variables: &[(String, String)]) -> Places {
    let parse = |list: &[String]| list.iter().filter_map(|address| address.parse().ok()).collect::<Vec<SocketAddr>>();
    let mut gateway = parse(&answer.listen);
    let proxy = proxy(variables).and_then(|(host, port)| (host.trim_matches(['[', ']']), port).to_socket_addrs().ok());
    gateway.extend(proxy.into_iter().flatten());
    Places { gateway, upstreams: parse(&answer.upstreams) }
}

fn not_run(failure: Failure) -> Failure {
    Failure { code: NOT_RUN, ..failure }
}
