//! A whole folder `evidence`: each gateway's log, then each window that it names or that is there.

use super::{Finding, Findings, Level, Log, Payloads, Report, Source, Verdict, ledger, log, people};
use crate::{
    LedgerId,
    allowed_signers::AllowedSigners,
    encrypted::PayloadKey,
    log::LOG_FOLDER,
    note::VerifierKey,
    windows::{Window, Windows},
};
use std::collections::BTreeSet;

/// What the caller brings, and what is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Identity keys that the caller trusts: one for each gateway.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints that the caller kept.
    pub pins: Vec<String>,
    /// Keys of encrypted payload files.
    pub payload_keys: Vec<PayloadKey>,
    /// Whose SSH keys are whose: OpenSSH's `allowed_signers`. Without it L6 is not checked.
    pub signers: Option<AllowedSigners>,
    /// Whether every session has to rest on approvals, or have been reviewed.
    pub require_approval: bool,
    /// One gateway alone.
    pub gateway: Option<String>,
    /// One window alone.
    pub window: Option<String>,
}

/// The result for a folder `evidence`.
#[derive(Debug)]
pub struct EvidenceReport {
    /// Each gateway's log.
    pub logs: Vec<Log>,
    /// Each ledger, also those of which nothing is there.
    pub ledgers: Vec<Report>,
    /// Files and folders that belong to nothing.
    pub strays: Vec<String>,
    /// Logs that are pinned, or that a key was given for, and that are not there, by origin.
    pub missing: Vec<String>,
}

/// Verifies all evidence in a source, as far as the caller asked.
pub fn verify_evidence(source: &dyn Source, asked: &Asked) -> EvidenceReport {
    let mut report = EvidenceReport { logs: Vec::new(), ledgers: Vec::new(), strays: Vec::new(), missing: Vec::new() };
    let names = source.list("").unwrap_or_default();
    for name in names {
        if asked.gateway.as_ref().is_some_and(|gateway| *gateway != name.name) {
            continue;
        }
        if !name.folder || LedgerId::new(name.name.clone(), "x").is_err() {
            report.strays.push(name.name);
            continue;
        }
        gateway(source, &name.name, asked, &mut report);
    }
    let origins: Vec<String> = report.logs.iter().map(|log| crate::log::origin(&log.gateway)).collect();
    // Whoever gives a gateway's key for all evidence expects that gateway: with its folder, its log would go unmissed.
    let keys = asked.keys.iter().filter(|_| asked.gateway.is_none()).map(VerifierKey::name);
    let expected: BTreeSet<&str> = asked.pins.iter().filter_map(|pin| pin.lines().next()).chain(keys).collect();
    report.missing =
        expected.into_iter().filter(|origin| !origins.iter().any(|known| known == origin)).map(str::to_owned).collect();
    report
}

fn gateway(source: &dyn Source, gateway: &str, asked: &Asked, report: &mut EvidenceReport) {
    let log = log::read(source, gateway, &asked.keys, &asked.pins);
    let wanted = |window: &str| asked.window.as_ref().is_none_or(|only| only == window);
    let names = source.list(gateway).unwrap_or_default();
    let first = report.ledgers.len();
    for name in &names {
        let path = format!("{gateway}/{}", name.name);
        if name.folder && name.name == LOG_FOLDER || !wanted(&name.name) {
            continue;
        }
        match LedgerId::new(gateway.to_owned(), name.name.clone()) {
            Ok(ledger) if name.folder => report.ledgers.push(one(source, &path, &ledger, &log, asked)),
            _ => report.strays.push(path),
        }
    }
    review(report.ledgers.get_mut(first..).unwrap_or_default());
    if asked.require_approval {
        report.ledgers.iter_mut().skip(first).for_each(require_approval);
    }
    for (window, state) in log.windows.iter().filter(|(window, _)| wanted(window)) {
        let there = names.iter().any(|name| name.folder && name.name == window);
        if !there && let Some(missing) = missing(gateway, window, state) {
            report.ledgers.push(missing);
        }
    }
    report.logs.push(log);
}

fn one(source: &dyn Source, path: &str, ledger: &LedgerId, log: &Log, asked: &Asked) -> Report {
    let windows: &Windows = &log.windows;
    match windows.window(ledger.window()) {
        Some(window) if window.seal.is_none_or(|seal| seal.note.is_some()) => {
            let mut report = ledger::verify(source, path, ledger, window, log.pinned, asked);
            // A ledger does not hold against a log that does not hold itself.
            if log.findings.fails(Level::L3) && report.verdict(Level::L3) == Verdict::Pass {
                report.set_verdict(Level::L3, Verdict::NotChecked);
            }
            report
        }
        Some(_) => found(path, ledger, Level::L3, "the log says that this window never had a record"),
        None => found(path, ledger, Level::L3, "no entry of the log opens this window"),
    }
}

/// Hands each review to the session that it is of, which another window may have opened.
fn review(ledgers: &mut [Report]) {
    let all: Vec<(usize, people::Review)> = ledgers
        .iter()
        .enumerate()
        .flat_map(|(place, report)| report.reviews.iter().map(move |review| (place, review.clone())))
        .collect();
    for (place, review) in all {
        let seq = review.vouched.seq;
        let of = |report: &&mut Report| report.ledger.as_ref().is_some_and(|ledger| **ledger.window() == review.statement.window);
        let report = ledgers.iter_mut().enumerate().find(|(_, report)| of(report));
        let Some((home, report)) = report else { continue };
        // In its own ledger it can only be of a session that stands before it.
        let is_it = |opened: &&mut people::Opened| {
            Some(opened.session.as_str()) == review.statement.session.as_deref() && (home != place || opened.seq < seq)
        };
        let opened = report.sessions.iter_mut().rev().find(is_it);
        let taken = opened.map_or(Err("a session that its window does not open before it"), |opened| opened.review(&review));
        if let Err(what) = taken
            && let Some(report) = ledgers.get_mut(place)
        {
            report.find_record(Level::L2, seq, format!("it is a review of {what}"));
        }
    }
}

/// What was given without a person's signature does not hold where one is required.
fn require_approval(report: &mut Report) {
    let lacking: Vec<(u64, &str)> = report.sessions.iter().flat_map(people::Opened::unapproved).collect();
    for (seq, what) in lacking {
        report.find_record(Level::L6, seq, what.to_owned());
    }
}

/// A window that the log names and that is not there; nothing where it never had a record.
fn missing(gateway: &str, window: &str, state: &Window) -> Option<Report> {
    if state.seal.is_some_and(|seal| seal.note.is_none()) {
        return None;
    }
    let ledger = LedgerId::new(gateway.to_owned(), window.to_owned()).ok()?;
    let what = match (state.seal, state.length()) {
        (Some(seal), _) => format!("the window is sealed with {} records, and nothing of it is here", seal.at.records),
        (None, 0) => "the window was opened, and nothing of it is here yet".to_owned(),
        (None, records) => {
            format!("the window is open with {records} records, and nothing of it is here: not in a part yet, or taken away")
        }
    };
    Some(found(&format!("{gateway}/{window}"), &ledger, Level::L5, &what))
}

fn found(folder: &str, ledger: &LedgerId, level: Level, what: &str) -> Report {
    let mut findings = Findings::default();
    findings.add(Finding { level, seq: None, place: "window".to_owned(), what: what.to_owned() });
    let mut report = Report {
        folder: folder.to_owned(),
        ledger: Some(ledger.clone()),
        state: None,
        records: 0,
        root: None,
        payloads: Payloads::None,
        files: Vec::new(),
        verdicts: [Verdict::NotChecked; 7],
        sessions: Vec::new(),
        reviews: Vec::new(),
        findings,
    };
    report.set_verdict(level, Verdict::Fail);
    report
}

impl EvidenceReport {
    /// Whether a level but L5 failed, or something is there that belongs to nothing.
    pub fn tampered(&self) -> bool {
        !self.strays.is_empty()
            || self.ledgers.iter().any(|report| !report.holds())
            || self.logs.iter().any(|log| !log.findings.list.is_empty())
    }

    /// Whether something that was asked for, or that a log names, is not there. Nothing found is not a pass.
    pub fn incomplete(&self) -> bool {
        self.ledgers.is_empty()
            || self.logs.iter().any(|log| log.windows.iter().next().is_none())
            || !self.missing.is_empty()
            || self.ledgers.iter().any(|report| report.verdict(Level::L5) == Verdict::Fail)
    }
}
