//! Journal segments. No input can guess a CRC-32, so each is also read with the checksums of its frames put right: what
//! stands in the frames is reached.

use sealgate::ledger::journal::{self, Ending, Segment};
use sealgate_schema::canonical::Decoder;
use std::ops::Range;

/// Magic, length, distance from the batch's start, checksum: the last three in four bytes each.
const HEAD_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// What a segment gives is whole, in order, and the same when the torn tail is cut off.
pub(crate) fn segment(data: &[u8]) -> bool {
    let mended = mend(data);
    check(data) | check(&mended)
}

fn check(bytes: &[u8]) -> bool {
    let finished = journal::read(bytes, Ending::Finished);
    let Ok(segment) = journal::read(bytes, Ending::Any) else {
        assert!(finished.is_err(), "what may end anywhere is taken wherever what was finished is");
        return false;
    };
    assert_eq!(finished.is_ok(), segment.finished);
    check_shares(&segment);
    let whole = bytes.len().checked_sub(segment.torn_bytes).expect("no more bytes are torn than there are");
    let again = journal::read(&bytes[..whole], Ending::Any).expect("the frames before a torn one are whole");
    assert_eq!((again.torn_bytes, again.finished), (0, segment.finished));
    for (window, share) in &segment.shares {
        assert_eq!(again.shares[window].standing, share.standing);
        assert_eq!(again.shares[window].records, share.records);
    }
    true
}

fn check_shares(segment: &Segment) {
    for (window, share) in &segment.shares {
        assert_eq!(share.standing.chain.ledger().window().as_str(), window);
        assert_eq!(share.standing.chain.ledger().gateway().as_str(), segment.gateway);
        for (place, (record, _)) in (share.first_seq()..).zip(&share.records) {
            assert_eq!(record.seq, place);
        }
        assert_eq!(share.standing.chain.size(), share.first_seq() + share.records.len() as u64);
        if let Some((_, hash)) = share.records.last() {
            assert_eq!(share.standing.chain.head(), *hash);
        }
        for (seq, payload) in &share.payloads {
            let record = share.records.iter().find(|(record, _)| record.seq == *seq).expect("a payload has its record");
            assert_eq!(record.0.fields.payload_hash, Some(payload.commitment()));
        }
    }
}

/// The same frames with checksums that fit, as far as there are frames.
fn mend(data: &[u8]) -> Vec<u8> {
    let mut mended = data.to_vec();
    let (mut at, mut nonce) = (0, Vec::new());
    while let Some(body) = body_at(&mended, at) {
        let mut crc = crc32fast::Hasher::new();
        let crc_at = at + HEAD_BYTES - CRC_BYTES;
        crc.update(&nonce);
        crc.update(&mended[crc_at - 4..crc_at]);
        crc.update(&mended[body.clone()]);
        mended[crc_at..at + HEAD_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
        if at == 0 {
            nonce = nonce_of(&mended[body.clone()]).unwrap_or_default();
        }
        at = body.end;
    }
    mended
}

fn body_at(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let length = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?) as usize;
    let body = at + HEAD_BYTES..at.checked_add(HEAD_BYTES)?.checked_add(length)?;
    (body.end <= bytes.len() && length > 0).then_some(body)
}

/// The last value of a start frame.
fn nonce_of(body: &[u8]) -> Option<Vec<u8>> {
    let mut d = Decoder::new(body.get(1..)?);
    d.array_of(5).ok()?;
    for _ in 0..4 {
        d.any().ok()?;
    }
    d.bytes().ok().map(<[u8]>::to_vec)
}
