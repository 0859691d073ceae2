//! `sealgate verify`: evidence checked offline. Needs the evidence and a public key; no gateway, no network, no home.

use super::{
    Failure, Outcome, USAGE,
    anchors::Trusted,
    bundle,
    people::{self, People},
    source,
};
use sealgate_schema::{
    encrypted::PayloadKey,
    note::VerifierKey,
    seal::State,
    verify::{Asked, EvidenceReport, Finding, Findings, Level, Log, Report, Source, Verdict, verify_evidence},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use zeroize::Zeroizing;

const TAMPERED: u8 = 1;
const INCOMPLETE: u8 = 2;
/// Times evidence that may be growing is looked at: a running gateway may have replaced a file in between.
const LOOKS_MAX: u32 = 3;
/// How long to wait between two looks: longer than a part takes from its first file to its note.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Check evidence offline, with a public key
///
/// Exit codes: 0 every required level of every ledger holds (L0, L1, L2 and L5; L3 with --pin, L4 with --policy or --tsa-ca, L6 with --approvers); 1 something was tampered with; 2 incomplete: something is not there, or there is nothing to check; 3 usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder with evidence: all of it, one gateway's, or one window's; or a proof (`sealgate prove`)
    evidence: PathBuf,
    /// The gateway's public key: a file (keys/gateway.vkey) or the key itself; more than one for several gateways
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// A checkpoint of the windows log that you kept (a copy of _log/checkpoint): the log must go on from it
    #[arg(long, value_name = "FILE")]
    pin: Vec<PathBuf>,
    /// The key of encrypted payload files (keys/payloads/WINDOW.key): their rows are then checked too
    #[arg(long, value_name = "FILE")]
    payload_key: Vec<PathBuf>,
    /// Witnesses that you trust, and how many of them suffice (C2SP tlog-policy): they must have cosigned the windows log
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// CA of the timestamp authority that you trust (PEM): every seal must have its timestamp. Uses openssl
    #[arg(long, value_name = "FILE")]
    tsa_ca: Option<PathBuf>,
    #[command(flatten)]
    people: People,
    /// Require that every window is sealed: an open one is incomplete
    #[arg(long)]
    sealed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut asked = asked(&args.key, &args.pin)?;
    args.people.ask(&mut asked)?;
    asked.payload_keys = args.payload_key.iter().map(|file| read_payload_key(file)).collect::<Result<_, _>>()?;
    let trusted = Trusted::read(args.policy.as_deref(), args.tsa_ca.as_deref())?;
    if args.evidence.is_file() {
        return bundle::verify(&args.evidence, &asked, &trusted, args.sealed, args.json);
    }
    let folder = source::find(&args.evidence, &mut asked)?;
    // A decoder that gives up on damaged bytes is a finding, not a crash to print.
    std::panic::set_hook(Box::new(|_| ()));
    let mut report = look(&folder, &asked);
    let witnessed = trusted.check(&mut report, &folder);
    let code = exit_code(&report, args.sealed);
    if args.json {
        print_json(&report, code)?
    } else {
        print(&report, args, code, &witnessed, &trusted)
    }
    Ok(ExitCode::from(code))
}

/// What a command line asks a verifier.
pub(super) fn asked(keys: &[String], pins: &[PathBuf]) -> Result<Asked, Failure> {
    let pin = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|error| Failure::new(USAGE, format!("the pin {}: {error}", path.display())))
    };
    Ok(Asked {
        keys: keys.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?,
        pins: pins.iter().map(pin).collect::<Result<_, _>>()?,
        ..Asked::default()
    })
}

/// Reads the key of encrypted payload files.
pub(super) fn read_payload_key(file: &Path) -> Result<PayloadKey, Failure> {
    let text = fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::new(USAGE, format!("the payload key {}: {error}", file.display())))?;
    PayloadKey::from_hex(&text).ok_or_else(|| Failure::new(USAGE, format!("{} is not a payload key", file.display())))
}

/// Reads a verifier key from a file, or takes the text as the key.
fn read_key(key: &str) -> Result<VerifierKey, Failure> {
    let text = match fs::read_to_string(key) {
        Ok(text) => text,
        Err(_) if key.contains('+') => key.to_owned(),
        Err(error) => return Err(Failure::new(USAGE, format!("the key {key}: {error}"))),
    };
    VerifierKey::parse(&text).map_err(|error| Failure::new(USAGE, error.to_string()))
}

/// Verifies, and looks again where something that does not hold may be growing.
pub(super) fn look(folder: &dyn Source, asked: &Asked) -> EvidenceReport {
    let mut looks = 0;
    loop {
        looks += 1;
        let report = verify_evidence(folder, asked);
        let growing = report.ledgers.iter().any(|ledger| !ledger.holds() && ledger.state != Some(State::Sealed))
            || report.logs.iter().any(|log| !log.findings.list.is_empty());
        if !report.tampered() || !growing || looks == LOOKS_MAX {
            return report;
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

fn exit_code(report: &EvidenceReport, sealed: bool) -> u8 {
    let open = |ledger: &Report| ledger.state == Some(State::Open);
    if report.tampered() {
        TAMPERED
    } else if report.incomplete() || (sealed && report.ledgers.iter().any(open)) {
        INCOMPLETE
    } else {
        0
    }
}

fn print(report: &EvidenceReport, args: &Args, code: u8, witnessed: &[String], trusted: &Trusted) {
    for ledger in &report.ledgers {
        print_ledger(ledger);
    }
    for log in &report.logs {
        print_log(log);
    }
    for stray in &report.strays {
        println!("✗ {}: it belongs to no ledger", plain(stray));
    }
    for origin in &report.missing {
        println!("✗ {}: its log is pinned or its key given, and it is not here", plain(origin));
    }
    witnessed.iter().for_each(|line| println!("{line}"));
    println!("{}", verdict(report, args, code, trusted));
}

fn print_ledger(report: &Report) {
    let mark = if report.holds() && report.verdict(Level::L5) != Verdict::Fail { '✓' } else { '✗' };
    match (&report.ledger, report.state) {
        (Some(ledger), Some(state)) => {
            let root = report.root.map(|root| root.to_string()).unwrap_or_default();
            let state = if state == State::Sealed { "sealed" } else { "open, not sealed yet" };
            println!(
                "{mark} {} · {} · {state} · {} records · payloads {} · root {}…",
                ledger.window(),
                ledger.gateway(),
                report.records,
                report.payloads.as_str(),
                root.get(..16).unwrap_or_default()
            );
        }
        _ => println!("{mark} {}", plain(&report.folder)),
    }
    for level in Level::ALL {
        println!("    {level:?} {:<26} {}", level.title(), report.verdict(level));
    }
    people::print(report);
    print_findings(&report.findings);
}

fn print_log(log: &Log) {
    let mark = if log.findings.list.is_empty() { '✓' } else { '✗' };
    let root = log.root.to_string();
    let pinned = if log.pinned { "goes on from the pinned checkpoint" } else { "not pinned" };
    println!(
        "{mark} windows log of {} · {} entries · root {}… · {pinned}",
        log.gateway,
        log.size,
        root.get(..16).unwrap_or_default()
    );
    print_findings(&log.findings);
}

/// Prints what does not hold, for a command that needs evidence that does.
pub(super) fn complain(report: &EvidenceReport) {
    let ledgers = report.ledgers.iter().filter(|ledger| !ledger.holds()).map(|ledger| (&ledger.folder, &ledger.findings));
    let logs = report.logs.iter().map(|log| (&log.gateway, &log.findings));
    for (place, findings) in ledgers.chain(logs) {
        findings.list.iter().for_each(|finding| eprintln!("  ✗ {}: {}", plain(place), plain(&finding.to_string())));
    }
    report.strays.iter().for_each(|stray| eprintln!("  ✗ {}: it belongs to no ledger", plain(stray)));
}

/// Text of somebody else's making, without what would change what a terminal shows.
pub(super) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

fn print_findings(findings: &Findings) {
    for finding in &findings.list {
        println!("    ✗ {}", plain(&finding.to_string()));
    }
    if findings.left_out > 0 {
        println!("    ✗ and {} more", findings.left_out);
    }
    println!();
}

fn verdict(report: &EvidenceReport, args: &Args, code: u8, trusted: &Trusted) -> String {
    let open = report.ledgers.iter().filter(|ledger| ledger.state == Some(State::Open)).count();
    let count = report.ledgers.len();
    let ledgers = if count == 1 { "1 ledger".to_owned() } else { format!("{count} ledgers") };
    match code {
        TAMPERED => format!("TAMPERED: what is marked ✗ does not hold ({ledgers} looked at)"),
        INCOMPLETE if report.logs.is_empty() => format!("INCOMPLETE: there is no evidence in {}", args.evidence.display()),
        INCOMPLETE if report.ledgers.is_empty() => "INCOMPLETE: nothing of what was asked for was found".to_owned(),
        INCOMPLETE if report.incomplete() => format!("INCOMPLETE: what is marked ✗ is not here ({ledgers} looked at)"),
        INCOMPLETE => format!("INCOMPLETE: {open} of {ledgers} not sealed"),
        _ => {
            let open = if open > 0 { format!(" {open} still open.") } else { String::new() };
            let pinned = report.logs.iter().all(|log| log.pinned);
            let tail = match pinned {
                true => {
                    "L3: the log goes on from the pinned checkpoint, so nothing up to it is missing or rolled back; what came after it rests on the log as it is."
                }
                false => {
                    "L3 is not checked: without --pin, a log and its windows that were rolled back together would not be noticed."
                }
            };
            format!("L0 to L2 and L5 hold for {ledgers}.{open} {tail} {} {}", outside(report, trusted), signers(report))
        }
    }
}

/// What may be said of witnesses and timestamps.
fn outside(report: &EvidenceReport, trusted: &Trusted) -> String {
    let there = report.ledgers.iter().filter(|ledger| ledger.state.is_some());
    match (trusted.asked(), there.filter(|ledger| ledger.verdict(Level::L4) != Verdict::Pass).count()) {
        (false, _) => "L4 is not checked.".to_owned(),
        (true, 0) => "L4 holds for all of them.".to_owned(),
        (true, count) => {
            format!("L4 holds, but for {count} of them not to its end: what is newest was not witnessed or sealed yet.")
        }
    }
}

/// What may be said of who signed.
fn signers(report: &EvidenceReport) -> String {
    let there: Vec<_> = report.ledgers.iter().filter(|ledger| ledger.state.is_some()).collect();
    let checked = there.iter().filter(|ledger| ledger.verdict(Level::L6) == Verdict::Pass).count();
    let unreviewed = there.iter().flat_map(|ledger| &ledger.sessions).filter(|session| session.is_unreviewed()).count();
    let owed = if unreviewed > 0 { format!(" Break-glass sessions without a review: {unreviewed}.") } else { String::new() };
    match checked {
        0 => format!("L6 is not checked: keys signed what is said to be approved; whose they are, --approvers says.{owed}"),
        _ if checked == there.len() => format!("L6 holds for all of them: who signed are those of your file.{owed}"),
        _ => format!("L6 holds for {checked} of them; of the others nothing was there to read.{owed}"),
    }
}

fn print_json(report: &EvidenceReport, code: u8) -> Result<(), Failure> {
    let finding = |finding: &Finding| json!({ "level": format!("{:?}", finding.level), "seq": finding.seq, "place": finding.place, "what": finding.what });
    let findings = |findings: &Findings| findings.list.iter().map(finding).collect::<Vec<_>>();
    let ledger = |ledger: &Report| {
        let levels: serde_json::Map<_, _> =
            Level::ALL.into_iter().map(|level| (format!("{level:?}"), json!(ledger.verdict(level).to_string()))).collect();
        json!({
            "folder": ledger.folder,
            "gateway": ledger.ledger.as_ref().map(|ledger| ledger.gateway().as_str()),
            "window": ledger.ledger.as_ref().map(|ledger| ledger.window().as_str()),
            "state": ledger.state,
            "records": ledger.records,
            "root": ledger.root.map(|root| root.to_string()),
            "payloads": ledger.payloads.as_str(),
            "levels": levels,
            "sessions": people::sessions(ledger),
            "findings": findings(&ledger.findings),
            "findings_left_out": ledger.findings.left_out,
        })
    };
    let log = |log: &Log| {
        json!({
            "gateway": log.gateway,
            "size": log.size,
            "root": log.root.to_string(),
            "pinned": log.pinned,
            "levels": { "L3": log_verdict(log).to_string(), "L4": witnesses_verdict(log, report).to_string() },
            "findings": findings(&log.findings),
        })
    };
    let all = json!({
        "logs": report.logs.iter().map(log).collect::<Vec<_>>(),
        "ledgers": report.ledgers.iter().map(ledger).collect::<Vec<_>>(),
        "strays": report.strays,
        "missing": report.missing,
        "exit": code,
    });
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(())
}

/// The log's own L4: where a ledger of it passed or failed, the witnesses were asked.
fn witnesses_verdict(log: &Log, report: &EvidenceReport) -> Verdict {
    if log.findings.fails(Level::L4) {
        return Verdict::Fail;
    }
    let own = report.ledgers.iter().filter(|ledger| ledger.folder.split('/').next() == Some(log.gateway.as_str()));
    let passed = own.filter(|ledger| ledger.verdict(Level::L4) == Verdict::Pass).count() > 0;
    if passed { Verdict::Pass } else { Verdict::NotChecked }
}

fn log_verdict(log: &Log) -> Verdict {
    match (!log.findings.fails(Level::L3), log.pinned) {
        (false, _) => Verdict::Fail,
        (true, true) => Verdict::Pass,
        (true, false) => Verdict::NotChecked,
    }
}
