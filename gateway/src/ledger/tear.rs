//! Torn write or damage? What a crash leaves of a batch that was not synced is cut; anything else stops the start, because it
//! was synced and acknowledged.
//!
//! A crash leaves of an append: a shorter file, or zeros for the sectors that were not written (no file system shows what
//! was there before), or both. A frame that is bad without either was whole once, and has changed. This is not exact where the
//! frame's own content is zeros for a sector: then damage in the last batch passes for a tear, and the `recovery` record says so.

use super::journal::{HEAD_BYTES, MAGIC};
use crate::limits::FRAME_BYTES_MAX;

/// What disks write as a whole.
const SECTOR_BYTES: usize = 512;

/// Whether a lost write explains that no frame can be read at `at`. `end` is where a whole frame of the same batch starts
/// after it, or the file's end.
/// `checksum` says whether the frame's checksum is that of these bytes.
pub(super) fn explains(bytes: &[u8], at: usize, end: usize, checksum: impl Fn(&[u8]) -> bool) -> bool {
    let nothing_follows = end == bytes.len();
    sector_is_missing(bytes, at, end) || (nothing_follows && is_cut_short(bytes.get(at..).unwrap_or_default(), checksum))
}

fn sector_is_missing(bytes: &[u8], at: usize, end: usize) -> bool {
    let mut sectors = at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
    sectors.any(|sector| {
        let (from, to) = ((sector * SECTOR_BYTES).max(at), ((sector + 1) * SECTOR_BYTES).min(bytes.len()));
        bytes.get(from..to).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    })
}

/// Whether the file ends within the frame. Where its checksum is that of all that is there, it is its length that has changed.
fn is_cut_short(frame: &[u8], checksum: impl Fn(&[u8]) -> bool) -> bool {
    let magic = frame.iter().zip(MAGIC).all(|(is, due)| *is == due);
    let Some((head, body)) = frame.split_at_checked(HEAD_BYTES) else { return magic };
    let length = head.get(MAGIC.len()..).and_then(|numbers| numbers.first_chunk::<4>()).map(|length| u32::from_le_bytes(*length));
    let goes_on = length.is_some_and(|length| (body.len() + 1..=FRAME_BYTES_MAX).contains(&(length as usize)));
    magic && goes_on && !checksum(body)
}
