//! A file's structure from its bytes (`schema/FORMAT.md` §6): the footer against the pages, and the pages against their levels.
//!
//! Every number in footer and page headers is derived from something else, here from the bytes of the pages or, for
//! statistics, from the cells ([`mod@crate::parquet`]). Nothing is decompressed here, and nothing allocated that a number
//! in the file could make large. What pages hold when decompressed is not looked at: that is for the decoder.

use crate::{
    LedgerId,
    footer::{
        self, CHUNK_VALUES_MAX, Chunk, FOREIGN_ROWS_MAX, Footer, Leaf, Page, PageIs, RLE, RLE_DICTIONARY, ROW_GROUP_BYTES_MAX,
        ROW_GROUP_ROWS_MAX, RowGroup,
    },
    levels, parquet,
    seal::Table,
    thrift,
};
use ::parquet::{
    basic::Type,
    file::metadata::{ColumnChunkMetaData, RowGroupMetaData},
};
use std::collections::BTreeSet;

/// Reads the footer of a file, and checks all of it that does not depend on cells.
pub(crate) fn check<'a>(table: Table, ledger: &LedgerId, first_seq: u64, bytes: &'a [u8]) -> Result<Footer<'a>, String> {
    let empty = parquet::empty(table, ledger, first_seq).map_err(|error| error.to_string())?;
    check_against(&empty, &leaves(table)?, bytes)
}

/// As [`check`], for a part whose file without rows is `empty`.
fn check_against<'a>(empty: &[u8], leaves: &[Leaf], bytes: &'a [u8]) -> Result<Footer<'a>, String> {
    let footer = footer::read(bytes, empty, leaves)?;
    let rows = footer.groups.iter().map(|group| i128::from(group.rows)).sum::<i128>();
    if i128::from(footer.rows) != rows {
        return Err("the number of rows is not that of its row groups".to_owned());
    }
    let mut due = footer::MAGIC.len() as u64;
    for (index, group) in footer.groups.iter().enumerate() {
        due = check_group(bytes, group, leaves, index, due..footer.start)?;
    }
    if due != footer.start {
        return Err(format!("the last column ends at byte {due}, the footer starts at {}", footer.start));
    }
    Ok(footer)
}

/// Leaves of a table's schema, in order.
pub(crate) fn leaves(table: Table) -> Result<Vec<Leaf>, String> {
    let schema = ::parquet::arrow::ArrowSchemaConverter::new().convert(&parquet::schema_of(table));
    let schema = schema.map_err(|error| error.to_string())?;
    let leaf = |column: &::parquet::schema::types::ColumnDescPtr| Leaf {
        path: column.path().parts().to_vec(),
        physical: number_of(column.physical_type()),
        levels: [column.max_def_level(), column.max_rep_level()],
    };
    Ok(schema.columns().iter().map(leaf).collect())
}

/// The number of a physical type in `parquet.thrift`.
fn number_of(physical: Type) -> i32 {
    match physical {
        Type::BOOLEAN => 0,
        Type::INT32 => 1,
        Type::INT64 => 2,
        Type::INT96 => 3,
        Type::FLOAT => 4,
        Type::DOUBLE => 5,
        Type::BYTE_ARRAY => 6,
        Type::FIXED_LEN_BYTE_ARRAY => 7,
    }
}

/// Checks the row group that starts at `place.start`; returns the byte after it.
fn check_group(
    bytes: &[u8],
    group: &RowGroup<'_>,
    leaves: &[Leaf],
    index: usize,
    place: std::ops::Range<u64>,
) -> Result<u64, String> {
    let rows = u64::try_from(group.rows).unwrap_or(0);
    if rows == 0 || rows > ROW_GROUP_ROWS_MAX {
        return Err(format!("row group {index} has {} rows, not 1 to ROW_GROUP_ROWS_MAX", group.rows));
    }
    if i16::try_from(index) != Ok(group.ordinal) || i64::try_from(place.start) != Ok(group.offset) {
        return Err(format!("row group {index} has another ordinal or offset than its place"));
    }
    let (mut due, mut uncompressed) = (place.start, 0_u64);
    for (chunk, leaf) in group.chunks.iter().zip(leaves) {
        let checked = check_chunk(bytes, chunk, leaf, rows, due..place.end);
        let (end, of_chunk) = checked.map_err(|error| format!("column `{}`: {error}", leaf.name()))?;
        (due, uncompressed) = (end, uncompressed.saturating_add(of_chunk));
    }
    if uncompressed > ROW_GROUP_BYTES_MAX {
        return Err(format!("row group {index} holds more than ROW_GROUP_BYTES_MAX"));
    }
    if i64::try_from(uncompressed) != Ok(group.uncompressed) || i64::try_from(due - place.start) != Ok(group.compressed) {
        return Err(format!("the sizes of row group {index} are not the sums of its columns"));
    }
    Ok(due)
}

/// Checks the chunk that starts at `place.start`; returns the byte after it, and its uncompressed size.
fn check_chunk(bytes: &[u8], chunk: &Chunk<'_>, leaf: &Leaf, rows: u64, place: std::ops::Range<u64>) -> Result<(u64, u64), String> {
    let start = chunk.dictionary_offset.unwrap_or(chunk.data_offset);
    if i64::try_from(place.start) != Ok(start) {
        return Err(format!("it starts at byte {start}, byte {} is next", place.start));
    }
    let end =
        u64::try_from(chunk.compressed).ok().and_then(|length| place.start.checked_add(length)).filter(|end| *end <= place.end);
    let end = end.ok_or("it does not end before the footer")?;
    let of_chunk = usize::try_from(place.start).ok().zip(usize::try_from(end).ok()).and_then(|(start, end)| bytes.get(start..end));
    let tally = walk(of_chunk.ok_or("it does not end before the footer")?, chunk, leaf, place.start)?;
    if (tally.values, tally.rows) != (u64::try_from(chunk.values).unwrap_or(0), rows) {
        return Err("its pages do not hold as many values or rows as the footer says".to_owned());
    }
    if i64::try_from(tally.uncompressed) != Ok(chunk.uncompressed) {
        return Err("its uncompressed size is not that of its pages".to_owned());
    }
    if !tally.encodings.iter().eq(&chunk.encodings) || tally.stats != chunk.encoding_stats {
        return Err("its encodings are not those of its pages".to_owned());
    }
    Ok((end, tally.uncompressed))
}

/// What the pages of a chunk add up to.
struct Tally {
    values: u64,
    rows: u64,
    uncompressed: u64,
    encodings: BTreeSet<i32>,
    stats: Vec<[i32; 3]>,
}

/// Walks the pages of a chunk that starts at byte `start`; they must fill `bytes`.
fn walk(mut bytes: &[u8], chunk: &Chunk<'_>, leaf: &Leaf, start: u64) -> Result<Tally, String> {
    let mut tally = Tally { values: 0, rows: 0, uncompressed: 0, encodings: BTreeSet::from([RLE]), stats: Vec::new() };
    let mut at = start;
    while !bytes.is_empty() {
        let page = footer::page(bytes).map_err(|error| format!("the page at byte {at}: {error}"))?;
        check_page(&page, chunk, leaf, i64::try_from(at).unwrap_or(0), &mut tally)
            .map_err(|error| format!("the page at byte {at}: {error}"))?;
        let length = page.header_bytes + page.contents.len();
        (bytes, at) = (bytes.get(length..).unwrap_or_default(), at + length as u64);
    }
    Ok(tally)
}

fn check_page(page: &Page<'_>, chunk: &Chunk<'_>, leaf: &Leaf, at: i64, tally: &mut Tally) -> Result<(), String> {
    match page.is {
        PageIs::Dictionary { values } => {
            if chunk.dictionary_offset != Some(at) || values > CHUNK_VALUES_MAX {
                return Err("a dictionary does not belong there, or has more than CHUNK_VALUES_MAX values".to_owned());
            }
        }
        PageIs::Data { values, rows, encoding, .. } => {
            if chunk.dictionary_offset == Some(at) || (tally.values == 0) != (chunk.data_offset == at) {
                return Err("the footer says that the first data page is elsewhere, or that this is a dictionary".to_owned());
            }
            if encoding == RLE_DICTIONARY && chunk.dictionary_offset.is_none() {
                return Err("it needs a dictionary and there is none".to_owned());
            }
            (tally.values, tally.rows) = (tally.values + values, tally.rows + rows);
            if rows == 0 || tally.values > CHUNK_VALUES_MAX {
                return Err("it has no rows, or with it the column has more than CHUNK_VALUES_MAX values".to_owned());
            }
            check_levels(page, leaf)?;
        }
    }
    let [kind, encoding] = page.stats();
    tally.encodings.insert(encoding);
    match tally.stats.last_mut() {
        Some([last, of, count]) if [*last, *of] == [kind, encoding] => *count = count.saturating_add(1),
        _ => tally.stats.push([kind, encoding, 1]),
    }
    tally.uncompressed = tally.uncompressed.saturating_add(page.header_bytes as u64).saturating_add(page.uncompressed);
    Ok(())
}

/// A data page's numbers against its levels, and its lengths against each other.
fn check_levels(page: &Page<'_>, leaf: &Leaf) -> Result<(), String> {
    let PageIs::Data { values, nulls, rows, definition_bytes, repetition_bytes, compressed, .. } = page.is else { return Ok(()) };
    let split = page.contents.split_at_checked(repetition_bytes);
    let split = split.and_then(|(repetition, rest)| Some((repetition, rest.split_at_checked(definition_bytes)?.0)));
    let (repetition, definition) = split.ok_or("its levels are longer than the page")?;
    let levels_bytes = (repetition.len() + definition.len()) as u64;
    // Where nothing is left to decompress a decoder would not look at what stands there.
    let lengths_fit = if compressed { page.uncompressed > levels_bytes } else { page.uncompressed == page.contents.len() as u64 };
    if !lengths_fit {
        return Err("its lengths contradict each other".to_owned());
    }
    let [definition_max, repetition_max] = leaf.levels;
    let counted = levels::histogram(repetition, repetition_max, values).zip(levels::histogram(definition, definition_max, values));
    let (repetition, definition) = counted.ok_or("its levels are not those of as many values as it says")?;
    let present = usize::try_from(definition_max).ok().and_then(|max| definition.get(max)).copied().unwrap_or(0);
    if repetition[0] != rows || values - present != nulls {
        return Err("it does not hold as many rows or nulls as it says".to_owned());
    }
    Ok(())
}

/// Whether the footer of a file of any program may be decoded: it has a bounded size, and a bounded number of values.
pub(crate) fn footer_is_bounded(bytes: &[u8]) -> Result<(), String> {
    let (_, footer) = footer::split(bytes)?;
    thrift::scan(footer).map(drop)
}

/// The most bytes that the cells of a row group of any program's file can have. An error where it may not be decoded at all.
pub(crate) fn cells_bytes_max(group: &RowGroupMetaData, bytes: &[u8]) -> Result<u64, String> {
    if u64::try_from(group.num_rows()).map_or(true, |rows| rows > FOREIGN_ROWS_MAX) {
        return Err("it has more rows than FOREIGN_ROWS_MAX".to_owned());
    }
    let (mut left, mut cells) = (ROW_GROUP_BYTES_MAX, 0_u64);
    for column in group.columns() {
        let held = pages_of(column, bytes).and_then(pages_are_bounded).map_err(|_| "a page header can't be read")?;
        left = left.checked_sub(held.bytes).ok_or("it is larger than ROW_GROUP_BYTES_MAX and CHUNK_VALUES_MAX allow")?;
        // No value is longer than all of its pages; numbers and offsets are not longer than the 16 bytes.
        cells = cells.saturating_add(held.values.saturating_mul(held.bytes + 16));
    }
    Ok(cells)
}

/// What the headers of a column's pages add up to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Bytes when decompressed; more than any limit where one page has too many values.
    pub(crate) bytes: u64,
    /// Values; those of a dictionary too.
    pub(crate) values: u64,
}

/// The bytes of a column's pages; the number of rows that can be read where they are not in the file: 0.
pub(crate) fn pages_of<'a>(column: &ColumnChunkMetaData, bytes: &'a [u8]) -> Result<&'a [u8], u64> {
    let start = usize::try_from(column.dictionary_page_offset().unwrap_or(column.data_page_offset())).map_err(|_| 0_u64)?;
    let length = usize::try_from(column.compressed_size()).map_err(|_| 0_u64)?;
    start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or(0)
}

/// Adds up the page headers of a column. The number of rows before it where one can't be read.
pub(crate) fn pages_are_bounded(mut bytes: &[u8]) -> Result<Held, u64> {
    let (mut held, mut rows_before) = (Held { bytes: 0, values: 0 }, 0_u64);
    while !bytes.is_empty() {
        if let Ok(Page { is: PageIs::Data { rows, .. }, .. }) = footer::page(bytes) {
            rows_before = rows_before.saturating_add(rows);
        }
        let page = thrift::scan(bytes).map_err(|_| rows_before)?;
        let [uncompressed, compressed] =
            page.sizes.map(|size| i32::try_from(size).ok().and_then(|size| usize::try_from(size).ok()));
        let end = compressed.and_then(|compressed| page.length.checked_add(compressed));
        bytes = end.and_then(|end| bytes.get(end..)).ok_or(rows_before)?;
        let values = u64::try_from(page.values).map_err(|_| rows_before)?;
        held.bytes =
            if values > CHUNK_VALUES_MAX { u64::MAX } else { held.bytes.saturating_add(uncompressed.ok_or(rows_before)? as u64) };
        held.values = held.values.saturating_add(values);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hash, Record, parquet::read, samples};
    use bytes::Bytes;

    /// A records file and a payloads file, each with every kind of value, nulls, and columns without any.
    fn files() -> Vec<(Table, Bytes)> {
        let (records, payloads) = (samples::records().into_iter().map(|record| (record, Hash::ZERO)), samples::payloads());
        let records: Vec<_> = records.collect();
        let mut files = Vec::new();
        for rows in [records.len(), 1] {
            files.push((Table::Records, parquet::write_records(&samples::ledger(), 0, &records[..rows]).unwrap().into()));
            files.push((Table::Payloads, parquet::write_payloads(&samples::ledger(), 0, &payloads[..rows.min(2)]).unwrap().into()));
        }
        files
    }

    /// Bytes of the page headers, then of the footer.
    fn places(table: Table, file: &[u8]) -> Vec<usize> {
        let footer = check(table, &samples::ledger(), 0, file).unwrap();
        let (mut at, end) = (footer::MAGIC.len(), footer.start as usize);
        let mut places: Vec<usize> = (0..at).collect();
        while at < end {
            let page = footer::page(&file[at..]).unwrap();
            places.extend(at..at + page.header_bytes);
            at += page.header_bytes + page.contents.len();
        }
        places.extend(end..file.len());
        places
    }

    /// One bit of each byte of two files; with `SEALGATE_FLIPS=all` every bit, and two files with empty columns.
    #[test]
    fn no_flipped_bit_of_a_footer_or_page_header_is_taken() {
        let all = std::env::var_os("SEALGATE_FLIPS").is_some_and(|flips| flips == "all");
        let mut flips = 0;
        for (table, file) in files().into_iter().take(if all { 4 } else { 2 }) {
            let (empty, leaves) = (parquet::empty(table, &samples::ledger(), 0).unwrap(), leaves(table).unwrap());
            for place in places(table, &file) {
                let bits = if all { 0..8 } else { place % 8..place % 8 + 1 };
                for bit in bits {
                    let mut flipped = file.to_vec();
                    flipped[place] ^= 1 << bit;
                    flips += 1;
                    let refused = check_against(&empty, &leaves, &flipped).is_err()
                        || !read(table, &samples::ledger(), 0, &flipped.into()).faults.is_empty();
                    assert!(refused, "{table:?}: bit {bit} of byte {place} of {}", file.len());
                }
            }
        }
        println!("{flips} flips refused");
    }

    #[test]
    fn a_second_row_group_is_checked_as_the_first() {
        let mut rows: Vec<_> = samples::records().into_iter().map(|record| (record, Hash::ZERO)).collect();
        let full = rows[1].clone();
        rows.resize(ROW_GROUP_ROWS_MAX as usize + 10, full);
        let file: Bytes = parquet::write_records(&samples::ledger(), 0, &rows).unwrap().into();
        let footer = check(Table::Records, &samples::ledger(), 0, &file).unwrap();
        assert_eq!(footer.groups.iter().map(|group| group.rows).collect::<Vec<_>>(), [ROW_GROUP_ROWS_MAX as i64, 10]);
        assert_eq!(read(Table::Records, &samples::ledger(), 0, &file).faults, Vec::<String>::new());
        let mut flipped = file.to_vec();
        // The sign of the second group's offset.
        flipped[footer.groups[1].offset as usize + 1] ^= 1;
        assert!(check(Table::Records, &samples::ledger(), 0, &flipped).is_err());
    }

    /// Values short and long, rare and often, in every kind of column: dictionaries that fill up, pages of one row, long lists.
    fn of_every_length(rows: u64, mut seed: u64) -> [(Table, Vec<u8>); 2] {
        let mut next = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut records, mut payloads) = (Vec::new(), samples::payloads());
        payloads.clear();
        for seq in 0..rows {
            let mut fields = crate::record::Fields::new(crate::record::Kind::Intent);
            let mut text = |odds: u64, longest: u64| {
                let length = next(longest) * next(2) + next(40);
                (next(odds) == 0).then(|| format!("{}é{}", next(1 << 30), "x".repeat(length as usize)).into())
            };
            (fields.path, fields.detail, fields.error_code) = (text(2, 4_000), text(50, 200_000), text(10, 3));
            (fields.upstream_request_id, fields.principal) = (text(3, 100), text(1, 2));
            fields.resources = (0..next(5) * next(300)).map(|_| format!("arn:{}", next(1 << 20)).into()).collect();
            fields.status = (next(2) == 0).then(|| next(600) as u16);
            fields.duration_us = (next(2) == 0).then(|| next(1 << 40) << 23);
            records.push((Record { seq, time: next(1 << 31) as i64 - (1 << 30), fields }, Hash::of(&[&seq.to_be_bytes()])));
            let mut payload = samples::payloads().swap_remove(next(2) as usize).1;
            payload.body = (next(3) > 0).then(|| vec![next(256) as u8; next(100_000) as usize].into());
            payload.headers = (next(4) > 0).then(|| (0..next(30)).map(|n| (format!("h-{n}").into(), "v".into())).collect());
            payload.parameters = (next(2) == 0).then(|| format!("{{\"a\":\"{}\"}}", "y".repeat(next(5_000) as usize)).into());
            if next(3) == 0 {
                payloads.push((seq, payload));
            }
        }
        [
            (Table::Records, parquet::write_records(&samples::ledger(), 0, &records).unwrap()),
            (Table::Payloads, parquet::write_payloads(&samples::ledger(), 0, &payloads).unwrap()),
        ]
    }

    #[test]
    fn files_of_values_of_every_length_are_taken() {
        for (rows, seed) in [(1, 1), (2, 2), (127, 3), (129, 4), (700, 5)] {
            for (table, file) in of_every_length(rows, seed) {
                assert_eq!(read(table, &samples::ledger(), 0, &file.into()).faults, Vec::<String>::new(), "{rows} rows");
            }
        }
    }

    #[test]
    fn pages_that_claim_too_much_are_found_before_they_are_decoded() {
        // type, sizes, then a header of version 2 with its number of values.
        let page = |uncompressed: &[u8], values: &[u8]| {
            [&[0x15, 6, 0x15], uncompressed, &[0x15, 2, 0x5c, 0x15], values, &[0, 0], b"x"].concat()
        };
        let (two_gib, billion) = ([0xfe, 0xff, 0xff, 0xff, 0x0f], [0x80, 0xa8, 0xd6, 0xb9, 0x07]);
        let held = |bytes, values| Ok(Held { bytes, values });
        assert_eq!(pages_are_bounded(&page(&[8], &[2])), held(4, 1));
        assert_eq!(pages_are_bounded(&[page(&[8], &[2]), page(&two_gib, &[2])].concat()), held(4 + i32::MAX as u64, 2));
        assert_eq!(pages_are_bounded(&page(&[8], &billion)), held(u64::MAX, 1_000_000_000));
        assert_eq!(pages_are_bounded(&page(&[7], &[2])), Err(0), "a negative size");
        assert_eq!(pages_are_bounded(b"not a page"), Err(0));
    }
}
