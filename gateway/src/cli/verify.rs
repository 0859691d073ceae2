//! `sealgate verify`: evidence checked offline. Needs the evidence and a public key; no gateway, no network, no home.

use super::{Failure, Outcome, USAGE};
use bytes::Bytes;
use sealgate_schema::{
    LedgerId,
    note::VerifierKey,
    seal::{NOTE_NAME, State},
    verify::{Finding, Level, Report, Verdict, verify_ledger},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

const TAMPERED: u8 = 1;
const INCOMPLETE: u8 = 2;
/// Times an open ledger is looked at again: a running gateway may have replaced its note in between.
const LOOKS_MAX: u32 = 3;
/// How long to wait between two looks: longer than a part takes from its first file to its note.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Check evidence offline, with a public key
///
/// Exit codes: 0 every required level (L0, L1, L2) of every ledger holds; 1 something was tampered with; 2 incomplete: nothing to check; 3 usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder with evidence: all of it, one gateway's, or one window's
    evidence: PathBuf,
    /// The gateway's public key: a file (keys/gateway.vkey) or the key itself
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Require that every window is sealed: an open one is incomplete
    #[arg(long)]
    sealed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A ledger's folder and what was found there.
struct Checked {
    folder: PathBuf,
    report: Report,
}

pub(super) fn run(args: &Args) -> Outcome {
    let key = read_key(&args.key)?;
    if !args.evidence.is_dir() {
        return Err(Failure::new(USAGE, format!("{} is not a folder", args.evidence.display())));
    }
    // A decoder that gives up on damaged bytes is a finding, not a crash to print.
    std::panic::set_hook(Box::new(|_| ()));
    let mut found = Found::default();
    walk(&args.evidence, 0, &mut found)?;
    let checking = found.ledgers.into_iter().map(|folder| check(&key, &args.evidence, folder));
    let mut checked = checking.collect::<Result<Vec<Checked>, _>>()?;
    find_copies(&mut checked);
    let code = exit_code(&checked, &found.strays, args.sealed);
    if args.json {
        print_json(&checked, &found.strays, code)?
    } else {
        print(&checked, &found.strays, args, code)
    }
    Ok(ExitCode::from(code))
}

/// Reads a verifier key from a file, or takes the text as the key.
pub(super) fn read_key(key: &str) -> Result<VerifierKey, Failure> {
    let text = match fs::read_to_string(key) {
        Ok(text) => text,
        Err(_) if key.contains('+') => key.to_owned(),
        Err(error) => return Err(Failure::new(USAGE, format!("the key {key}: {error}"))),
    };
    VerifierKey::parse(&text).map_err(|error| Failure::new(USAGE, error.to_string()))
}

#[derive(Default)]
struct Found {
    ledgers: Vec<PathBuf>,
    strays: Vec<PathBuf>,
}

/// Folders with a note, or with files where a note should be; files elsewhere are strays.
fn walk(folder: &Path, depth: u32, found: &mut Found) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir() && !path.is_symlink());
    // EVIDENCE/GATEWAY/WINDOW: two levels down at the most, and a folder with a note is a ledger wherever it is.
    if depth == 2 || files.iter().any(|file| file.ends_with(NOTE_NAME)) {
        found.ledgers.push(folder.to_owned());
        found.strays.extend(folders);
        return Ok(());
    }
    found.strays.extend(files);
    folders.into_iter().try_for_each(|inner| walk(&inner, depth + 1, found))
}

fn check(key: &VerifierKey, root: &Path, folder: PathBuf) -> Result<Checked, Failure> {
    let mut looks = 0;
    loop {
        looks += 1;
        let report = check_once(key, root, &folder)?;
        if report.holds() || report.state == Some(State::Sealed) || looks == LOOKS_MAX {
            return Ok(Checked { folder, report });
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

fn check_once(key: &VerifierKey, root: &Path, folder: &Path) -> Result<Report, Failure> {
    // The names first: what a running gateway adds after this is in its next note.
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != NOTE_NAME {
            names.push(name);
        }
    }
    names.sort();
    let note = match fs::read(folder.join(NOTE_NAME)) {
        Ok(note) => String::from_utf8_lossy(&note).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let mut read = |name: &str| match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("the file is missing".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let mut report = verify_ledger(key, &note, &names, &mut read);
    if let Some(ledger) = report.ledger.clone()
        && let Some(what) = misplaced(folder, root, &ledger)
    {
        fail(&mut report, what);
    }
    Ok(report)
}

/// The folders' names are what a person goes by: they must be the signed ones. Those above `root` are the caller's.
pub(super) fn misplaced(folder: &Path, root: &Path, ledger: &LedgerId) -> Option<String> {
    let (folder, root) = (folder.canonicalize().ok()?, root.canonicalize().ok()?);
    let window = folder.file_name()?.to_str()?;
    if window != ledger.window().as_str() {
        return Some(format!("the folder is named {window}, the signed ledger is {}", ledger.window()));
    }
    let parent = folder.parent().filter(|parent| folder != root && **parent != root)?.file_name()?.to_str()?;
    (parent != ledger.gateway().as_str())
        .then(|| format!("the folder lies in {parent}, the signed gateway is {}", ledger.gateway()))
}

fn fail(report: &mut Report, what: String) {
    report.verdicts[0] = Verdict::Fail;
    report.findings.push(Finding { level: Level::L0, seq: None, place: "folder".to_owned(), what });
}

/// One ledger in two places would count twice in every query.
fn find_copies(checked: &mut [Checked]) {
    let mut seen = BTreeSet::new();
    for Checked { report, .. } in checked {
        if let Some(ledger) = report.ledger.clone()
            && !seen.insert(ledger.clone())
        {
            fail(report, format!("{} is there a second time", ledger.origin()));
        }
    }
}

fn exit_code(checked: &[Checked], strays: &[PathBuf], sealed: bool) -> u8 {
    let open = |checked: &Checked| checked.report.state == Some(State::Open);
    if !strays.is_empty() || checked.iter().any(|checked| !checked.report.holds()) {
        TAMPERED
    } else if checked.is_empty() || (sealed && checked.iter().any(open)) {
        INCOMPLETE
    } else {
        0
    }
}

fn print(checked: &[Checked], strays: &[PathBuf], args: &Args, code: u8) {
    for Checked { folder, report } in checked {
        print_report(folder, report);
    }
    for stray in strays {
        println!("✗ {}: it belongs to no ledger", stray.display());
    }
    println!("{}", verdict(checked, args, code));
}

fn print_report(folder: &Path, report: &Report) {
    let mark = if report.holds() { '✓' } else { '✗' };
    match (&report.ledger, report.state) {
        (Some(ledger), Some(state)) => {
            let root = report.root.map(|root| root.to_string()).unwrap_or_default();
            let state = if state == State::Sealed { "sealed" } else { "open, not sealed yet" };
            println!(
                "{mark} {} · {} · {state} · {} records · root {}…",
                ledger.window(),
                ledger.gateway(),
                report.records,
                root.get(..16).unwrap_or_default()
            );
        }
        _ => println!("{mark} {} · nothing signed by this key", folder.display()),
    }
    for level in Level::ALL {
        println!("    {level:?} {:<26} {}", level.title(), report.verdict(level));
    }
    for finding in &report.findings {
        println!("    ✗ {finding}");
    }
    if report.findings_left_out > 0 {
        println!("    ✗ and {} more", report.findings_left_out);
    }
    println!();
}

fn verdict(checked: &[Checked], args: &Args, code: u8) -> String {
    let open = checked.iter().filter(|checked| checked.report.state == Some(State::Open)).count();
    let ledgers = if checked.len() == 1 { "1 ledger".to_owned() } else { format!("{} ledgers", checked.len()) };
    match code {
        TAMPERED => format!("TAMPERED: what is marked ✗ does not hold ({ledgers} looked at)"),
        INCOMPLETE if checked.is_empty() => format!("INCOMPLETE: there is no evidence in {}", args.evidence.display()),
        INCOMPLETE => format!("INCOMPLETE: {open} of {ledgers} not sealed"),
        _ => {
            let tail = if open > 0 { format!(" {open} still open: nothing signed says yet where it ends.") } else { String::new() };
            format!(
                "L0 to L2 hold for {ledgers}.{tail} L3 to L5 are not checked: a whole window that was removed, or an open one rolled back, would not be noticed."
            )
        }
    }
}

fn print_json(checked: &[Checked], strays: &[PathBuf], code: u8) -> Result<(), Failure> {
    let finding = |finding: &Finding| json!({ "level": format!("{:?}", finding.level), "seq": finding.seq, "place": finding.place, "what": finding.what });
    let ledger = |Checked { folder, report }: &Checked| {
        let levels: serde_json::Map<_, _> =
            Level::ALL.into_iter().map(|level| (format!("{level:?}"), json!(report.verdict(level).to_string()))).collect();
        json!({
            "folder": folder.display().to_string(),
            "gateway": report.ledger.as_ref().map(|ledger| ledger.gateway().as_str()),
            "window": report.ledger.as_ref().map(|ledger| ledger.window().as_str()),
            "state": report.state,
            "records": report.records,
            "root": report.root.map(|root| root.to_string()),
            "levels": levels,
            "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
            "findings_left_out": report.findings_left_out,
        })
    };
    let strays: Vec<_> = strays.iter().map(|stray| stray.display().to_string()).collect();
    let all = json!({ "ledgers": checked.iter().map(ledger).collect::<Vec<_>>(), "strays": strays, "exit": code });
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(())
}
