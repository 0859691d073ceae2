//! What the three verifiers say of a folder: an exit code, and the levels that fail.

use super::world::World;
use sealgate::evidence::Folder;
use sealgate_schema::{
    allowed_signers::AllowedSigners,
    note::VerifierKey,
    verify::{Asked, Level, Verdict, verify_evidence},
};
use sealgate_tests::programs::{python, root};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a verifier says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) exit: i64,
    /// Levels that fail, lowest first. What belongs to nothing fails L0, a pinned log that is not there L5.
    pub(super) fails: BTreeSet<String>,
}

impl Said {
    /// The lowest level that fails.
    pub(super) fn lowest(&self) -> Option<&str> {
        self.fails.first().map(String::as_str)
    }
}

/// One folder to verify.
pub(super) struct Job {
    pub(super) evidence: PathBuf,
    pub(super) keys: Vec<String>,
    pub(super) pins: Vec<String>,
    pub(super) signers: Option<String>,
}

impl Job {
    pub(super) fn new(evidence: &Path, world: &World, pinned: bool) -> Self {
        let pins = if pinned { world.pins.clone() } else { Vec::new() };
        Self { evidence: evidence.to_owned(), keys: world.keys.clone(), pins, signers: world.signers.clone() }
    }
}

/// The Rust verifier, with the exit codes of `sealgate verify`.
pub(super) fn rust(job: &Job) -> Said {
    let keys = job.keys.iter().map(|key| VerifierKey::parse(key).unwrap()).collect();
    let signers = job.signers.as_deref().map(|signers| AllowedSigners::parse(signers).unwrap());
    let asked = Asked { keys, pins: job.pins.clone(), signers, ..Asked::default() };
    let report = verify_evidence(&Folder::new(&job.evidence), &asked);
    let mut fails = BTreeSet::new();
    fails.extend((!report.strays.is_empty()).then_some(Level::L0));
    fails.extend((!report.missing.is_empty() && !report.logs.is_empty()).then_some(Level::L5));
    fails.extend(report.logs.iter().flat_map(|log| &log.findings.list).map(|finding| finding.level));
    for ledger in &report.ledgers {
        fails.extend(Level::ALL.into_iter().filter(|level| ledger.verdict(*level) == Verdict::Fail));
    }
    let exit = match (report.tampered(), report.incomplete()) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    };
    Said { exit, fails: fails.into_iter().map(|level| format!("{level:?}")).collect() }
}

/// `verify.py` over all jobs, in one process.
pub(super) fn verify_py(jobs: &[Job], below: &Path) -> Vec<Said> {
    let line = |job: &Job| {
        serde_json::json!({ "evidence": job.evidence, "keys": job.keys, "pins": job.pins, "signers": job.signers }).to_string()
    };
    let list = below.join("jobs-py");
    fs::write(&list, jobs.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let script = root().join("schema/verify.py");
    reports(Command::new(python("python3")).arg(script).arg("--batch").arg(&list), jobs.len()).iter().map(said_by_py).collect()
}

fn said_by_py(report: &Value) -> Said {
    let mut fails = BTreeSet::new();
    let array = |name: &str| report[name].as_array().unwrap().iter();
    fails.extend(array("strays").next().map(|_| "L0".to_owned()));
    for part in array("logs").chain(array("ledgers")) {
        let levels = part["levels"].as_object().unwrap();
        fails.extend(levels.iter().filter(|(_, verdict)| *verdict == "FAIL").map(|(level, _)| level.clone()));
    }
    let exit = report["exit"].as_i64().unwrap();
    // Its report does not list pinned logs that are not there; only they and empty folders are incomplete without a failing level.
    fails.extend((exit == 2 && fails.is_empty() && array("logs").next().is_some()).then(|| "L5".to_owned()));
    Said { exit, fails }
}

/// `verify.sql` over all folders, in one process with the DuckDB library.
pub(super) fn verify_sql(jobs: &[Job], below: &Path) -> Vec<Said> {
    let list = below.join("jobs-sql");
    let lines: Vec<String> = jobs.iter().map(|job| job.evidence.to_str().unwrap().to_owned()).collect();
    fs::write(&list, lines.join("\n")).unwrap();
    let mut command = Command::new(python("python3"));
    command.arg(root().join("tests/suite/scripts/verify_sql.py")).arg(root().join("schema/verify.sql"));
    reports(command.stdin(fs::File::open(&list).unwrap()), jobs.len()).iter().map(said_by_sql).collect()
}

fn said_by_sql(report: &Value) -> Said {
    let failed = report["failed"].as_array().unwrap().iter();
    let exit = i64::from(!report["error"].is_null());
    Said { exit, fails: failed.map(|finding| finding[1].as_str().unwrap().to_owned()).collect() }
}

/// One JSON object a line.
fn reports(command: &mut Command, count: usize) -> Vec<Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let reports: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(reports.len(), count, "{}", String::from_utf8_lossy(&output.stderr));
    reports
}
