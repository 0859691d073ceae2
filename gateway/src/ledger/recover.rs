//! What a start makes of what a stop or a crash left: segments → parts, and where each open ledger stands.
//!
//! A torn frame at the very end is cut and said so; anything else that does not fit stops the start. Nothing is repaired
//! by guessing, and nothing is deleted that did not become a part first. The windows log knows how far each ledger had
//! grown: a journal that has less, or another story, was rolled back, and nothing is signed over it.

use super::{
    Draft, Ledger, LedgerError, Paths,
    disk::{Disk, write_durably},
    journal::{self, Ending, JournalError, Origin, Standing},
    part::{PartError, PartWriter},
    sequencer::{segment_name, segment_number, segment_path, unknown_outcome},
    windows_log::LogError,
};
use sealgate_schema::{
    LedgerId, Text,
    log::Event,
    merkle::empty_root,
    record::{Fields, Kind},
    seal::State,
    windows::Window,
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
    /// The windows log has seen more than is there, or something else.
    #[error(
        "window {window}: the windows log says {said}, the journal and the evidence {found}: they were rolled back or changed; put back what is missing, or keep this home for inspection and start in another one"
    )]
    RolledBack {
        /// The window.
        window: String,
        /// What the log says.
        said: String,
        /// What is there.
        found: String,
    },
    /// A part could not be made.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The windows log.
    #[error(transparent)]
    Log(#[from] LogError),
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
    let logged: BTreeMap<String, Window> = parts.keys().log().windows()?.into_iter().collect();
    // A name that another start has left volatile must not go while that of a later segment stays.
    disk.sync_folder(&paths.journal).map_err(|error| RecoverError::Disk(paths.journal.clone(), error))?;
    let mut numbers = segments(paths, &**disk)?;
    if let Some(begun) = begun_in_vain(&numbers, paths, &**disk) {
        parts.remove(begun)?;
        numbers.pop();
    }
    let last = numbers.last().copied();
    let mut lengths = BTreeMap::new();
    let mut readable = Vec::new();
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
        check_segment(&segment, gateway, number, &standings, index == 0)?;
        check_marks(&segment, &logged)?;
        found.segment = number + 1;
        let unfinished = !segment.finished && segment.shares.values().any(|share| !share.records.is_empty());
        found.unclean |= unfinished || segment.torn_bytes > 0;
        found.torn_bytes += segment.torn_bytes;
        // A window that was closed is in no later segment, and may not be in a part yet.
        lengths.extend(segment.shares.iter().map(|(window, share)| (window.clone(), share.standing.chain.size())));
        standings = segment.shares.into_iter().map(|(window, share)| (window, share.standing)).collect();
        make_durable(number, paths, &**disk)?;
        readable.push(number);
    }
    // Nothing is signed before all of it is known to be there.
    check_lengths(gateway, &logged, &lengths, parts)?;
    readable.into_iter().try_for_each(|number| parts.make(number))?;
    settle(gateway, &logged, &standings, parts)?;
    found.standings = still_open(standings.into_values(), parts)?;
    Ok(found)
}

/// The segment is this gateway's, and goes on where the one before it ends.
fn check_segment(
    segment: &journal::Segment,
    gateway: &str,
    number: u64,
    standings: &BTreeMap<String, Standing>,
    first: bool,
) -> Result<(), RecoverError> {
    let name = segment_name(number);
    if segment.gateway != gateway || segment.number != number {
        return Err(RecoverError::Journal(format!("{name} belongs to {} {}", segment.gateway, segment.number)));
    }
    let starts_differ = segment.shares.iter().any(|(window, share)| {
        let before = standings.get(window).map(|standing| standing.chain.size());
        !first && share.first_seq() > 0 && before != Some(share.first_seq())
    });
    match starts_differ {
        true => Err(RecoverError::Journal(format!("{name} does not go on where the one before it ends"))),
        false => Ok(()),
    }
}

/// The records have the roots that the windows log names for the sizes that fall into this segment.
fn check_marks(segment: &journal::Segment, logged: &BTreeMap<String, Window>) -> Result<(), RecoverError> {
    for (name, share) in &segment.shares {
        for mark in logged.get(name).map(Window::marks).unwrap_or_default() {
            if share.root_at(mark.records).is_some_and(|root| root != mark.root) {
                let records = mark.records;
                return Err(RecoverError::RolledBack {
                    window: name.clone(),
                    said: format!("its first {records} records have the root {}", mark.root),
                    found: "have others".to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Every ledger that is open in the log is there in full, in the journal or sealed on disk.
fn check_lengths(
    gateway: &str,
    logged: &BTreeMap<String, Window>,
    lengths: &BTreeMap<String, u64>,
    parts: &PartWriter,
) -> Result<(), RecoverError> {
    for (name, window) in logged.iter().filter(|(_, window)| window.seal.is_none()) {
        let sealed = sealed_records(gateway, name, parts)?;
        let there = lengths.get(name).copied().max(sealed);
        if there.unwrap_or(0) < window.length() {
            return Err(RecoverError::RolledBack {
                window: name.clone(),
                said: format!("it has {} records", window.length()),
                found: format!("have {}", there.unwrap_or(0)),
            });
        }
    }
    Ok(())
}

/// Finishes in the log what a crash interrupted: seals that it does not name yet, windows that never had a record.
fn settle(
    gateway: &str,
    logged: &BTreeMap<String, Window>,
    standings: &BTreeMap<String, Standing>,
    parts: &PartWriter,
) -> Result<(), RecoverError> {
    for (name, _) in logged.iter().filter(|(_, window)| window.seal.is_none()) {
        match (sealed_records(gateway, name, parts)?, standings.contains_key(name)) {
            (Some(_), _) => parts.declare_seal(&ledger_of(gateway, name)?)?,
            (None, true) => {}
            (None, false) if parts.manifest(&ledger_of(gateway, name)?)?.is_some() => {
                return Err(RecoverError::RolledBack {
                    window: name.clone(),
                    said: "it is open".to_owned(),
                    found: "have parts of it and no place to go on".to_owned(),
                });
            }
            (None, false) => {
                let root = empty_root().to_string();
                parts.keys().log().append(vec![Event::Seal { window: name.clone(), records: 0, root, note: None }])?;
            }
        }
    }
    Ok(())
}

/// Records of a ledger whose note says sealed.
fn sealed_records(gateway: &str, window: &str, parts: &PartWriter) -> Result<Option<u64>, RecoverError> {
    let manifest = parts.manifest(&ledger_of(gateway, window)?)?;
    Ok(manifest.filter(|manifest| manifest.state == State::Sealed).map(|manifest| manifest.records))
}

fn ledger_of(gateway: &str, window: &str) -> Result<LedgerId, RecoverError> {
    LedgerId::new(gateway.to_owned(), window.to_owned()).map_err(|error| RecoverError::Journal(error.to_string()))
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
