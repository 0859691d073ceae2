//! The journal: segments of frames, the write-ahead truth of every ledger until its part is durable.
//!
//! A frame is `magic (4) ‖ length u32 LE ‖ bytes from its batch's start u32 LE ‖ CRC-32 of nonce, the latter and body u32 LE ‖
//! body`. The nonce is random for each segment and stands in its `Start` frame (which has none), so that no client can put a
//! frame into a body. A batch is what is written at once, and synced before the next is written: `tear` needs to know. A segment begins with a `Start` frame and one
//! `Ledger` frame for each open ledger (where it stands), holds `Record` frames, and ends with an `End` frame when it was
//! finished in order. CRCs find torn writes; tampering is found by the record chain, which is followed again whenever
//! a segment is read.

use super::tear;
use crate::limits::FRAME_BYTES_MAX;
use sealgate_schema::{
    Chain, Hash, LedgerId, Payload, Record,
    canonical::{DecodeError, Decoder, Encoder},
    merkle::Tree,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const MAGIC: [u8; 4] = *b"SGj2";
pub(super) const HEAD_BYTES: usize = 16;

const START: u8 = 1;
const LEDGER: u8 = 2;
const RECORD: u8 = 3;
const END: u8 = 4;

/// Where a ledger stands: all that the next record of it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Chain and tree.
    pub chain: Chain,
    /// Records by kind.
    pub counts: BTreeMap<String, u64>,
    /// Intents without an outcome.
    pub open_calls: BTreeSet<u64>,
}

impl Standing {
    /// A ledger without records.
    pub fn new(ledger: LedgerId) -> Self {
        Self { chain: Chain::new(ledger), counts: BTreeMap::new(), open_calls: BTreeSet::new() }
    }

    /// Counts a record that the chain has taken.
    pub fn count(&mut self, record: &Record) {
        use sealgate_schema::record::Kind;
        let kind = &record.fields.kind;
        match self.counts.get_mut(kind.as_str()) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(kind.as_str().to_owned(), 1)),
        }
        match (kind, record.fields.call) {
            (Kind::Intent, _) => drop(self.open_calls.insert(record.seq)),
            (Kind::Outcome | Kind::OutcomeUnknown, Some(call)) => drop(self.open_calls.remove(&call)),
            _ => {}
        }
    }
}

/// Why a segment can't be read. Each means corruption, not a crash: nothing is repaired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A frame is bad, and no write that a crash tore explains it.
    #[error("the frame at byte {0} is damaged, and not by a torn write")]
    Damaged(usize),
    /// No frame is whole: the crash came before the segment had its beginning.
    #[error("the segment has no beginning")]
    Empty,
    /// The file can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// The segment does not end where it was finished.
    #[error("the segment was not finished, and a later segment exists")]
    Unfinished,
    /// A frame is whole, but its content is not what can stand there.
    #[error("the frame at byte {0} holds what can't stand there: {1}")]
    Content(usize, &'static str),
}

/// Appends a frame to `out`, which is a batch. The body is written by `write`; the head is filled in afterwards, so nothing
/// is copied.
fn frame(out: &mut Vec<u8>, nonce: &[u8], kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.push(kind);
    write(out);
    let (head, body) = out.split_at_mut(start + HEAD_BYTES);
    if let Some(head) = head.get_mut(start..) {
        let distance = (start as u32).to_le_bytes();
        let crc = checksum(nonce, distance, body);
        let fields = MAGIC.into_iter().chain((body.len() as u32).to_le_bytes()).chain(distance).chain(crc.to_le_bytes());
        head.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    }
}

fn checksum(nonce: &[u8], distance: [u8; 4], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(nonce);
    crc.update(&distance);
    crc.update(body);
    crc.finalize()
}

/// The random bytes of one segment.
pub type Nonce = [u8; 16];

/// How a segment came to be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The one before it was finished, or there was none.
    Cut,
    /// A start went on from the one before it, which a crash may have left unfinished.
    Recovery,
}

/// Appends the frames that begin a segment.
pub fn write_start<'a>(
    out: &mut Vec<u8>,
    gateway: &str,
    number: u64,
    nonce: &Nonce,
    origin: Origin,
    ledgers: impl ExactSizeIterator<Item = &'a Standing>,
) {
    frame(out, &[], START, |out| {
        let mut e = Encoder::new(out);
        e.array(5);
        e.text(gateway);
        e.unsigned(number);
        e.unsigned((origin == Origin::Recovery).into());
        e.unsigned(ledgers.len() as u64);
        e.bytes(nonce);
    });
    for standing in ledgers {
        frame(out, nonce, LEDGER, |out| encode_standing(standing, out));
    }
}

/// Appends a record frame: the next record of `standing`, and its payload as [`Payload::encode`] made it.
pub fn write_record(
    out: &mut Vec<u8>,
    nonce: &Nonce,
    standing: &mut Standing,
    fields: sealgate_schema::record::Fields,
    time: i64,
    payload: Option<&[u8]>,
) -> Record {
    let mut placed = None;
    frame(out, nonce, RECORD, |out| {
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let start = out.len();
        placed = Some(standing.chain.append(fields, time, out));
        let length = ((out.len() - start) as u32).to_le_bytes();
        if let Some(place) = out.get_mut(length_at..start) {
            place.copy_from_slice(&length);
        }
        out.extend_from_slice(payload.unwrap_or_default());
    });
    #[expect(clippy::expect_used, reason = "frame() calls its closure exactly once")]
    let record = placed.expect("the frame was written");
    standing.count(&record);
    record
}

/// Appends the frame that says that the segment was finished.
pub fn write_end(out: &mut Vec<u8>, nonce: &Nonce) {
    frame(out, nonce, END, |_| ());
}

/// One ledger's share of a segment.
#[derive(Debug)]
pub struct Share {
    /// Where the ledger stood before: its tree.
    pub before: Tree,
    /// Where it stands after.
    pub standing: Standing,
    /// Its records here, with their hashes.
    pub records: Vec<(Record, Hash)>,
    /// Their payloads.
    pub payloads: Vec<(u64, Payload)>,
}

impl Share {
    /// `seq` of its first record.
    pub fn first_seq(&self) -> u64 {
        self.before.size()
    }

    /// The ledger's root when it had so many records; `None` where that was before this segment, or is not yet.
    pub fn root_at(&self, records: u64) -> Option<Hash> {
        let count = usize::try_from(records.checked_sub(self.before.size())?).ok()?;
        let mut tree = self.before.clone();
        self.records.get(..count)?.iter().for_each(|(_, hash)| tree.push(&hash.0));
        Some(tree.root())
    }
}

/// A segment, read and checked.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// The gateway that wrote it.
    pub gateway: String,
    /// How it came to be begun.
    pub origin: Origin,
    /// Ledger frames of its beginning that are missing.
    ledgers_due: u64,
    /// Its ledgers by window.
    pub shares: BTreeMap<String, Share>,
    /// Whether it was finished in order.
    pub finished: bool,
    /// Bytes after the last whole frame: a write that a crash tore.
    pub torn_bytes: usize,
}

/// Whether a segment may end anywhere, or has to have been finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is the last one, or recovery went on from it: its last frame may be torn.
    Any,
    /// A later segment was begun by a cut.
    Finished,
}

/// Reads a segment.
pub fn read(bytes: &[u8], ending: Ending) -> Result<Segment, JournalError> {
    let mut frames = Frames { bytes, nonce: Vec::new(), at: 0 };
    let mut segment = read_start(&mut frames)?;
    while !segment.finished {
        let Some((at, body)) = frames.next() else { break };
        take(&mut segment, at, body)?;
    }
    if frames.at < bytes.len() && (segment.finished || !frames.tail_is_torn()) {
        return Err(JournalError::Damaged(frames.at));
    }
    // The beginning is durable before any record is taken, so a torn one has nothing after it.
    if segment.ledgers_due > 0 {
        return Err(JournalError::Empty);
    }
    if !segment.finished && ending == Ending::Finished {
        return Err(JournalError::Unfinished);
    }
    segment.torn_bytes = bytes.len() - frames.at;
    Ok(segment)
}

fn read_start(frames: &mut Frames<'_>) -> Result<Segment, JournalError> {
    let content = |why| JournalError::Content(0, why);
    let Some((_, body)) = frames.next() else {
        return Err(if frames.bytes.is_empty() || frames.beginning_is_torn() {
            JournalError::Empty
        } else {
            JournalError::Damaged(0)
        });
    };
    let Some((&START, body)) = body.split_first() else { return Err(content("no start frame")) };
    let mut d = Decoder::new(body);
    let start = d.array_of(5).and_then(|()| Ok((d.text()?.to_owned(), d.unsigned()?, d.unsigned()?, d.unsigned()?, d.bytes()?)));
    let (gateway, number, recovery, ledgers_due, nonce) = start.map_err(|_| content("a start frame that can't be read"))?;
    frames.nonce = nonce.to_vec();
    let origin = if recovery == 1 { Origin::Recovery } else { Origin::Cut };
    Ok(Segment { number, gateway, origin, ledgers_due, shares: BTreeMap::new(), finished: false, torn_bytes: 0 })
}

fn take(segment: &mut Segment, at: usize, body: &[u8]) -> Result<(), JournalError> {
    let content = |why| JournalError::Content(at, why);
    match body.split_first() {
        Some((&LEDGER, body)) => {
            let standing = decode_standing(body, &segment.gateway).map_err(|_| content("a ledger frame that can't be read"))?;
            let window = standing.chain.ledger().window().to_string();
            let before = standing.chain.tree().clone();
            let share = Share { before, standing, records: Vec::new(), payloads: Vec::new() };
            segment.shares.insert(window, share);
            segment.ledgers_due = segment.ledgers_due.checked_sub(1).ok_or(content("a ledger frame too many"))?;
            Ok(())
        }
        Some((&RECORD | &END, _)) if segment.ledgers_due > 0 => Err(content("a frame before all ledger frames")),
        Some((&RECORD, body)) => take_record(segment, body).ok_or(content("a record that does not follow the one before it")),
        Some((&END, [])) => {
            segment.finished = true;
            Ok(())
        }
        _ => Err(content("a frame of an unknown kind")),
    }
}

fn take_record(segment: &mut Segment, body: &[u8]) -> Option<()> {
    let (length, rest) = body.split_at_checked(4)?;
    let (preimage, payload) = rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
    let (ledger, previous, record) = Record::decode(preimage).ok()?;
    if ledger.gateway() != segment.gateway.as_str() {
        return None;
    }
    let window = ledger.window().to_string();
    let fresh =
        || Share { before: Tree::default(), standing: Standing::new(ledger.clone()), records: Vec::new(), payloads: Vec::new() };
    let share = segment.shares.entry(window).or_insert_with(fresh);
    if !share.standing.chain.accept(&ledger, &previous, record.seq, preimage) {
        return None;
    }
    share.standing.count(&record);
    if !payload.is_empty() {
        let payload = Payload::decode(payload).ok()?;
        if Some(payload.commitment()) != record.fields.payload_hash {
            return None;
        }
        share.payloads.push((record.seq, payload));
    }
    share.records.push((record, share.standing.chain.head()));
    Some(())
}

struct Frames<'a> {
    bytes: &'a [u8],
    /// Empty until the start frame is read.
    nonce: Vec<u8>,
    at: usize,
}

impl<'a> Frames<'a> {
    /// The next whole frame and where it starts; `None` at the first byte that starts none.
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let start = self.at;
        let (_, body) = frame_at(self.bytes, &self.nonce, start)?;
        self.at += HEAD_BYTES + body.len();
        Some((start, body))
    }

    /// Where a frame may start after the first bad one.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let rest = self.bytes.get(self.at.saturating_add(1)..).unwrap_or_default();
        let starts = rest.windows(MAGIC.len()).enumerate().filter(|(_, window)| **window == MAGIC);
        starts.map(|(offset, _)| self.at + 1 + offset)
    }

    /// Whether the first bad place is what a crash left of the last batch. A batch that starts after it was written when the
    /// one with the bad place had been synced: then it is damage.
    fn tail_is_torn(&self) -> bool {
        let mut end = self.bytes.len();
        for start in self.starts() {
            let Some((distance, _)) = frame_at(self.bytes, &self.nonce, start) else { continue };
            if start.saturating_sub(distance) > self.at {
                return false;
            }
            end = end.min(start);
        }
        tear::explains(self.bytes, self.at, end, |body| self.checksum_at(body))
    }

    /// Whether a crash left the segment before its beginning was durable. Its nonce is not known then, but records are not
    /// taken before that, so what looks like one speaks against it.
    fn beginning_is_torn(&self) -> bool {
        let is_record = |start: usize| matches!(self.bytes.get(start + HEAD_BYTES), Some(&RECORD | &END));
        !self.starts().any(is_record) && tear::explains(self.bytes, 0, self.bytes.len(), |body| self.checksum_at(body))
    }

    /// Whether the checksum of the first bad frame is that of `body`.
    fn checksum_at(&self, body: &[u8]) -> bool {
        head_at(self.bytes, self.at).is_some_and(|head| checksum(&self.nonce, head.distance, body) == head.crc)
    }
}

struct Head {
    length: usize,
    distance: [u8; 4],
    crc: u32,
}

fn head_at(bytes: &[u8], at: usize) -> Option<Head> {
    let (magic, numbers) = bytes.get(at..at.checked_add(HEAD_BYTES)?)?.split_at_checked(MAGIC.len())?;
    let ([length, distance, crc], []) = numbers.as_chunks::<4>() else { return None };
    let (length, crc) = (u32::from_le_bytes(*length) as usize, u32::from_le_bytes(*crc));
    (magic == MAGIC && length > 0 && length <= FRAME_BYTES_MAX).then_some(Head { length, distance: *distance, crc })
}

/// A whole frame: how far from its batch's start it is, and its body.
fn frame_at<'a>(bytes: &'a [u8], nonce: &[u8], at: usize) -> Option<(usize, &'a [u8])> {
    let head = head_at(bytes, at)?;
    let body = bytes.get(at + HEAD_BYTES..)?.get(..head.length)?;
    let whole = checksum(nonce, head.distance, body) == head.crc;
    whole.then_some((u32::from_le_bytes(head.distance) as usize, body))
}

fn encode_standing(standing: &Standing, out: &mut Vec<u8>) {
    let mut e = Encoder::new(out);
    e.array(6);
    e.text(standing.chain.ledger().window());
    e.unsigned(standing.chain.size());
    e.bytes(&standing.chain.head().0);
    e.array(standing.chain.tree().peaks().len());
    standing.chain.tree().peaks().iter().for_each(|peak| e.bytes(&peak.0));
    e.array(standing.counts.len());
    for (kind, count) in &standing.counts {
        e.array(2);
        e.text(kind);
        e.unsigned(*count);
    }
    e.array(standing.open_calls.len());
    standing.open_calls.iter().for_each(|call| e.unsigned(*call));
}

fn decode_standing(bytes: &[u8], gateway: &str) -> Result<Standing, DecodeError> {
    let hash = |d: &mut Decoder<'_>| Hash::try_from(d.bytes()?).map_err(|_| DecodeError::WrongLength);
    let mut d = Decoder::new(bytes);
    d.array_of(6)?;
    let ledger = LedgerId::new(gateway.to_owned(), d.text()?.to_owned()).map_err(|_| DecodeError::WrongType)?;
    let (size, head) = (d.unsigned()?, hash(&mut d)?);
    let peaks = (0..d.array()?).map(|_| hash(&mut d)).collect::<Result<_, _>>()?;
    let tree = Tree::resume(size, peaks).ok_or(DecodeError::WrongLength)?;
    let count = |d: &mut Decoder<'_>| {
        d.array_of(2)?;
        Ok((d.text()?.to_owned(), d.unsigned()?))
    };
    let counts = (0..d.array()?).map(|_| count(&mut d)).collect::<Result<_, DecodeError>>()?;
    let open_calls = (0..d.array()?).map(|_| d.unsigned()).collect::<Result<_, _>>()?;
    d.finish()?;
    Ok(Standing { chain: Chain::resume(ledger, head, tree), counts, open_calls })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealgate_schema::record::{Fields, Kind};

    fn segment(records: usize, finished: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut standing = Standing::new(LedgerId::new("gw-1", "CHG-1").unwrap());
        write_start(&mut out, "gw-1", 7, &[7; 16], Origin::Cut, [].iter());
        write_record(&mut out, &[7; 16], &mut standing, Fields::new(Kind::WindowOpen), 1, None);
        for _ in 1..records {
            let payload = Payload::new([1; 16]);
            let mut encoded = Vec::new();
            payload.encode(&mut encoded);
            let fields = Fields { payload_hash: Some(payload.commitment()), ..Fields::new(Kind::Intent) };
            write_record(&mut out, &[7; 16], &mut standing, fields, 2, Some(&encoded));
        }
        if finished {
            write_end(&mut out, &[7; 16]);
        }
        out
    }

    #[test]
    fn a_segment_reads_back_and_a_second_one_goes_on_from_it() {
        let first = read(&segment(3, true), Ending::Finished).unwrap();
        let share = &first.shares["CHG-1"];
        assert_eq!((share.first_seq(), share.records.len(), share.payloads.len(), first.torn_bytes), (0, 3, 2, 0));
        assert_eq!(share.standing.open_calls, BTreeSet::from([1, 2]));
        assert_eq!(share.root_at(3), Some(share.standing.chain.root()));
        assert_eq!(share.root_at(4), None);
        let mut out = Vec::new();
        let mut standing = share.standing.clone();
        write_start(&mut out, "gw-1", 8, &[7; 16], Origin::Cut, [&standing].into_iter());
        write_record(&mut out, &[7; 16], &mut standing, Fields { call: Some(1), ..Fields::new(Kind::Outcome) }, 3, None);
        let second = read(&out, Ending::Any).unwrap();
        assert_eq!(second.shares["CHG-1"].first_seq(), 3);
        assert_eq!(second.shares["CHG-1"].standing, standing);
        assert!(!second.finished);
    }

    #[test]
    fn a_beginning_torn_at_any_byte_is_no_segment_yet() {
        let mut standing = Standing::new(LedgerId::new("gw-1", "CHG-1").unwrap());
        write_record(&mut Vec::new(), &[7; 16], &mut standing, Fields::new(Kind::WindowOpen), 1, None);
        let mut out = Vec::new();
        write_start(
            &mut out,
            "gw-1",
            8,
            &[7; 16],
            Origin::Cut,
            [&standing, &Standing::new(LedgerId::new("gw-1", "CHG-2").unwrap())].into_iter(),
        );
        for cut in 0..out.len() {
            assert_eq!(read(&out[..cut], Ending::Any).unwrap_err(), JournalError::Empty, "cut at {cut}");
        }
        assert_eq!(read(&out, Ending::Any).unwrap().shares.len(), 2);
    }

    #[test]
    fn a_tail_torn_at_any_byte_keeps_every_whole_frame() {
        let whole = segment(3, false);
        let two = segment(2, false);
        for cut in two.len()..whole.len() {
            let read = read(&whole[..cut], Ending::Any).unwrap();
            assert_eq!(read.shares["CHG-1"].records.len(), 2, "cut at {cut}");
            assert_eq!(read.torn_bytes, cut - two.len());
        }
    }

    /// A client may know this format; it does not know the nonce.
    #[test]
    fn a_frame_inside_a_body_does_not_make_a_torn_tail_corruption() {
        let mut inner = Vec::new();
        write_end(&mut inner, &[8; 16]);
        let mut payload = Payload::new([1; 16]);
        payload.body = Some([inner, vec![0; 64]].concat().into());
        let mut encoded = Vec::new();
        payload.encode(&mut encoded);
        let mut out = segment(1, false);
        let whole = out.len();
        let mut standing = read(&out, Ending::Any).unwrap().shares.remove("CHG-1").unwrap().standing;
        let fields = Fields { payload_hash: Some(payload.commitment()), ..Fields::new(Kind::Intent) };
        write_record(&mut out, &[7; 16], &mut standing, fields, 2, Some(&encoded));
        assert_eq!(read(&out[..out.len() - 1], Ending::Any).unwrap().torn_bytes, out.len() - 1 - whole);
    }

    #[test]
    fn damage_before_the_end_is_corruption_and_not_a_torn_tail() {
        let whole = segment(4, true);
        let second_record = segment(1, false).len();
        for place in [second_record, second_record + 20] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            assert!(read(&damaged, Ending::Any).is_err(), "byte {place}");
        }
        assert_eq!(read(&segment(2, false), Ending::Finished).unwrap_err(), JournalError::Unfinished);
    }

    /// Records of one batch, the last of a segment that was not finished.
    fn last_batch(records: usize) -> (Vec<u8>, usize) {
        let mut out = segment(1, false);
        let whole = out.len();
        let (mut standing, mut batch) = (read(&out, Ending::Any).unwrap().shares.remove("CHG-1").unwrap().standing, Vec::new());
        for index in 0..records {
            let detail = format!("{{\"filler\":\"{}\"}}", "x".repeat(300 + index));
            let fields = Fields { detail: Some(detail.into()), ..Fields::new(Kind::Refusal) };
            write_record(&mut batch, &[7; 16], &mut standing, fields, 2, None);
        }
        out.extend(batch);
        (out, whole)
    }

    #[test]
    fn a_batch_of_which_a_crash_lost_any_sectors_is_a_torn_tail() {
        let (bytes, whole) = last_batch(8);
        let sectors: Vec<_> = (whole / 512..bytes.len().div_ceil(512)).collect();
        for lost in 1_u32..1 << sectors.len() {
            let mut torn = bytes.clone();
            for (index, sector) in sectors.iter().enumerate().filter(|(index, _)| lost >> index & 1 == 1) {
                torn[(sector * 512).max(whole)..((sector + 1) * 512).min(bytes.len())].fill(0);
                assert!(index < sectors.len());
            }
            let read = read(&torn, Ending::Any).unwrap_or_else(|error| panic!("lost {lost:b}: {error}"));
            assert!(read.torn_bytes > 0, "lost {lost:b}");
        }
    }

    /// A write that was synced and acknowledged looks like this when a bit rots, and must not be cut.
    #[test]
    fn a_flipped_bit_anywhere_is_damage_and_not_a_torn_write() {
        let (bytes, _) = last_batch(3);
        for place in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[place / 8] ^= 1 << (place % 8);
            let error = read(&damaged, Ending::Any).map(|segment| segment.torn_bytes);
            assert!(matches!(error, Err(JournalError::Damaged(_))), "bit {place}: {error:?}");
        }
    }
}
