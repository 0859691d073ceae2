//! The verifiers agree: on random evidence that nobody touched all levels hold, and what was tampered with at random is found
//! by each of them. Rust and Python give the same verdict on every level; SQL, which sees no signatures, runs over some of
//! them and has to find what it claims to find, and nothing else.
//!
//! `SEALGATE_TEST_LONG=1` runs thousands of folders, `SEALGATE_TEST_COUNT=N` so many.

mod tampering;

use bytes::Bytes;
use sealgate_schema::{
    note::VerifierKey,
    verify::{Asked, EvidenceReport, Level, Verdict, verify_evidence},
};
use sealgate_tests::{
    forge::{Forged, Size, forge, random::Random, write_files},
    programs::{python, root},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};
use tampering::{Done, Found, tamper};

/// Levels on which Rust and Python have to say the same. L4 is asked of nobody here.
const COMPARED: [Level; 5] = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L5];
/// Folders that one Python process verifies: it starts anew for each so many, and the disk holds no more at once.
const BATCH: usize = 100;
/// One folder of so many is verified by SQL too: planning its statements takes as long as the other two together.
const SQL_EVERY: usize = 19;
/// Variants of each forged folder: as it was forged, and tampered with.
const VARIANTS: usize = 8;

fn count() -> usize {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let long = number("SEALGATE_TEST_LONG").is_some_and(|value: usize| value > 0);
    number("SEALGATE_TEST_COUNT").unwrap_or(if long { 10_000 } else { 60 })
}

/// One folder, and what has to be said of it.
struct Case {
    name: String,
    files: BTreeMap<String, Bytes>,
    key: String,
    pins: Vec<String>,
    /// What was done to it; nothing where it is as forged.
    done: Option<Done>,
}

/// The forged folder of a seed, and its tampered variants.
fn cases(seed: u64) -> Vec<Case> {
    let size = if seed % 24 == 5 { Size::WIDE } else { Size::SMALL };
    let mut random = Random::new(!seed);
    let original = forge(seed, size);
    let pin_at = 1 + random.below(original.entries.len()) as u64;
    let pin_at = if original.pin_counts(pin_at) { pin_at } else { original.entries.len() as u64 };
    let (key, pins) = (original.vkey(), vec![original.pin(pin_at)]);
    let mut cases = vec![case(format!("{seed}"), &original, &key, pins, None)];
    for variant in 1..VARIANTS {
        let mut forged = forge(seed, size);
        let pins = if random.chance(60) { vec![original.pin(original.entries.len() as u64)] } else { Vec::new() };
        if let Some(done) = tamper(&mut random, &mut forged) {
            let name = format!("{seed}.{variant} {}", done.what);
            cases.push(case(name, &forged, &key, pins, Some(done)));
        }
    }
    cases
}

fn case(name: String, forged: &Forged, key: &str, pins: Vec<String>, done: Option<Done>) -> Case {
    let files = forged.files.iter().map(|(path, bytes)| (path.clone(), Bytes::from(bytes.clone()))).collect();
    Case { name, files, key: key.to_owned(), pins, done }
}

/// What a verifier said: exit code, strays, and a verdict a level for each log and ledger.
#[derive(Debug, PartialEq, Eq, Default, Clone)]
struct Said {
    exit: i64,
    strays: Vec<String>,
    verdicts: BTreeMap<String, BTreeMap<String, String>>,
}

impl Said {
    /// How far a reader gets in bytes that nobody wrote is its library's business (FORMAT.md §8): where L0 tells that these are
    /// not the sealed ones, L1 and L2 may differ.
    fn without_structure(&self, noise: bool) -> Self {
        let mut said = self.clone();
        for verdicts in said.verdicts.values_mut().filter(|verdicts| noise && verdicts.get("L0").is_some_and(|l0| l0 == "FAIL")) {
            verdicts.retain(|level, _| level != "L1" && level != "L2");
        }
        said
    }
}

fn rust(case: &Case) -> Said {
    let keys = vec![VerifierKey::parse(&case.key).unwrap()];
    let asked = Asked { keys, pins: case.pins.clone(), ..Asked::default() };
    let report = verify_evidence(&case.files, &asked);
    let exit = match (report.tampered(), report.incomplete()) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    };
    let mut strays = report.strays.clone();
    strays.sort();
    Said { exit, strays, verdicts: rust_verdicts(&report) }
}

fn rust_verdicts(report: &EvidenceReport) -> BTreeMap<String, BTreeMap<String, String>> {
    let ledgers = report.ledgers.iter().map(|ledger| {
        let verdicts = COMPARED.iter().map(|level| (format!("{level:?}"), ledger.verdict(*level).to_string()));
        (ledger.folder.clone(), verdicts.collect())
    });
    let logs = report.logs.iter().map(|log| {
        let verdict = match (log.findings.fails(Level::L3), log.pinned) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::NotChecked,
        };
        (log.gateway.clone(), BTreeMap::from([("L3".to_owned(), verdict.to_string())]))
    });
    ledgers.chain(logs).collect()
}

/// Verifies folders with one Python process; the reports as it printed them.
fn python_reports(below: &Path, cases: &[Case]) -> Vec<serde_json::Value> {
    let mut jobs = String::new();
    for (number, case) in cases.iter().enumerate() {
        let evidence = below.join(number.to_string());
        fs::create_dir_all(&evidence).unwrap();
        write_files(&case.files.iter().map(|(path, bytes)| (path.clone(), bytes.to_vec())).collect(), &evidence);
        let job = serde_json::json!({ "evidence": evidence, "keys": [case.key], "pins": case.pins });
        writeln!(jobs, "{job}").unwrap();
    }
    let list = below.join("jobs");
    fs::write(&list, jobs).unwrap();
    let mut command = Command::new(python("python3"));
    command.arg(root().join("schema/verify.py")).arg("--batch").arg(&list).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "verify.py ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Verifies some of the folders that [`python_reports`] wrote with `verify.sql`; what ended it, by the folder's number.
fn sql_reports(below: &Path, count: usize) -> BTreeMap<usize, serde_json::Value> {
    let numbers: Vec<usize> = (0..count).step_by(SQL_EVERY).collect();
    let mut command = Command::new(python("python3"));
    command.arg(root().join("tests/suite/scripts/verify_sql.py")).arg(root().join("schema/verify.sql"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for number in &numbers {
        writeln!(input, "{}", below.join(number.to_string()).display()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "verify.sql's runner ended with {}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    numbers.into_iter().zip(lines.lines().map(|line| serde_json::from_str(line).unwrap())).collect()
}

/// What is wrong with what SQL says; `None` where it found what it claims to find.
fn sql_fault(case: &Case, rust: &Said, report: &serde_json::Value) -> Option<String> {
    let found = !report["error"].is_null();
    let due = case.done.as_ref().is_some_and(|done| done.without_signatures);
    (found && rust.exit == 0 || due && !found).then(|| format!("verify.sql: {report}\n rust {rust:?}"))
}

fn said_by_python(report: &serde_json::Value) -> Said {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let array = |name: &str| report[name].as_array().unwrap().clone();
    let mut strays: Vec<String> = array("strays").iter().map(text).collect();
    strays.sort();
    let mut verdicts = BTreeMap::new();
    for ledger in array("ledgers") {
        let levels = COMPARED.iter().map(|level| (format!("{level:?}"), text(&ledger["levels"][format!("{level:?}")])));
        verdicts.insert(text(&ledger["folder"]), levels.collect());
    }
    for log in array("logs") {
        verdicts.insert(text(&log["gateway"]), BTreeMap::from([("L3".to_owned(), text(&log["levels"]["L3"]))]));
    }
    Said { exit: report["exit"].as_i64().unwrap(), strays, verdicts }
}

/// What is wrong with what the two say of a case; `None` where they agree and are right.
fn fault(case: &Case, rust: &Said, python: &Said) -> Option<String> {
    let noise = case.done.as_ref().is_some_and(|done| done.noise);
    if rust.without_structure(noise) != python.without_structure(noise) {
        return Some(format!("they differ:\n rust   {rust:?}\n python {python:?}"));
    }
    match &case.done {
        None if rust.exit != 0 => Some(format!("untouched, and not held: {rust:?}")),
        Some(done) if rust.exit == 0 && (done.found == Found::Always || !case.pins.is_empty()) => Some("not found".to_owned()),
        _ => None,
    }
}

#[test]
fn all_verifiers_find_every_tampering_and_pass_what_was_not_touched() {
    let (mut seed, mut checked, mut tampered, mut forgiven, mut faults) = (0, 0, 0, 0, Vec::new());
    while checked < count() {
        let mut batch = Vec::new();
        while batch.len() < BATCH.min(count() - checked) {
            batch.extend(cases(seed));
            seed += 1;
        }
        let folder = tempfile::tempdir().unwrap();
        let python = python_reports(folder.path(), &batch);
        let sql = sql_reports(folder.path(), batch.len());
        for (number, (case, report)) in batch.iter().zip(python).enumerate() {
            let (rust, python) = (rust(case), said_by_python(&report));
            let sql_fault = sql.get(&number).and_then(|report| sql_fault(case, &rust, report));
            faults.extend(sql_fault.map(|fault| format!("{}: {fault}", case.name)));
            forgiven += usize::from(rust != python);
            faults.extend(fault(case, &rust, &python).map(|fault| format!("{}: {fault}", case.name)));
        }
        checked += batch.len();
        tampered += batch.iter().filter(|case| case.done.is_some()).count();
    }
    println!("{checked} folders, {tampered} of them tampered with; L1 or L2 differ on {forgiven} with bytes that nobody wrote");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
