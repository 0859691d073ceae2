//! Verification of evidence from bytes alone: no gateway, no network, no private key.
//!
//! What each level means is in `schema/FORMAT.md` §8. [`verify_evidence`] checks L0 (bytes and signatures), L1 (structure and
//! statistics), L2 (record hashes, chain, tree, payload commitments, calls and their outcomes), L3 (the windows log) and L5
//! (completeness against the log); and L6 (whose keys signed approvals and reviews), where the caller says whose keys are whose.
//! L4 (witnesses, timestamps) needs a policy or a CA, and is checked by whoever has one; it is never reported as passed here.

mod calls;
mod evidence;
mod ledger;
mod log;
mod people;
mod source;
mod statements;
#[cfg(test)]
mod tests;

pub use evidence::{Asked, EvidenceReport, verify_evidence};
pub use ledger::standing;
pub use log::{ENTRIES_MAX, Log};
pub use people::{GRACE_MICROS, Ground, Opened};
pub use source::{Name, Source};
pub use statements::{Vouched, statement_of};

use crate::{Hash, LedgerId, seal::State};
use std::fmt;

/// The most findings a report lists; more are counted.
pub const FINDINGS_MAX: usize = 64;

/// What a check is about, in the order in which trust builds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Bytes and signatures: the note, the set of files, their SHA-256.
    L0,
    /// Structure and statistics of the Parquet files.
    L1,
    /// Record hashes, chain, tree, payload commitments.
    L2,
    /// Inclusion in and consistency with the windows log.
    L3,
    /// Witnesses and timestamps.
    L4,
    /// Completeness of what was asked for.
    L5,
    /// Whose keys signed the approvals and reviews; with `require_approval`, that there are some.
    L6,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 7] = [Self::L0, Self::L1, Self::L2, Self::L3, Self::L4, Self::L5, Self::L6];

    /// What the level covers, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::L0 => "bytes and signatures",
            Self::L1 => "structure and statistics",
            Self::L2 => "record hashes, chain, tree",
            Self::L3 => "windows log",
            Self::L4 => "witnesses and timestamps",
            Self::L5 => "completeness",
            Self::L6 => "approvals by people",
        }
    }
}

/// What became of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was checked, and held.
    Pass,
    /// Something did not hold.
    Fail,
    /// Not looked at, or not to its end.
    NotChecked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotChecked => "NOT CHECKED",
        })
    }
}

/// Something that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The level that fails by it.
    pub level: Level,
    /// The record, where it is known.
    pub seq: Option<u64>,
    /// File or record, for people.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What does not hold: at most [`FINDINGS_MAX`], the others counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Those listed.
    pub list: Vec<Finding>,
    /// Those beyond.
    pub left_out: usize,
}

impl Findings {
    /// Adds one. Of each level that fails, one is always listed: verdicts are drawn from the list.
    pub fn add(&mut self, finding: Finding) {
        if self.list.len() >= FINDINGS_MAX && self.fails(finding.level) {
            self.left_out += 1;
            return;
        }
        self.list.push(finding);
    }

    /// Whether something does not hold on this level.
    pub fn fails(&self, level: Level) -> bool {
        self.list.iter().any(|finding| finding.level == level)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.level, self.place, self.what)
    }
}

/// What became of a ledger's payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// There are none.
    None,
    /// All were there and were checked.
    Full,
    /// All files were there and were checked; fields in them were erased.
    Erased,
    /// Files of them are encrypted and no key was given: their bytes were checked, their rows not.
    Encrypted,
    /// They were taken away, as the log says.
    Removed,
}

impl Payloads {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Full => "full",
            Self::Erased => "erased",
            Self::Encrypted => "encrypted",
            Self::Removed => "removed",
        }
    }
}

/// The result for one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its folder, relative to the evidence.
    pub folder: String,
    /// Whose records; `None` where no signature told.
    pub ledger: Option<LedgerId>,
    /// What the note says; `None` where no signature told.
    pub state: Option<State>,
    /// Number of records that the note speaks of.
    pub records: u64,
    /// The tree root that the note speaks of.
    pub root: Option<Hash>,
    /// What became of its payloads.
    pub payloads: Payloads,
    /// The signed files as redactions left them.
    pub files: Vec<Standing>,
    /// A verdict a level, in the order of [`Level::ALL`].
    pub verdicts: [Verdict; 7],
    /// The sessions that it opens, and what each rests on.
    pub sessions: Vec<Opened>,
    /// Reviews, of sessions of this window or of another.
    reviews: Vec<people::Review>,
    /// What does not hold.
    pub findings: Findings,
}

/// A file that belongs to a ledger as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As the manifest has it.
    pub file: crate::seal::PartFile,
    /// Name of the file that stands there now.
    pub name: String,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How often it was replaced.
    pub revision: u32,
}

impl Report {
    /// The verdict on one level.
    pub fn verdict(&self, level: Level) -> Verdict {
        self.verdicts.get(level as usize).copied().unwrap_or(Verdict::NotChecked)
    }

    /// Sets the verdict on one level, which somebody else checked.
    pub fn set_verdict(&mut self, level: Level, verdict: Verdict) {
        if let Some(place) = self.verdicts.get_mut(level as usize) {
            *place = verdict;
        }
    }

    /// Adds what does not hold of a record, whose level then fails.
    fn find_record(&mut self, level: Level, seq: u64, what: String) {
        self.findings.add(Finding { level, seq: Some(seq), place: format!("record {seq}"), what });
        self.set_verdict(level, Verdict::Fail);
        if level == Level::L2 && self.verdict(Level::L6) == Verdict::Pass {
            self.set_verdict(Level::L6, Verdict::NotChecked);
        }
    }

    /// Whether nothing that was looked at failed, but for completeness.
    pub fn holds(&self) -> bool {
        Level::ALL.into_iter().all(|level| level == Level::L5 || self.verdict(level) != Verdict::Fail)
    }
}
