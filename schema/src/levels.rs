//! The levels of a data page: which of its entries start a row, and which have no value (Parquet's RLE/bit-packing hybrid).
//!
//! Levels say how many rows, entries and nulls a page really has; its header and the footer only claim it. Counted run by
//! run, so a page of few bytes that claims a billion entries costs nothing.

/// Highest level of any column of this format.
pub(crate) const LEVEL_MAX: usize = 2;

/// How many entries have each level.
pub(crate) type Histogram = [u64; LEVEL_MAX + 1];

/// Counts the levels of `entries` entries, of which `max` is the highest possible. They must fill `bytes`.
pub(crate) fn histogram(bytes: &[u8], max: i16, entries: u64) -> Option<Histogram> {
    let mut histogram = [0; LEVEL_MAX + 1];
    if max == 0 {
        histogram[0] = entries;
        return bytes.is_empty().then_some(histogram);
    }
    let width = usize::from(max > 1) + 1;
    let (mut bytes, mut left) = (bytes, entries);
    while left > 0 {
        let head = varint(&mut bytes)?;
        let run = head >> 1;
        if head & 1 == 0 {
            let (level, rest) = bytes.split_first()?;
            *histogram.get_mut(usize::from(*level))? += run;
            (bytes, left) = (rest, left.checked_sub(run).filter(|_| run > 0)?);
            continue;
        }
        // Groups of eight; only the last group of the page may be longer than what is left.
        let length = usize::try_from(run).ok()?.checked_mul(width)?;
        let (packed, rest) = bytes.split_at_checked(length).filter(|_| run > 0 && run.saturating_sub(1) * 8 < left)?;
        let count = left.min(run * 8);
        pack(packed, width, count, &mut histogram)?;
        (bytes, left) = (rest, left - count);
    }
    let known = histogram.iter().skip(usize::try_from(max).ok()? + 1).all(|count| *count == 0);
    (bytes.is_empty() && known).then_some(histogram)
}

/// Adds the first `count` levels of `width` bits each.
fn pack(packed: &[u8], width: usize, count: u64, histogram: &mut Histogram) -> Option<()> {
    let (per_byte, mask) = (8 / width, (1_u8 << width) - 1);
    let levels = packed.iter().flat_map(|byte| (0..per_byte).map(move |place| byte >> (place * width) & mask));
    for level in levels.take(usize::try_from(count).ok()?) {
        *histogram.get_mut(usize::from(level))? += 1;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_and_packed_levels_are_counted() {
        assert_eq!(histogram(&[], 0, 5), Some([5, 0, 0]));
        assert_eq!(histogram(&[6, 1], 1, 3), Some([0, 3, 0]));
        assert_eq!(histogram(&[3, 0b0000_0101], 1, 3), Some([1, 2, 0]));
        assert_eq!(histogram(&[4, 0, 3, 0b0010_0110, 0], 2, 6), Some([3, 1, 2]));
    }

    #[test]
    fn levels_that_do_not_fill_their_bytes_or_entries_are_refused() {
        let wrong: [(&[u8], i16, u64); 8] = [
            (&[1], 0, 1),
            (&[6, 1], 1, 2),
            (&[6, 1], 1, 4),
            (&[6, 1, 0], 1, 3),
            (&[6, 2], 1, 3),
            (&[5, 1, 0], 1, 3),
            (&[0, 1, 6, 1], 1, 3),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], 2, u64::MAX),
        ];
        for (bytes, max, entries) in wrong {
            assert_eq!(histogram(bytes, max, entries), None, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, max in 0_i16..3, entries: u64) {
            let _ = histogram(&bytes, max, entries);
        }
    }
}
