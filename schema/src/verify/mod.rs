//! Verification of one ledger from bytes alone: no gateway, no network, no private key.
//!
//! What each level means is in `schema/FORMAT.md` §8. This version checks L0 (bytes and signatures), L1 (structure and
//! statistics) and L2 (record hashes, chain, tree, payload commitments, calls and their outcomes). It never reports a
//! level that it did not check as passed.

mod calls;
mod ledger;

pub use ledger::verify_ledger;

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
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 6] = [Self::L0, Self::L1, Self::L2, Self::L3, Self::L4, Self::L5];

    /// What the level covers, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::L0 => "bytes and signatures",
            Self::L1 => "structure and statistics",
            Self::L2 => "record hashes, chain, tree",
            Self::L3 => "windows log",
            Self::L4 => "witnesses and timestamps",
            Self::L5 => "completeness",
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.level, self.place, self.what)
    }
}

/// The result for one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose records; `None` where no signature told.
    pub ledger: Option<LedgerId>,
    /// What the note says; `None` where no signature told.
    pub state: Option<State>,
    /// Number of records that the note speaks of.
    pub records: u64,
    /// The tree root that the note speaks of.
    pub root: Option<Hash>,
    /// A verdict a level, in the order of [`Level::ALL`].
    pub verdicts: [Verdict; 6],
    /// What does not hold: at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub findings_left_out: usize,
}

impl Report {
    /// The verdict on one level.
    pub fn verdict(&self, level: Level) -> Verdict {
        self.verdicts.get(level as usize).copied().unwrap_or(Verdict::NotChecked)
    }

    /// Whether every level up to L2 holds.
    pub fn holds(&self) -> bool {
        [Level::L0, Level::L1, Level::L2].iter().all(|level| self.verdict(*level) == Verdict::Pass)
    }
}
