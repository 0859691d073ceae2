//! The command line: a file a command, each with its arguments, its help and what it does.
//!
//! Exit codes: 0 done; 1 not done, or (`verify`) tampered; 2 (`verify`) incomplete; 3 usage. `record` and
//! `session exec` exit as the command did, or with 125 when sealgate itself failed before it ran; so does `doctor`.

mod account;
mod anchors;
mod bundle;
mod credentials;
mod doctor;
mod erase;
mod hold;
mod keys;
mod people;
mod principal;
mod proof;
mod prove;
mod query;
mod record;
mod run;
mod session;
mod source;
mod ssh_key;
mod status;
mod timestamp;
mod verify;
mod window;
mod witness;

use clap::{Parser, Subcommand};
use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

/// Exit code for a wrong command line.
const USAGE: u8 = 3;

/// Records what people and automation do to cloud infrastructure, so that it can be proved later.
#[derive(Debug, Parser)]
#[command(name = "sealgate", version, propagate_version = true, max_term_width = 110)]
struct Cli {
    /// Folder with the gateway's keys, database and evidence [default: ~/.sealgate]
    #[arg(long, global = true, env = "SEALGATE_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one command and record its cloud calls: no server, no configuration
    Record(record::Args),
    /// Run the gateway
    Run(run::Args),
    /// Open, close and list change windows
    #[command(subcommand)]
    Window(window::Command),
    /// Open, use, end and list sessions
    #[command(subcommand)]
    Session(session::Command),
    /// Print a session's AWS credential for a `credential_process`; list and revoke credentials
    Credentials(credentials::Args),
    /// See who the directory of principals knows, and who it would take you for
    #[command(subcommand)]
    Principal(principal::Command),
    /// See the accounts of sealgate.toml, and whether the source of one gives a credential
    #[command(subcommand)]
    Account(account::Command),
    /// Say whether a tool's traffic comes through the gateway, and what to set if not
    Doctor(doctor::Args),
    /// Hand over to a new identity key, and list those that there were
    #[command(subcommand)]
    Keys(keys::Command),
    /// Check evidence offline, with a public key
    Verify(verify::Args),
    /// Write a proof of one record, for somebody who gets nothing else
    Prove(prove::Args),
    /// Query evidence with DuckDB
    Query(query::Args),
    /// Erase payload fields of a sealed window, on somebody's word
    Erase(erase::Args),
    /// Set, clear and list legal holds
    #[command(subcommand)]
    Hold(hold::Command),
    /// Show whether the gateway runs and can record
    Status(status::Args),
    /// Run a witness: cosign other gateways' logs where they only grow
    Witness(witness::Args),
}

/// A failed command: its exit code and one line that says what to do.
#[derive(Debug)]
struct Failure {
    code: u8,
    line: String,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, line: error.to_string() }
    }
}

impl Failure {
    fn new(code: u8, line: impl Into<String>) -> Self {
        Self { code, line: line.into() }
    }
}

type Outcome = Result<ExitCode, Failure>;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; neither goes anywhere that could fail usefully.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("SEALGATE_LOG").unwrap_or_else(|_| "warn".into());
    // It logs a container's token that is no header, and all that a credential process says. What failed, we say ourselves.
    let filter = "aws_config=off".parse().into_iter().fold(filter, tracing_subscriber::EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("sealgate: {}", failure.line);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(cli: Cli) -> Outcome {
    let home = home(cli.home)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Record(args) => runtime.block_on(record::run(&home, args)),
        Command::Run(args) => runtime.block_on(run::run(&home, args)),
        Command::Window(command) => runtime.block_on(window::run(&home, command)),
        Command::Session(command) => runtime.block_on(session::run(&home, command)),
        Command::Credentials(args) => runtime.block_on(credentials::run(&home, args)),
        Command::Principal(command) => runtime.block_on(principal::run(&home, command)),
        Command::Account(command) => runtime.block_on(account::run(&home, command)),
        Command::Doctor(args) => runtime.block_on(doctor::run(&home, args)),
        Command::Keys(command) => runtime.block_on(keys::run(&home, command)),
        Command::Verify(args) => verify::run(&args),
        Command::Prove(args) => runtime.block_on(prove::run(&home, args)),
        Command::Query(args) => runtime.block_on(query::run(&home, args)),
        Command::Erase(args) => runtime.block_on(erase::run(&home, args)),
        Command::Hold(command) => runtime.block_on(hold::run(&home, command)),
        Command::Status(args) => runtime.block_on(status::run(&home, &args)),
        Command::Witness(args) => runtime.block_on(witness::run(args)),
    }
}

fn home(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let default = || std::env::home_dir().map(|user| user.join(".sealgate"));
    given.or_else(default).ok_or_else(|| Failure::new(USAGE, "there is no home directory: name a folder with --home"))
}

/// Prints rows as aligned columns.
fn print_table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(header.get(column).map(|name| name.len())).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.enumerate().map(|(column, cell)| format!("{cell:width$}", width = width(column))).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}
