//! What a start makes of what a stop or a crash left: segments → parts, and where each open ledger stands.
//!
//! A torn frame at the very end is cut and said so; anything else that does not fit stops the start. Nothing is repaired
//! by guessing, and nothing is deleted that did not become a part first.

use super::{
    Draft, Ledger, LedgerError, Paths,
    disk::{Disk, write_durably},
    journal::{self, Ending, JournalError, Origin, Standing},
    part::{PartError, PartWriter},
    sequencer::{segment_name, segment_number, segment_path, unknown_outcome},
};
use sealgate_schema::{
    Text,
    record::{Fields, Kind},
    seal::State,
};
use serde_json::json;
use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

/// Why the gateway does not start on what it found.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk.
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    /// A segment is damaged, missing or foreign.
    #[error("the journal is damaged, and is left as it is for inspection: {0}")]
    Journal(String),
    /// A part could not be made.
    #[error(transparent)]
    Part(#[from] PartError),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Ledgers that are still open.
    pub standings: Vec<Standing>,
    /// Number of the next segment.
    pub segment: u64,
    /// Whether the last run ended without its last word.
    pub unclean: bool,
    /// Bytes of a torn frame that were cut.
    pub torn_bytes: usize,
}

/// Reads the journal and makes the parts that are due. Every segment stays, because the last readable one alone says where
/// the ledgers stand: [`remove_before`] takes them when the next segment is durable and has the records of [`declare`].
pub fn recover(gateway: &str, paths: &Paths, disk: &Arc<dyn Disk>, parts: &PartWriter) -> Result<Recovered, RecoverError> {
    let mut found = Recovered::default();
    let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
    // A name that another start has left volatile must not go while that of a later segment stays.
    disk.sync_folder(&paths.journal).map_err(|error| RecoverError::Disk(paths.journal.clone(), error))?;
    let mut numbers = segments(paths, &**disk)?;
    if let Some(begun) = begun_in_vain(&numbers, paths, &**disk) {
        parts.remove(begun)?;
        numbers.pop();
    }
    let last = numbers.last().copied();
    for (index, number) in numbers.iter().copied().enumerate() {
        let ending = ending(numbers.get(index + 1).map(|next| read_segment(paths, &**disk, *next, Ending::Any)));
        let segment = match read_segment(paths, &**disk, number, ending) {
            Ok(segment) => segment,
            // The crash came while the segment was being begun; the one before it was finished.
            Err(JournalError::Empty) if Some(number) == last => {
                parts.remove(number)?;
                break;
            }
            Err(error) => return Err(RecoverError::Journal(format!("{}: {error}", segment_name(number)))),
        };
        if segment.gateway != gateway || segment.number != number {
            return Err(RecoverError::Journal(format!(
                "{} belongs to {} {}",
                segment_name(number),
                segment.gateway,
                segment.number
            )));
        }
        let starts_differ = segment.shares.iter().any(|(window, share)| {
            index > 0 && share.first_seq > 0 && standings.get(window).map(|standing| standing.chain.size()) != Some(share.first_seq)
        });
        if starts_differ {
            return Err(RecoverError::Journal(format!("{} does not go on where the one before it ends", segment_name(number))));
        }
        found.segment = number + 1;
        let unfinished = !segment.finished && segment.shares.values().any(|share| !share.records.is_empty());
        found.unclean |= unfinished || segment.torn_bytes > 0;
        found.torn_bytes += segment.torn_bytes;
        standings = segment.shares.into_iter().map(|(window, share)| (window, share.standing)).collect();
        make_durable(number, paths, &**disk)?;
        parts.make(number)?;
    }
    found.standings = still_open(standings.into_values(), parts)?;
    Ok(found)
}

/// Removes the segments before `next`: the segment `next` has taken over where the ledgers stand.
pub fn remove_before(next: u64, paths: &Paths, disk: &dyn Disk, parts: &PartWriter) -> Result<(), RecoverError> {
    for number in segments(paths, disk)?.into_iter().filter(|number| *number < next) {
        parts.remove(number)?;
    }
    Ok(())
}

/// Writes into each open ledger what recovery found: `recovery`, and `outcome_unknown` for the calls without an end.
pub async fn declare(found: &Recovered, ledger: &Ledger) -> Result<(), LedgerError> {
    for standing in &found.standings {
        if !found.unclean && standing.open_calls.is_empty() {
            continue;
        }
        let window: Text = standing.chain.ledger().window().clone();
        let detail = json!({ "torn_bytes": found.torn_bytes, "calls_without_outcome": standing.open_calls.len() }).to_string();
        ledger.record(window.clone(), Draft::new(Fields { detail: Some(detail.into()), ..Fields::new(Kind::Recovery) })).await?;
        for call in &standing.open_calls {
            ledger.record(window.clone(), unknown_outcome(*call, "the gateway ended before the call had")).await?;
        }
    }
    Ok(())
}

fn segments(paths: &Paths, disk: &dyn Disk) -> Result<Vec<u64>, RecoverError> {
    let names = disk.list(&paths.journal).map_err(|error| RecoverError::Disk(paths.journal.clone(), error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let gap = numbers.windows(2).find(|pair| matches!(pair, [a, b] if a + 1 != *b));
    match gap {
        Some(gap) => Err(RecoverError::Journal(format!("segments between {gap:?} are missing"))),
        None => Ok(numbers),
    }
}

/// A cut begins the next segment before it finishes this one, and gives up when either fails. A last segment that a cut
/// began and that has no records says nothing, unless the one before it was finished: that one may have gone on.
fn begun_in_vain(numbers: &[u64], paths: &Paths, disk: &dyn Disk) -> Option<u64> {
    let [.., before, last] = numbers else { return None };
    let next = read_segment(paths, disk, *last, Ending::Any).ok()?;
    let empty = next.origin == Origin::Cut && next.torn_bytes == 0 && next.shares.values().all(|share| share.records.is_empty());
    let finished = read_segment(paths, disk, *before, Ending::Any).is_ok_and(|segment| segment.finished);
    (empty && !finished).then_some(*last)
}

/// Writes a segment anew, as it reads now. What a killed process had not synced, or what a failed sync left in memory alone,
/// could go with a crash of the machine still, and the parts that are made of it would know more than the journal.
fn make_durable(number: u64, paths: &Paths, disk: &dyn Disk) -> Result<(), RecoverError> {
    let path = segment_path(paths, number);
    let written = disk.read(&path).and_then(|bytes| write_durably(disk, &paths.staging, &path, &bytes));
    written.map_err(|error| RecoverError::Disk(path, error))
}

/// How a segment may end, given the one after it: a crash can come right after recovery began that one.
fn ending(next: Option<Result<journal::Segment, JournalError>>) -> Ending {
    match next {
        None | Some(Err(JournalError::Empty)) => Ending::Any,
        Some(Ok(next)) if next.origin == Origin::Recovery => Ending::Any,
        Some(_) => Ending::Finished,
    }
}

fn read_segment(paths: &Paths, disk: &dyn Disk, number: u64, ending: Ending) -> Result<journal::Segment, JournalError> {
    let path = segment_path(paths, number);
    let bytes = disk.read(&path).map_err(|error| JournalError::Unreadable(error.to_string()))?;
    journal::read(&bytes, ending)
}

/// Leaves out the ledgers whose last part is a seal.
fn still_open(standings: impl Iterator<Item = Standing>, parts: &PartWriter) -> Result<Vec<Standing>, RecoverError> {
    let mut open = Vec::new();
    for standing in standings {
        let manifest = parts.manifest(standing.chain.ledger())?;
        let Some(manifest) = manifest else {
            return Err(RecoverError::Journal(format!("{} has no evidence on disk", standing.chain.ledger().origin())));
        };
        if manifest.records != standing.chain.size() || manifest.head != standing.chain.head().to_string() {
            return Err(RecoverError::Journal(format!(
                "{}: the evidence on disk does not end where the journal does",
                standing.chain.ledger().origin()
            )));
        }
        if manifest.state == State::Open {
            open.push(standing);
        }
    }
    Ok(open)
}
