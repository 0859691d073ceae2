//! `sealgate query`: DuckDB over the very bytes that were verified.
//!
//! Each file is read once. Its bytes are verified, and are kept in a sealed memory file, which nobody can change any more and
//! which DuckDB opens: between the check and the query there is no moment at which a file could be exchanged.

use super::{
    Failure, Outcome,
    people::People,
    record, source,
    verify::{asked, complain, look, read_payload_key},
};
use crate::{
    admin::{
        api::PayloadRead,
        client::{AdminError, ask},
    },
    app::raise_open_files,
    evidence::Folder,
    home::{evidence, verifier_key},
};
use bytes::Bytes;
use http::Method;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sealgate_schema::{
    encrypted::{self, PayloadKey},
    log::LOG_FOLDER,
    parquet::{self, Rows},
    seal::{State, Table},
    verify::{Asked, EvidenceReport, Level, Name, Report, Source, Standing, Verdict},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The views, from the same file that plain DuckDB reads.
const VIEWS: &str = include_str!("../../../schema/views.sql");

/// Query evidence with DuckDB
///
/// Views: records, payloads, calls (intent, outcome and payloads of a call in one row), timeline (a line an event). Without SQL, opens DuckDB's shell. The evidence is verified first (all but L4), and DuckDB reads the bytes that were verified. A query of the home's own evidence with payloads is itself recorded.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to ask; without it, DuckDB's shell opens
    sql: Option<String>,
    /// Folder with evidence: all of it, one gateway's, or one window's [default: the home's]
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// The gateway's public key: a file or the key itself [default: the home's]
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// One window alone
    #[arg(long, value_name = "WINDOW")]
    window: Option<String>,
    /// The key of encrypted payload files [default: those of the home]
    #[arg(long, value_name = "FILE")]
    payload_key: Vec<PathBuf>,
    #[command(flatten)]
    people: People,
    /// Answer although windows that the log names are not here
    #[arg(long)]
    incomplete: bool,
    /// Leave out the payloads: headers, bodies, parameters
    #[arg(long)]
    no_payloads: bool,
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "csv", "json", "jsonlines", "markdown", "line"])]
    format: String,
    /// The duckdb command
    #[arg(long, env = "SEALGATE_DUCKDB", default_value = "duckdb", value_name = "FILE")]
    duckdb: PathBuf,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    if args.evidence.is_none() {
        let read = PayloadRead { sql: args.sql.clone(), window: args.window.clone() };
        settle(home, Some(&read).filter(|_| !args.no_payloads)).await?;
    }
    let folder = args.evidence.clone().unwrap_or_else(|| evidence(home));
    let keys = if args.key.is_empty() { vec![verifier_key(home).display().to_string()] } else { args.key.clone() };
    let mut asked = asked(&keys, &[])?;
    args.people.ask(&mut asked)?;
    asked.payload_keys = payload_keys(home, &args)?;
    let source = Kept { folder: source::find(&folder, &mut asked)?, files: RefCell::default() };
    asked.window = args.window.clone().or(asked.window);
    raise_open_files();
    let report = verified(&source, &asked, &folder, args.incomplete)?;
    let files = Files::of(&report, &source, &asked.payload_keys, args.no_payloads)?;
    let start = tempfile::Builder::new().prefix("sealgate-query-").suffix(".sql").tempfile()?;
    fs::write(start.path(), files.prelude())?;
    let mut command = Command::new(&args.duckdb);
    // `.read` and not `-init`, which would tell on every run that it loads a file.
    command.arg("-cmd").arg(format!(".read '{}'", start.path().display()));
    if args.format != "table" {
        command.arg(format!("-{}", args.format));
    }
    if let Some(sql) = &args.sql {
        command.arg("-c").arg(sql);
    }
    let status = command.status().map_err(|error| not_there(&args.duckdb, &error))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The keys that are named, or those of the home.
fn payload_keys(home: &Path, args: &Args) -> Result<Vec<PayloadKey>, Failure> {
    let folder = crate::home::paths(home).payload_keys;
    let files = match (args.payload_key.is_empty() && args.evidence.is_none(), fs::read_dir(&folder)) {
        (true, Ok(entries)) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?,
        (true, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => args.payload_key.clone(),
    };
    files.iter().map(|file| read_payload_key(file)).collect()
}

/// Brings the newest records of the home into parts, after one that says that payloads are read. Where no gateway runs, this
/// process is one for a moment.
pub(super) async fn settle(home: &Path, read: Option<&PayloadRead>) -> Result<(), Failure> {
    let Some(read) = read else {
        return match ask::<()>(home, Method::POST, "/v1/parts", None::<&()>).await {
            Ok(()) | Err(AdminError::NotRunning(_)) => Ok(()),
            Err(error) => Err(error.into()),
        };
    };
    if !evidence(home).is_dir() {
        return Err(Failure::new(1, format!("there is no evidence in {} yet", evidence(home).display())));
    }
    let own = record::gateway(home, None).await?;
    let told = ask::<()>(home, Method::POST, "/v1/payload-reads", Some(read)).await;
    match own {
        Some(running) => running.stop().await?,
        None if told.is_ok() => ask::<()>(home, Method::POST, "/v1/parts", None::<&()>).await?,
        None => {}
    }
    Ok(told?)
}

fn not_there(duckdb: &Path, error: &io::Error) -> Failure {
    let line = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no {} command: install it (pip install duckdb-cli), name it with --duckdb, or read schema/views.sql from any DuckDB",
            duckdb.display()
        ),
        _ => format!("{}: {error}", duckdb.display()),
    };
    Failure::new(1, line)
}

/// Verifies everything that is asked about; evidence that does not hold is not queried.
fn verified(source: &Kept, asked: &Asked, folder: &Path, incomplete: bool) -> Result<EvidenceReport, Failure> {
    // A decoder that gives up on damaged bytes is a finding, not a crash to print.
    std::panic::set_hook(Box::new(|_| ()));
    let report = look(source, asked);
    let _ = std::panic::take_hook();
    if report.tampered() {
        complain(&report);
        return Err(Failure::new(1, "the evidence does not hold, and is not queried; see: sealgate verify"));
    }
    let missing = |ledger: &&Report| ledger.verdict(Level::L5) == Verdict::Fail;
    for ledger in report.ledgers.iter().filter(missing) {
        ledger.findings.list.iter().for_each(|finding| eprintln!("sealgate: {}: {finding}", ledger.folder));
    }
    // An open ledger is often ahead of its parts; anything else that is not here would silently be missing from the answer.
    if !incomplete && report.ledgers.iter().filter(missing).any(|ledger| ledger.state != Some(State::Open)) {
        return Err(Failure::new(2, "the evidence is incomplete, and is not queried; --incomplete asks what is here"));
    }
    if report.ledgers.iter().all(|ledger| ledger.files.is_empty()) {
        return Err(Failure::new(1, format!("there is no evidence in {} yet", folder.display())));
    }
    Ok(report)
}

/// Evidence whose Parquet files are kept as they were read.
struct Kept {
    folder: Folder,
    files: RefCell<BTreeMap<String, OwnedFd>>,
}

impl Source for Kept {
    fn list(&self, folder: &str) -> Result<Vec<Name>, String> {
        self.folder.list(folder)
    }

    fn read(&self, path: &str) -> Result<Bytes, String> {
        let bytes = self.folder.read(path)?;
        if path.ends_with(".parquet") && !path.contains(LOG_FOLDER) {
            let file =
                keep(path, &bytes).map_err(|error| format!("it can't be kept in memory ({error}): ask about one --window"))?;
            self.files.borrow_mut().insert(path.to_owned(), file);
        }
        Ok(bytes)
    }
}

/// A memory file with these bytes for good.
fn keep(path: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(path, MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// What DuckDB opens.
#[derive(Default)]
struct Files {
    records: Vec<String>,
    payloads: Vec<String>,
    /// Payloads that were encrypted: plain in memory, and nowhere else.
    decrypted: Vec<OwnedFd>,
}

impl Files {
    fn of(report: &EvidenceReport, source: &Kept, keys: &[PayloadKey], no_payloads: bool) -> Result<Self, Failure> {
        let (mut files, kept) = (Self::default(), source.files.borrow());
        for ledger in &report.ledgers {
            for standing in &ledger.files {
                let path = format!("{}/{}", ledger.folder, standing.name);
                let file = kept.get(&path).ok_or_else(|| Failure::new(1, format!("{path} was not read")))?;
                if let (Table::Payloads, false, Some(id)) = (standing.file.table, no_payloads, &standing.file.key) {
                    files.decrypt(ledger, standing, keys.iter().find(|key| key.id() == *id), file)?;
                    continue;
                }
                // By this process's number and not inherited: a duckdb command may be a script that starts the real one.
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                match standing.file.table {
                    Table::Records => files.records.push(path),
                    Table::Payloads if no_payloads => {}
                    Table::Payloads => files.payloads.push(path),
                }
            }
        }
        Ok(files)
    }

    /// Keeps the rows of an encrypted file, out of the bytes that were verified, as a plain one. DuckDB would need the key in its
    /// SQL, and can't read lists in files that this format's writer encrypted.
    fn decrypt(&mut self, ledger: &Report, standing: &Standing, key: Option<&PayloadKey>, file: &OwnedFd) -> Result<(), Failure> {
        let (Some(key), Some(name)) = (key, &ledger.ledger) else {
            eprintln!("sealgate: {}/{} is encrypted, and its key is not here: left out", ledger.folder, standing.name);
            return Ok(());
        };
        let bytes = fs::read(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let contents = encrypted::read_payloads(name, standing.file.first_seq, &bytes.into(), key);
        let Rows::Payloads(rows) = contents.rows else { return Ok(()) };
        let rows: Vec<_> = rows.into_iter().map(|row| (row.seq, row.payload)).collect();
        let plain = keep(&standing.name, &parquet::write_payloads(name, standing.file.first_seq, &rows)?)?;
        self.payloads.push(format!("/proc/{}/fd/{}", std::process::id(), plain.as_raw_fd()));
        self.decrypted.push(plain);
        Ok(())
    }

    fn prelude(&self) -> String {
        let mut sql = String::new();
        for (name, paths) in [("record_files", &self.records), ("payload_files", &self.payloads)] {
            let quoted: Vec<_> = paths.iter().map(|path| format!("'{path}'")).collect();
            // A String takes every write.
            let _ = writeln!(sql, "SET VARIABLE {name} = [{}]::VARCHAR[];", quoted.join(", "));
        }
        sql + VIEWS
    }
}
