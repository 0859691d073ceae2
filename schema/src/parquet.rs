//! Parquet files of this format: how they are written, and which structure a reader takes (`schema/FORMAT.md` §6).
//!
//! Footer statistics decide what a query engine shows, so [`read`] re-derives every one of them from the cells. Bytes come
//! first (`structure.rs`); a file that fails there is decoded all the same, within limits, to name what was changed.

use crate::{
    Hash, LedgerId, Payload, Record,
    columns::{self, PayloadRow, RecordRow},
    footer::{Footer, ROW_GROUP_BYTES_MAX},
    seal::Table,
    statistics, structure,
};
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchReader},
    datatypes::SchemaRef,
    error::ArrowError,
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        arrow_writer::ArrowWriterOptions,
    },
    basic::{Compression, Encoding, ZstdLevel},
    column::page::{Page, PageReader},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, RowGroupMetaData},
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        serialized_reader::SerializedPageReader,
    },
    schema::types::ColumnPath,
};
use std::sync::Arc;

/// `created_by` of every file.
pub const CREATED_BY: &str = "sealgate version 1";
/// Rows a row group: what a reader decodes at once.
pub const ROW_GROUP_ROWS: usize = 8192;
/// Rows a data page: a page that can't be decoded narrows the damage to this many records.
pub const PAGE_ROWS: usize = 128;
/// The largest file that is read: a part is cut long before.
pub const FILE_BYTES_MAX: u64 = 2 << 30;

/// Columns that never repeat: a dictionary would cost and save nothing.
const UNIQUE: [&[&str]; 10] = [
    &["hash"],
    &["payload_hash"],
    &["upstream_request_id"],
    &["row_salt"],
    &["body"],
    &["body_sha256"],
    &["parameters"],
    &["salts", "list", "element", "salt"],
    &["erased", "list", "element", "commitment"],
    &["duration_us"],
];
const RISING: [&str; 3] = ["seq", "time", "call"];

/// Writes the records of one part.
pub fn write_records(ledger: &LedgerId, first_seq: u64, rows: &[(Record, Hash)]) -> Result<Vec<u8>, ParquetError> {
    let batches = rows.chunks(ROW_GROUP_ROWS).map(|rows| columns::record_batch(ledger, rows));
    write(columns::record_schema(), properties(Table::Records, ledger, first_seq)?, batches)
}

/// Writes the payloads of one part whose records start at `first_seq`.
pub fn write_payloads(ledger: &LedgerId, first_seq: u64, rows: &[(u64, Payload)]) -> Result<Vec<u8>, ParquetError> {
    let batches = rows.chunks(ROW_GROUP_ROWS).map(|rows| columns::payload_batch(ledger, rows));
    write(columns::payload_schema(), properties(Table::Payloads, ledger, first_seq)?, batches)
}

/// A part without rows: its footer has all that is the same in every file of the part.
pub(crate) fn empty(table: Table, ledger: &LedgerId, first_seq: u64) -> Result<Vec<u8>, ParquetError> {
    write(schema_of(table), properties(table, ledger, first_seq)?, std::iter::empty())
}

fn write(
    schema: SchemaRef,
    properties: WriterProperties,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<Vec<u8>, ParquetError> {
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.into_inner()
}

fn properties(table: Table, ledger: &LedgerId, first_seq: u64) -> Result<WriterProperties, ParquetError> {
    let path = |parts: &[&str]| ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect());
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(key_values(table, ledger, first_seq)))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(None)
        .set_offset_index_disabled(true)
        .set_bloom_filter_enabled(false);
    for column in UNIQUE {
        builder = builder.set_column_dictionary_enabled(path(column), false);
    }
    for column in RISING {
        builder = builder
            .set_column_dictionary_enabled(path(&[column]), false)
            .set_column_encoding(path(&[column]), Encoding::DELTA_BINARY_PACKED);
    }
    // A body can be large and random: its bounds would repeat it in the footer.
    for column in [&["body"][..], &["headers", "list", "element", "value"], &["parameters"]] {
        builder = builder.set_column_statistics_enabled(path(column), EnabledStatistics::None);
    }
    Ok(builder.build())
}

fn key_values(table: Table, ledger: &LedgerId, first_seq: u64) -> Vec<KeyValue> {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    vec![
        pair("sealgate.format", format!("sealgate/{}/v1", table.as_str())),
        pair("sealgate.gateway", ledger.gateway().to_string()),
        pair("sealgate.window", ledger.window().to_string()),
        pair("sealgate.first_seq", first_seq.to_string()),
    ]
}

/// Rows of one file.
#[derive(Debug)]
pub enum Rows {
    /// Of a records file.
    Records(Vec<RecordRow>),
    /// Of a payloads file.
    Payloads(Vec<PayloadRow>),
}

/// What was read from a file, and what is wrong with it.
#[derive(Debug)]
pub struct Contents {
    /// The rows that could be decoded, in order.
    pub rows: Rows,
    /// Faults of structure: schema, metadata, statistics, byte ranges, pages that can't be decoded.
    pub faults: Vec<String>,
}

/// Decodes a whole file and checks its structure. Row groups that can't be decoded are left out and named.
pub fn read(table: Table, ledger: &LedgerId, first_seq: u64, bytes: &Bytes) -> Contents {
    let mut rows = match table {
        Table::Records => Rows::Records(Vec::new()),
        Table::Payloads => Rows::Payloads(Vec::new()),
    };
    let footer = structure::check(table, ledger, first_seq, bytes);
    let mut faults: Vec<String> = footer.as_ref().err().cloned().into_iter().collect();
    // A file that another program wrote again is still decoded, where it is small enough: the report then names the record
    // that was changed.
    let load = || {
        structure::footer_is_bounded(bytes)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        ArrowReaderMetadata::load(bytes, options).map_err(|error| error.to_string())
    };
    match guarded(load) {
        Err(error) => faults.push(format!("the footer can't be decoded: {error}")),
        Ok(metadata) => read_row_groups(table, first_seq, &metadata, bytes, footer.ok().as_ref(), &mut rows, &mut faults),
    }
    Contents { rows, faults }
}

fn read_row_groups(
    table: Table,
    first_seq: u64,
    metadata: &ArrowReaderMetadata,
    bytes: &Bytes,
    footer: Option<&Footer<'_>>,
    rows: &mut Rows,
    faults: &mut Vec<String>,
) {
    let mut first_row = first_seq;
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        match guarded(|| read_row_group(table, metadata, index, bytes)) {
            Ok(batch) => {
                faults.extend(take_rows(rows, &batch, first_row));
                if let Some(found) = footer.and_then(|footer| footer.groups.get(index)) {
                    faults.extend(statistics::check(table, &batch, found));
                    faults.extend(statistics::check_dictionaries(group, bytes));
                }
            }
            Err(error) => faults.extend(locate(table, first_row, group, bytes, &error)),
        }
        first_row = first_row.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
    }
}

/// The rows of a group in this table's schema: for a sound file all of it, otherwise the columns of the same name. What can't
/// become large is decoded at once, the rest column by column.
fn read_row_group(table: Table, metadata: &ArrowReaderMetadata, index: usize, bytes: &Bytes) -> Result<RecordBatch, String> {
    let small = structure::cells_bytes_max(metadata.metadata().row_group(index), bytes)? <= ROW_GROUP_BYTES_MAX;
    let fields = metadata.schema().fields();
    let together = if small { fields.len() } else { 1 };
    let (mut left, mut found) = (ROW_GROUP_BYTES_MAX, Vec::new());
    for first in (0..fields.len()).step_by(together.max(1)) {
        found.extend(read_columns(metadata, index, first..first + together, bytes, &mut left)?);
    }
    let schema = schema_of(table);
    let column = |field: &arrow::datatypes::FieldRef| {
        let place = fields.find(field.name()).and_then(|(place, _)| found.get(place));
        let column = place.ok_or_else(|| format!("column `{}` is missing", field.name()))?;
        arrow::compute::cast(column, field.data_type()).map_err(|error| error.to_string())
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns).map_err(|error| error.to_string())
}

/// Decodes columns, a few rows at a time: a dictionary or a shared prefix can make much of little.
fn read_columns(
    metadata: &ArrowReaderMetadata,
    group: usize,
    roots: std::ops::Range<usize>,
    bytes: &Bytes,
    left: &mut u64,
) -> Result<Vec<ArrayRef>, String> {
    let mask = ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), roots);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
        .with_row_groups(vec![group])
        .with_projection(mask)
        .with_batch_size(PAGE_ROWS)
        .build()
        .map_err(|error| error.to_string())?;
    let (schema, mut batches) = (reader.schema(), Vec::new());
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let held = left.checked_sub(batch.get_array_memory_size() as u64);
        *left = held.ok_or("its cells hold more than ROW_GROUP_BYTES_MAX")?;
        batches.push(batch);
    }
    let batch = arrow::compute::concat_batches(&schema, &batches).map_err(|error| error.to_string())?;
    Ok(batch.columns().to_vec())
}

/// Takes the rows of a batch that this format has, and names the others.
fn take_rows(rows: &mut Rows, batch: &RecordBatch, first_row: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut bad = |bad: columns::BadCell| faults.push(format!("record {}: {bad}", first_row.saturating_add(bad.row as u64)));
    match rows {
        Rows::Records(rows) => rows.extend(columns::record_rows(batch).filter_map(|row| row.map_err(&mut bad).ok())),
        Rows::Payloads(rows) => {
            let mut bad = |bad: columns::BadCell| faults.push(format!("payload {bad}"));
            rows.extend(columns::payload_rows(batch).filter_map(|row| row.map_err(&mut bad).ok()));
        }
    }
    faults
}

/// Runs a decoder over hostile bytes. The parquet crate returns errors for nearly all of them; a panic in it is an
/// undecodable file too, not the end of the verifier.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder gave up".to_owned()))
}

/// Columns of a table.
pub(crate) fn schema_of(table: Table) -> SchemaRef {
    match table {
        Table::Records => columns::record_schema(),
        Table::Payloads => columns::payload_schema(),
    }
}

/// A file of one row group, by this format's writer, of a ledger and place that don't matter.
pub(crate) fn written_again(table: Table, batch: &RecordBatch) -> Result<(LedgerId, Vec<u8>), String> {
    let ledger = LedgerId::new("x", "x").map_err(|error| error.to_string())?;
    let properties = properties(table, &ledger, 0).map_err(text)?;
    let file = write(schema_of(table), properties, std::iter::once(Ok(batch.clone()))).map_err(text)?;
    Ok((ledger, file))
}

pub(crate) fn text(error: ParquetError) -> String {
    error.to_string()
}

/// Names the columns and rows of a row group whose pages can't be decoded.
fn locate(table: Table, first_row: u64, group: &RowGroupMetaData, bytes: &Bytes, error: &str) -> Vec<String> {
    let group_rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let what = |from: u64, to: u64| match table {
        // Records have no gaps, so a row's place is its seq.
        Table::Records => format!("one of records {}..={}", first_row.saturating_add(from), first_row.saturating_add(to)),
        Table::Payloads => format!("one of payload rows {from}..={to} of its row group"),
    };
    let mut faults = Vec::new();
    for column in group.columns() {
        let pages = || SerializedPageReader::new(Arc::new(bytes.clone()), column, group_rows, None).map_err(text);
        let rows_before = match structure::pages_of(column, bytes).and_then(structure::pages_are_bounded) {
            Err(rows) => Some(rows),
            Ok(held) if held.bytes > ROW_GROUP_BYTES_MAX => None,
            Ok(_) => guarded(pages).map_or(Some(0), readable_rows),
        };
        if let Some(from) = rows_before {
            let to = (from + PAGE_ROWS as u64).min(group_rows as u64).saturating_sub(1);
            faults.push(format!(
                "column `{}` can't be decoded: changed in {}",
                column.column_path().string(),
                what(from, to.max(from))
            ));
        }
    }
    if faults.is_empty() {
        faults
            .push(format!("a row group can't be decoded ({error}): changed in {}", what(0, (group_rows as u64).saturating_sub(1))));
    }
    faults
}

/// Rows before the first page that can't be read; `None` where all can.
fn readable_rows(mut pages: impl PageReader) -> Option<u64> {
    let mut rows = 0;
    loop {
        match guarded(|| pages.get_next_page().map_err(|error| error.to_string())) {
            Ok(None) => return None,
            Ok(Some(Page::DataPageV2 { num_rows, .. })) => rows += u64::from(num_rows),
            Ok(Some(_)) => {}
            Err(_) => return Some(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn file() -> Bytes {
        let rows: Vec<_> = samples::records().into_iter().map(|record| (record, Hash::ZERO)).collect();
        write_records(&samples::ledger(), 0, &rows).unwrap().into()
    }

    fn faults(bytes: &Bytes) -> Vec<String> {
        read(Table::Records, &samples::ledger(), 0, bytes).faults
    }

    #[test]
    fn a_written_file_reads_back_without_fault_and_twice_the_same() {
        assert_eq!(faults(&file()), Vec::<String>::new());
        assert_eq!(file(), file());
        let payloads: Bytes = write_payloads(&samples::ledger(), 0, &samples::payloads()).unwrap().into();
        let contents = read(Table::Payloads, &samples::ledger(), 0, &payloads);
        assert_eq!(contents.faults, Vec::<String>::new());
        let Rows::Payloads(rows) = contents.rows else { panic!("payloads were asked for") };
        assert_eq!(rows.into_iter().map(|row| (row.seq, row.payload)).collect::<Vec<_>>(), samples::payloads());
    }

    #[test]
    fn bytes_that_no_column_owns_are_a_fault() {
        let file = file();
        let appended: Bytes = [&file[..], &file[..]].concat().into();
        assert_eq!(faults(&appended).len(), 1, "{:?}", faults(&appended));
        assert!(!faults(&file.slice(..file.len() - 1)).is_empty());
        assert!(!faults(&Bytes::new()).is_empty());
    }

    /// So that the report can name the records that it changed.
    #[test]
    fn a_file_written_again_by_another_program_is_a_fault_and_still_read() {
        let rows: Vec<_> = samples::records().into_iter().map(|record| (record, Hash::ZERO)).collect();
        let batch = columns::record_batch(&samples::ledger(), &rows).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let contents = read(Table::Records, &samples::ledger(), 0, &writer.into_inner().unwrap().into());
        assert_eq!(contents.faults.len(), 1, "{:?}", contents.faults);
        assert!(matches!(contents.rows, Rows::Records(read) if read.len() == rows.len()));
    }

    #[test]
    fn a_row_group_of_too_many_rows_is_not_decoded() {
        let rows = crate::footer::FOREIGN_ROWS_MAX as usize + 1;
        let column: ArrayRef = Arc::new(arrow::array::UInt64Array::new_null(rows));
        let batch = RecordBatch::try_from_iter([("call", column)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(None).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let faults = faults(&writer.into_inner().unwrap().into());
        assert!(faults.iter().any(|fault| fault.contains("FOREIGN_ROWS_MAX")), "{faults:?}");
    }

    #[test]
    fn a_column_is_decoded_no_further_than_its_limit() {
        let metadata = ArrowReaderMetadata::load(&file(), ArrowReaderOptions::new()).unwrap();
        let column = |mut left| read_columns(&metadata, 0, 0..1, &file(), &mut left).map(|columns| columns[0].len());
        assert_eq!(column(ROW_GROUP_BYTES_MAX), Ok(3));
        assert_eq!(column(10), Err("its cells hold more than ROW_GROUP_BYTES_MAX".to_owned()));
    }

    #[test]
    fn another_tables_file_is_a_fault() {
        let payloads: Bytes = write_payloads(&samples::ledger(), 0, &samples::payloads()).unwrap().into();
        assert_eq!(faults(&payloads)[0], "the schema is not this table's");
    }

    #[test]
    fn no_byte_flip_panics() {
        let file = file();
        for place in (0..file.len()).step_by(7) {
            let mut flipped = file.to_vec();
            flipped[place] ^= 0x10;
            let _ = faults(&flipped.into());
        }
    }
}
