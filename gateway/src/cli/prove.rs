//! `sealgate prove`: one record of the evidence as a bundle that somebody can check who gets nothing else.
//!
//! What was read while verifying is what the bundle is made of, and the bundle is checked before it is written.

use super::{
    Failure, Outcome, USAGE,
    bundle::field_names,
    people::People,
    query, source,
    verify::{asked, complain, look},
};
use crate::{
    admin::api::PayloadRead,
    evidence::Folder,
    home::{evidence, verifier_key},
};
use bytes::Bytes;
use sealgate_schema::{
    proof::{self, Field, Reveal, Wanted},
    seal::Table,
    verify::{Asked, Name, Source},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Write a proof of one record, for somebody who gets nothing else
///
/// The bundle holds the record, the openings of its session and window, the intent of its call, the signed note, and what leads from them to the windows log. `sealgate verify FILE --key KEY` checks it. The evidence is verified first (all but L4); evidence that does not hold is not proved from.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The window
    #[arg(long)]
    window: String,
    /// The record: its `seq`
    #[arg(long)]
    seq: u64,
    /// Payload fields to show, joined by commas: query, headers, body, body_bytes, body_sha256, body_capture, parameters, proof; or all, or none. What is not named stays hidden
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', default_value = "none")]
    reveal: Vec<String>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder with evidence: all of it, one gateway's, or one window's [default: the home's]
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// The gateway's public key: a file or the key itself [default: the home's]
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A checkpoint that whoever gets the bundle has kept: it shows that the log goes on from there
    #[arg(long, value_name = "FILE")]
    pin: Option<PathBuf>,
    #[command(flatten)]
    people: People,
}

pub(super) async fn run(home: &Path, args: Args) -> Outcome {
    let reveal = reveal(&args.reveal);
    let folder = args.evidence.clone().unwrap_or_else(|| evidence(home));
    if args.evidence.is_none() {
        let sql = format!("sealgate prove --window {} --seq {} --reveal {}", args.window, args.seq, args.reveal.join(","));
        let read = PayloadRead { sql: Some(sql), window: Some(args.window.clone()) };
        query::settle(home, Some(&read).filter(|_| reveal != Reveal::Nothing)).await?;
    }
    let keys = if args.key.is_empty() { vec![verifier_key(home).display().to_string()] } else { args.key.clone() };
    let pins: Vec<PathBuf> = args.pin.iter().cloned().collect();
    let mut asked = asked(&keys, &pins)?;
    args.people.ask(&mut asked)?;
    let found = source::find(&folder, &mut asked)?;
    if asked.window.as_ref().is_some_and(|window| *window != args.window) {
        return Err(Failure::new(USAGE, format!("{} is not the folder of window {}", folder.display(), args.window)));
    }
    asked.window = Some(args.window.clone());
    let source = Kept { folder: found, payloads: reveal != Reveal::Nothing, files: RefCell::default() };
    let bytes = made(source, &asked, &folder, &Wanted { seq: args.seq, reveal, pin: asked.pins.first().cloned() })?;
    match &args.out {
        Some(path) => {
            fs::write(path, &bytes).map_err(|error| Failure::new(1, format!("{}: {error}", path.display())))?;
            tell(path, &bytes, &asked, &keys);
        }
        None => std::io::stdout().write_all(&bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn reveal(named: &[String]) -> Reveal {
    match named {
        [one] if one == "none" => Reveal::Nothing,
        [one] if one == "all" => Reveal::All,
        named => Reveal::Fields(named.to_vec()),
    }
}

/// Verifies the window, makes the bundle of what was read, and checks it.
fn made(source: Kept, asked: &Asked, folder: &Path, wanted: &Wanted) -> Result<Vec<u8>, Failure> {
    // A decoder that gives up on damaged bytes is a finding, not a crash to print.
    std::panic::set_hook(Box::new(|_| ()));
    let report = look(&source, asked);
    let _ = std::panic::take_hook();
    if report.tampered() {
        complain(&report);
        return Err(Failure::new(1, "the evidence does not hold, and nothing is proved from it; see: sealgate verify"));
    }
    let window = asked.window.as_deref().unwrap_or_default();
    let mut ledgers = report.ledgers.iter().filter(|ledger| ledger.state.is_some());
    let ledger = match (ledgers.next(), ledgers.next()) {
        (Some(ledger), None) => ledger,
        (None, _) => return Err(Failure::new(1, format!("there is no record of window {window} in {}", folder.display()))),
        _ => {
            return Err(Failure::new(USAGE, format!("several gateways have a window {window}: name one's folder with --evidence")));
        }
    };
    let gateway = ledger.ledger.as_ref().map(|ledger| ledger.gateway().as_str()).unwrap_or_default();
    let log = report.logs.iter().find(|log| log.gateway == gateway);
    let log = log.ok_or_else(|| Failure::new(1, format!("there is no windows log of {gateway}")))?;
    let bundle = proof::build(&source.files.into_inner(), ledger, log, wanted)?;
    let bytes = bundle.encode()?;
    match proof::check(&bytes, asked).finding {
        None => Ok(bytes),
        Some(finding) => Err(Failure::new(1, format!("the proof would not hold, and is not written: {finding}"))),
    }
}

fn tell(path: &Path, bytes: &[u8], asked: &Asked, keys: &[String]) {
    let Some(shown) = proof::check(bytes, asked).shown else { return };
    let revealed = field_names(&shown, |field| matches!(field, Field::Value(_)));
    let hidden = field_names(&shown, |field| *field == Field::Hidden);
    eprintln!(
        "sealgate: {} proves record {} of window {} ({} bytes)",
        path.display(),
        shown.record.seq,
        shown.ledger.window(),
        bytes.len()
    );
    if !shown.payload.is_empty() {
        eprintln!("sealgate: of its payload it shows: {revealed}; it hides: {hidden}");
    }
    eprintln!("sealgate: check it: sealgate verify {} --key {}", path.display(), keys.join(" --key "));
}

/// Evidence whose files are kept as they were read. Payloads only where they are needed: they are the most of it.
struct Kept {
    folder: Folder,
    payloads: bool,
    files: RefCell<BTreeMap<String, Bytes>>,
}

impl Source for Kept {
    fn list(&self, folder: &str) -> Result<Vec<Name>, String> {
        self.folder.list(folder)
    }

    fn read(&self, path: &str) -> Result<Bytes, String> {
        let bytes = self.folder.read(path)?;
        let payloads = path.rsplit('/').next().is_some_and(|name| name.starts_with(Table::Payloads.as_str()));
        if self.payloads || !payloads {
            self.files.borrow_mut().insert(path.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }
}
