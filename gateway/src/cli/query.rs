//! `sealgate query`: DuckDB over exactly the files that are signed.

use super::{
    Failure, Outcome,
    verify::{misplaced, read_key},
};
use crate::{
    admin::client::{AdminError, ask},
    home::{evidence, verifier_key},
};
use http::Method;
use sealgate_schema::{
    Hash,
    note::VerifierKey,
    seal::{Manifest, NOTE_NAME, Table},
};
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The views, from the same file that plain DuckDB reads.
const VIEWS: &str = include_str!("../../../schema/views.sql");

/// Query evidence with DuckDB
///
/// Views: records, payloads, calls (intent, outcome and payloads of a call in one row), timeline (a line an event). Without SQL, opens DuckDB's shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to ask; without it, DuckDB's shell opens
    sql: Option<String>,
    /// Folder with evidence [default: the home's]
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// The gateway's public key: a file or the key itself [default: the home's]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "csv", "json", "jsonlines", "markdown", "line"])]
    format: String,
    /// The duckdb command
    #[arg(long, env = "SEALGATE_DUCKDB", default_value = "duckdb", value_name = "FILE")]
    duckdb: PathBuf,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    if args.evidence.is_none() {
        cut_parts(home).await?;
    }
    let folder = args.evidence.clone().unwrap_or_else(|| evidence(home));
    let key = args.key.clone().unwrap_or_else(|| verifier_key(home).display().to_string());
    let files = signed_files(&folder, &read_key(&key)?)?;
    if files.records.is_empty() {
        return Err(Failure::new(1, format!("there is no evidence in {} yet", folder.display())));
    }
    let start = tempfile::Builder::new().prefix("sealgate-query-").suffix(".sql").tempfile()?;
    fs::write(start.path(), prelude(&files))?;
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

/// A running gateway has its newest records in the journal; a cut brings them into parts.
async fn cut_parts(home: &Path) -> Result<(), Failure> {
    match ask::<()>(home, Method::POST, "/v1/parts", None::<&()>).await {
        Ok(()) | Err(AdminError::NotRunning(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
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

#[derive(Default)]
struct Files {
    records: Vec<PathBuf>,
    payloads: Vec<PathBuf>,
}

/// The files of every manifest under `folder` that `key` signed, each with the bytes that were signed.
fn signed_files(folder: &Path, key: &VerifierKey) -> Result<Files, Failure> {
    let mut files = Files::default();
    for note in notes(folder, 0)? {
        let text = fs::read_to_string(&note)?;
        let (manifest, _) = Manifest::open(&text, key).map_err(|error| Failure::new(1, format!("{}: {error}", note.display())))?;
        let misplaced = manifest.ledger().ok().and_then(|ledger| misplaced(note.parent()?, folder, &ledger));
        if let Some(what) = misplaced {
            return Err(Failure::new(1, format!("{}: {what}", note.display())));
        }
        for file in manifest.files {
            let path = note.with_file_name(&file.name);
            let bytes = fs::read(&path).map_err(|error| Failure::new(1, format!("{}: {error}", path.display())))?;
            if Hash::of(&[&bytes]).to_string() != file.sha256 {
                let line = format!(
                    "{} is not the file that was signed; see: sealgate verify {} --key KEY",
                    path.display(),
                    folder.display()
                );
                return Err(Failure::new(1, line));
            }
            match file.table {
                Table::Records => files.records.push(path),
                Table::Payloads => files.payloads.push(path),
            }
        }
    }
    Ok(files)
}

fn notes(folder: &Path, depth: u32) -> Result<Vec<PathBuf>, Failure> {
    let note = folder.join(NOTE_NAME);
    if note.exists() {
        return Ok(vec![note.canonicalize()?]);
    }
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| Failure::new(1, format!("{}: {error}", folder.display())))?;
    let mut folders = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    folders.sort();
    for inner in folders.into_iter().filter(|path| depth < 2 && path.is_dir()) {
        found.extend(notes(&inner, depth + 1)?);
    }
    Ok(found)
}

fn prelude(files: &Files) -> String {
    let mut sql = String::new();
    for (name, paths) in [("record_files", &files.records), ("payload_files", &files.payloads)] {
        let quoted: Vec<_> = paths.iter().map(|path| format!("'{}'", path.display().to_string().replace('\'', "''"))).collect();
        // A String takes every write.
        let _ = writeln!(sql, "SET VARIABLE {name} = [{}]::VARCHAR[];", quoted.join(", "));
    }
    sql + VIEWS
}
