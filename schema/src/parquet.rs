//! Parquet files of this format: how they are written, and which structure a reader takes (`schema/FORMAT.md` §6).
//!
//! Footer statistics decide what a query engine shows, so [`read`] re-derives every one of them from the cells, and
//! refuses any byte of the file that no column chunk accounts for.

use crate::{
    Hash, LedgerId, Payload, Record,
    columns::{self, PayloadRow, RecordRow},
    seal::Table,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        arrow_writer::ArrowWriterOptions,
    },
    basic::{ColumnOrder, Compression, Encoding, ZstdLevel},
    column::page::{Page, PageReader},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData, RowGroupMetaData},
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        serialized_reader::SerializedPageReader,
        statistics::Statistics,
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
    let mut faults = Vec::new();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    match guarded(|| ArrowReaderMetadata::load(bytes, options).map_err(|error| error.to_string())) {
        Err(error) => faults.push(format!("the footer can't be read: {error}")),
        Ok(metadata) => {
            // A file that another program wrote again is still decoded: the report then names the record that was changed.
            faults.extend(check_footer(table, ledger, first_seq, metadata.metadata(), bytes).err());
            read_row_groups(table, first_seq, &metadata, bytes, &mut rows, &mut faults);
        }
    }
    Contents { rows, faults }
}

fn read_row_groups(
    table: Table,
    first_seq: u64,
    metadata: &ArrowReaderMetadata,
    bytes: &Bytes,
    rows: &mut Rows,
    faults: &mut Vec<String>,
) {
    let sound = faults.is_empty();
    let mut first_row = first_seq;
    for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
        match guarded(|| read_row_group(table, metadata, index, bytes)) {
            Ok(batch) => {
                faults.extend(take_rows(rows, &batch, first_row));
                if sound {
                    faults.extend(check_statistics(table, &batch, group));
                }
            }
            Err(error) => faults.extend(locate(table, first_row, group, bytes, &error)),
        }
        first_row = first_row.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
    }
}

fn read_row_group(table: Table, metadata: &ArrowReaderMetadata, index: usize, bytes: &Bytes) -> Result<RecordBatch, String> {
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
        .with_row_groups(vec![index])
        .with_batch_size(ROW_GROUP_ROWS)
        .build()
        .map_err(|error| error.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let columns = batches.iter().map(|batch| conform(table, batch)).collect::<Result<Vec<_>, _>>()?;
    arrow::compute::concat_batches(&schema_of(table), &columns).map_err(|error| error.to_string())
}

/// The batch in this table's schema: for a sound file itself, otherwise its columns by name.
fn conform(table: Table, batch: &RecordBatch) -> Result<RecordBatch, String> {
    let schema = schema_of(table);
    let column = |field: &arrow::datatypes::FieldRef| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| format!("column `{}` is missing", field.name()))?;
        arrow::compute::cast(column, field.data_type()).map_err(|error| error.to_string())
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns).map_err(|error| error.to_string())
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
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder gave up".to_owned()))
}

fn schema_of(table: Table) -> SchemaRef {
    match table {
        Table::Records => columns::record_schema(),
        Table::Payloads => columns::payload_schema(),
    }
}

/// Schema, `created_by`, metadata, and that the column chunks fill the file without gap or overlap.
fn check_footer(table: Table, ledger: &LedgerId, first_seq: u64, metadata: &ParquetMetaData, bytes: &Bytes) -> Result<(), String> {
    let file = metadata.file_metadata();
    let expected = parquet::arrow::ArrowSchemaConverter::new().convert(&schema_of(table)).map_err(|error| error.to_string())?;
    if file.schema_descr().root_schema() != expected.root_schema() {
        return Err("the schema is not this table's".to_owned());
    }
    if file.created_by() != Some(CREATED_BY) {
        return Err(format!("created_by is {:?}", file.created_by().unwrap_or_default()));
    }
    if file.key_value_metadata() != Some(&key_values(table, ledger, first_seq)) {
        return Err("the key-value metadata is not what this part must have".to_owned());
    }
    // Without them a reader compares bounds by rules of its own.
    let ordered = |orders: &Vec<ColumnOrder>| orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_)));
    if !file.column_orders().is_some_and(ordered) {
        return Err("the column orders are not those of the types".to_owned());
    }
    let rows = metadata.row_groups().iter().map(|group| i128::from(group.num_rows())).sum::<i128>();
    if i128::from(file.num_rows()) != rows {
        return Err("the number of rows is not that of its row groups".to_owned());
    }
    check_byte_ranges(metadata, bytes)
}

fn check_byte_ranges(metadata: &ParquetMetaData, bytes: &Bytes) -> Result<(), String> {
    const MAGIC: &[u8] = b"PAR1";
    let mut next = MAGIC.len() as u64;
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        if column.bloom_filter_offset().is_some()
            || column.column_index_offset().is_some()
            || column.offset_index_offset().is_some()
        {
            return Err(format!("column `{}` has a bloom filter or a page index", column.column_path().string()));
        }
        if !matches!(column.compression(), Compression::ZSTD(_)) {
            return Err(format!("column `{}` is not compressed with zstd", column.column_path().string()));
        }
        if column.file_path().is_some() {
            return Err(format!("column `{}` says that it is in another file", column.column_path().string()));
        }
        let (start, length) = guarded(|| Ok(column.byte_range()))?;
        if start != next {
            return Err(format!("bytes {next}..{start} belong to no column"));
        }
        next = start.saturating_add(length);
    }
    let end = bytes.len().checked_sub(8).and_then(|at| Some((at, bytes.get(at..at + 4)?)));
    let footer = end.and_then(|(at, length)| Some(at as u64 - u64::from(u32::from_le_bytes(length.try_into().ok()?))));
    if footer != Some(next) || !bytes.starts_with(MAGIC) {
        return Err(format!("the last column ends at byte {next}, the footer starts elsewhere"));
    }
    Ok(())
}

/// Compares the statistics of a row group with those of its decoded rows, written again.
fn check_statistics(table: Table, batch: &RecordBatch, group: &RowGroupMetaData) -> Vec<String> {
    let derived = LedgerId::new("x", "x")
        .map_err(|error| error.to_string())
        .and_then(|ledger| properties(table, &ledger, 0).map_err(|error| error.to_string()))
        .and_then(|properties| derive(table, properties, batch).map_err(|error| error.to_string()));
    let derived = match derived {
        Ok(derived) => derived,
        Err(error) => return vec![format!("statistics can't be derived: {error}")],
    };
    let Some(expected) = derived.row_groups().first() else { return vec!["a row group is empty".to_owned()] };
    if i64::try_from(batch.num_rows()) != Ok(group.num_rows()) {
        return vec!["a row group does not have the number of rows that it says".to_owned()];
    }
    let differs = |(found, expected): &(&ColumnChunkMetaData, &ColumnChunkMetaData)| {
        found.statistics().map(Bounds::of) != expected.statistics().map(Bounds::of)
            || found.num_values() != expected.num_values()
            // A reader may take the old pair of fields where there is no other.
            || found.statistics().is_some_and(|found| found.is_min_max_deprecated() && found.min_bytes_opt().is_some())
    };
    let columns = group.columns().iter().zip(expected.columns()).filter(differs);
    columns
        .map(|(found, _)| format!("column `{}`: the footer's statistics are not those of its cells", found.column_path().string()))
        .collect()
}

/// What statistics say. The crate's own comparison also asks how they were written, which reading does not bring back.
#[derive(PartialEq)]
struct Bounds<'a> {
    counts: (Option<u64>, Option<u64>, Option<u64>),
    min: Option<(&'a [u8], bool)>,
    max: Option<(&'a [u8], bool)>,
}

impl<'a> Bounds<'a> {
    fn of(statistics: &'a Statistics) -> Self {
        Self {
            counts: (statistics.null_count_opt(), statistics.distinct_count_opt(), statistics.nan_count_opt()),
            min: statistics.min_bytes_opt().map(|min| (min, statistics.min_is_exact())),
            max: statistics.max_bytes_opt().map(|max| (max, statistics.max_is_exact())),
        }
    }
}

fn derive(table: Table, properties: WriterProperties, batch: &RecordBatch) -> Result<ParquetMetaData, ParquetError> {
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema_of(table), options)?;
    writer.write(batch)?;
    writer.finish()
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
        let pages = guarded(|| {
            SerializedPageReader::new(Arc::new(bytes.clone()), column, group_rows, None).map_err(|error| error.to_string())
        });
        let rows_before = match pages {
            Ok(pages) => readable_rows(pages),
            Err(_) => Some(0),
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
