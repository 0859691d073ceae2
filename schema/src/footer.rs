//! Footers and page headers as their bytes say them (`schema/FORMAT.md` §6): shapes, the one spelling, and the limits.
//!
//! What has only one right value is compared here, byte by byte; what depends on the pages or on the cells is returned,
//! for `structure.rs` and [`mod@crate::parquet`] to derive and compare.

use crate::thrift::{Fields, Kind, Reader};

/// The longest footer. One of a part as the gateway cuts them has some 10 KiB for each row group.
pub const FOOTER_BYTES_MAX: usize = 64 << 20;
/// The most rows of a row group: what a reader holds decoded at once.
pub const ROW_GROUP_ROWS_MAX: u64 = 8192;
/// The most entries of a column chunk: a list of two thousand resources in each row fits.
pub const CHUNK_VALUES_MAX: u64 = 1 << 24;
/// The most bytes of a row group's pages when decompressed, and of its cells when decoded. A dictionary or a shared prefix
/// lets few bytes of a page stand for many of cells, so both are asked.
pub const ROW_GROUP_BYTES_MAX: u64 = 256 << 20;
/// The most rows of a row group that another program wrote: it is no evidence, but is decoded to name what was changed.
pub const FOREIGN_ROWS_MAX: u64 = 1 << 20;

/// What a file starts and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";
const TAIL: usize = 8;
const ZSTD: i32 = 6;
const DATA_PAGE_V2: i32 = 3;
const DICTIONARY_PAGE: i32 = 2;
const ENCODINGS_MAX: usize = 8;
/// Plain, dictionary, then plain again: a chunk changes its encoding once or twice.
const ENCODING_STATS_MAX: usize = 1 << 16;
/// `PLAIN` of Parquet's encodings.
pub(crate) const PLAIN: i32 = 0;
/// `RLE`, that of levels.
pub(crate) const RLE: i32 = 3;
/// `RLE_DICTIONARY`.
pub(crate) const RLE_DICTIONARY: i32 = 8;
/// Encodings of data pages: `PLAIN`, the three delta encodings, `RLE_DICTIONARY`.
const DATA_ENCODINGS: [i32; 5] = [PLAIN, 5, 6, 7, RLE_DICTIONARY];

/// A leaf of a table's schema.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    /// Number of its physical type.
    pub(crate) physical: i32,
    /// Highest definition and repetition level.
    pub(crate) levels: [i16; 2],
}

impl Leaf {
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }
}

/// A footer with only what is not the same in every file of its part.
#[derive(Debug)]
pub(crate) struct Footer<'a> {
    /// Where it starts in the file.
    pub(crate) start: u64,
    pub(crate) rows: i64,
    pub(crate) groups: Vec<RowGroup<'a>>,
}

#[derive(Debug)]
pub(crate) struct RowGroup<'a> {
    pub(crate) chunks: Vec<Chunk<'a>>,
    pub(crate) uncompressed: i64,
    pub(crate) rows: i64,
    pub(crate) offset: i64,
    pub(crate) compressed: i64,
    pub(crate) ordinal: i16,
}

#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) encodings: Vec<i32>,
    pub(crate) values: i64,
    pub(crate) uncompressed: i64,
    pub(crate) compressed: i64,
    pub(crate) data_offset: i64,
    pub(crate) dictionary_offset: Option<i64>,
    pub(crate) statistics: Option<Statistics<'a>>,
    /// Runs of pages: type, encoding, how many.
    pub(crate) encoding_stats: Vec<[i32; 3]>,
    pub(crate) sizes: Option<Sizes>,
}

/// All members, also those that must not be there: what is derived says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statistics<'a> {
    old: [Option<&'a [u8]>; 2],
    pub(crate) nulls: i64,
    bounds: [Option<&'a [u8]>; 2],
    exact: [bool; 2],
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    bytes: Option<i64>,
    pub(crate) repetition: Option<Vec<i64>>,
    pub(crate) definition: Option<Vec<i64>>,
}

/// Splits the footer off a file: where it starts, and its bytes.
pub(crate) fn split(file: &[u8]) -> Result<(u64, &[u8]), String> {
    let tail = file.len().checked_sub(TAIL).and_then(|at| file.split_at_checked(at));
    let (before, (length, magic)) =
        tail.and_then(|(before, tail)| Some((before, tail.split_first_chunk::<4>()?))).ok_or("the file is too short")?;
    if magic != MAGIC {
        return Err("the file does not end with PAR1".to_owned());
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let start =
        before.len().checked_sub(length).filter(|start| *start >= MAGIC.len()).ok_or("the footer is longer than the file")?;
    if length > FOOTER_BYTES_MAX {
        return Err("the footer is longer than FOOTER_BYTES_MAX".to_owned());
    }
    let footer = before.get(start..).ok_or("the footer is longer than the file")?;
    Ok((start as u64, footer))
}

/// Reads a footer that must be that of `empty`, a file of the same part without rows, but for rows and row groups.
pub(crate) fn read<'a>(file: &'a [u8], empty: &[u8], leaves: &[Leaf]) -> Result<Footer<'a>, String> {
    if !file.starts_with(MAGIC) {
        return Err("the file does not start with PAR1".to_owned());
    }
    let (start, bytes) = split(file)?;
    let (before, after) = around(empty).ok_or("this table has no schema")?;
    let mut reader = Reader::new(bytes);
    if !reader.exactly(before) {
        return Err("the schema is not this table's".to_owned());
    }
    // Versions and schema are fields 1 and 2.
    let mut fields = reader.fields_after(2);
    let rows = fields.i64(3)?;
    // A group without chunks is one byte long: their number is bounded by that of the bytes.
    let groups = fields.list(4, Kind::Struct, bytes.len() / leaves.len().max(1), |reader| row_group(reader, leaves))?;
    if reader.rest() != after {
        return Err("key-value metadata, created_by or column orders are not what this part must have, or fields follow".to_owned());
    }
    Ok(Footer { start, rows, groups })
}

/// What stands before `num_rows` and after `row_groups` in the footer of a file without rows.
fn around(empty: &[u8]) -> Option<(&[u8], &[u8])> {
    // num_rows = 0, and a list of no structs.
    const NO_ROWS: &[u8] = &[0x16, 0, 0x19, 0x0c];
    let (_, footer) = split(empty).ok()?;
    let at = footer.windows(NO_ROWS.len()).position(|window| window == NO_ROWS)?;
    Some((footer.get(..at)?, footer.get(at + NO_ROWS.len()..)?))
}

fn row_group<'a>(reader: &mut Reader<'a>, leaves: &[Leaf]) -> Result<RowGroup<'a>, String> {
    let mut group = reader.fields();
    let mut left = leaves.iter();
    let chunks = group.list(1, Kind::Struct, leaves.len(), |reader| {
        let leaf = left.next().ok_or("a row group has more columns than the schema")?;
        chunk(reader, leaf).map_err(|error| format!("column `{}`: {error}", leaf.name()))
    })?;
    if chunks.len() != leaves.len() {
        return Err("a row group has fewer columns than the schema".to_owned());
    }
    let read = RowGroup {
        chunks,
        uncompressed: group.i64(2)?,
        rows: group.i64(3)?,
        offset: group.i64(5)?,
        compressed: group.i64(6)?,
        ordinal: group.i16(7)?,
    };
    group.end().map(|()| read)
}

fn chunk<'a>(reader: &mut Reader<'a>, leaf: &Leaf) -> Result<Chunk<'a>, String> {
    let mut outer = reader.fields();
    if outer.i64(2)? != 0 {
        return Err("its file_offset is not 0".to_owned());
    }
    let mut inner = outer.structure(3)?;
    let physical = inner.i32(1)?;
    let encodings = inner.list(2, Kind::I32, ENCODINGS_MAX, Reader::i32_element)?;
    let path = inner.list(3, Kind::Binary, leaf.path.len(), Reader::binary_element)?;
    if physical != leaf.physical || !path.iter().copied().eq(leaf.path.iter().map(String::as_bytes)) {
        return Err("path or type are not those of the schema".to_owned());
    }
    if inner.i32(4)? != ZSTD {
        return Err("it is not compressed with zstd".to_owned());
    }
    let read = Chunk {
        encodings,
        values: inner.i64(5)?,
        uncompressed: inner.i64(6)?,
        compressed: inner.i64(7)?,
        data_offset: inner.i64(9)?,
        dictionary_offset: inner.i64_or_none(11)?,
        statistics: inner.structure_or_none(12).map(statistics).transpose()?,
        encoding_stats: inner.list(13, Kind::Struct, ENCODING_STATS_MAX, encoding_stats)?,
        sizes: inner.structure_or_none(16).map(sizes).transpose()?,
    };
    inner.end()?;
    outer.end().map(|()| read)
}

fn statistics<'a>(mut fields: Fields<'_, 'a>) -> Result<Statistics<'a>, String> {
    let read = Statistics {
        old: [fields.binary_or_none(1)?, fields.binary_or_none(2)?],
        nulls: fields.i64(3)?,
        bounds: [fields.binary_or_none(5)?, fields.binary_or_none(6)?],
        exact: [fields.bool(7)?, fields.bool(8)?],
    };
    fields.end().map(|()| read)
}

fn encoding_stats(reader: &mut Reader<'_>) -> Result<[i32; 3], String> {
    let mut fields = reader.fields();
    let read = [fields.i32(1)?, fields.i32(2)?, fields.i32(3)?];
    fields.end().map(|()| read)
}

fn sizes(mut fields: Fields<'_, '_>) -> Result<Sizes, String> {
    const LEVELS: usize = crate::levels::LEVEL_MAX + 1;
    let read = Sizes {
        bytes: fields.i64_or_none(1)?,
        repetition: fields.list_or_none(2, Kind::I64, LEVELS, Reader::i64_element)?,
        definition: fields.list_or_none(3, Kind::I64, LEVELS, Reader::i64_element)?,
    };
    fields.end().map(|()| read)
}

/// A page: its header, and where its contents are.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) header_bytes: usize,
    pub(crate) uncompressed: u64,
    pub(crate) contents: &'a [u8],
    pub(crate) is: PageIs,
}

#[derive(Debug)]
pub(crate) enum PageIs {
    Dictionary { values: u64 },
    Data { values: u64, nulls: u64, rows: u64, encoding: i32, definition_bytes: usize, repetition_bytes: usize, compressed: bool },
}

impl Page<'_> {
    /// Page type and encoding, as `encoding_stats` has them.
    pub(crate) fn stats(&self) -> [i32; 2] {
        match self.is {
            PageIs::Dictionary { .. } => [DICTIONARY_PAGE, PLAIN],
            PageIs::Data { encoding, .. } => [DATA_PAGE_V2, encoding],
        }
    }
}

/// Reads the page at the front of `bytes`.
pub(crate) fn page(bytes: &[u8]) -> Result<Page<'_>, String> {
    let mut reader = Reader::new(bytes);
    let mut header = reader.fields();
    let kind = header.i32(1)?;
    let (uncompressed, compressed) = (size(header.i32(2)?)?, size(header.i32(3)?)?);
    let is = match kind {
        DICTIONARY_PAGE => dictionary(header.structure(7)?)?,
        DATA_PAGE_V2 => data(header.structure(8)?)?,
        _ => return Err("it is neither a dictionary nor a data page of version 2".to_owned()),
    };
    header.end()?;
    let contents = usize::try_from(compressed).ok().and_then(|length| reader.rest().get(..length));
    let contents = contents.ok_or("it does not end inside its column")?;
    Ok(Page { header_bytes: reader.at(), uncompressed, contents, is })
}

fn size(number: i32) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| "a size or number in it is negative".to_owned())
}

fn dictionary(mut fields: Fields<'_, '_>) -> Result<PageIs, String> {
    let values = size(fields.i32(1)?)?;
    let (encoding, sorted) = (fields.i32(2)?, fields.bool(3)?);
    fields.end()?;
    if encoding != PLAIN || sorted {
        return Err("a dictionary is plain and says nothing of its order".to_owned());
    }
    Ok(PageIs::Dictionary { values })
}

fn data(mut fields: Fields<'_, '_>) -> Result<PageIs, String> {
    let (values, nulls, rows) = (size(fields.i32(1)?)?, size(fields.i32(2)?)?, size(fields.i32(3)?)?);
    let encoding = fields.i32(4)?;
    let (definition, repetition) = (size(fields.i32(5)?)?, size(fields.i32(6)?)?);
    let compressed = fields.bool(7)?;
    fields.end()?;
    if !DATA_ENCODINGS.contains(&encoding) {
        return Err("its encoding is not one of this format".to_owned());
    }
    let length = |bytes| usize::try_from(bytes).map_err(|_| "its levels are longer than the file".to_owned());
    let (definition_bytes, repetition_bytes) = (length(definition)?, length(repetition)?);
    Ok(PageIs::Data { values, nulls, rows, encoding, definition_bytes, repetition_bytes, compressed })
}
