//! Encrypted payload files (`schema/FORMAT.md` §11): Parquet modular encryption, one key a window.
//!
//! Their bytes can't be looked at as those of a plain file are. Once decrypted, the rows are written again by this format's
//! writer, and the footer is compared with the one that comes of it.

use crate::{
    Hash, LedgerId, Payload, columns,
    footer::ROW_GROUP_BYTES_MAX,
    parquet::{self, Contents, ROW_GROUP_ROWS, Rows, guarded, text},
    seal::Table,
};
use ::parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        properties::WriterVersion,
    },
};
use arrow::{array::RecordBatch, compute};
use bytes::Bytes;
use std::fmt;
use zeroize::Zeroizing;

const KEY_TAG: &[u8] = b"sealgate/payload-key/v1\0";
const MAGIC: &[u8] = b"PARE";

/// The key of a window's payload files.
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadKey({})", self.id())
    }
}

impl PayloadKey {
    /// A key of these bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads 64 hex digits, as a key file holds them.
    pub fn from_hex(text: &str) -> Option<Self> {
        Hash::from_hex(text.trim()).map(|hash| Self(Zeroizing::new(hash.0)))
    }

    /// What a key file holds, and a manifest never.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id in the manifest.
    pub fn id(&self) -> String {
        let mut id = Hash::of(&[KEY_TAG, &*self.0]).to_string();
        id.truncate(16);
        id
    }
}

/// Writes the payloads of one part whose records start at `first_seq`: encrypted under a key, and then no two files are the
/// same; plain without one.
pub fn write(
    ledger: &LedgerId,
    first_seq: u64,
    rows: &[(u64, Payload)],
    key: Option<&PayloadKey>,
) -> Result<Vec<u8>, ParquetError> {
    let Some(key) = key else { return parquet::write_payloads(ledger, first_seq, rows) };
    let encryption = FileEncryptionProperties::builder(key.bytes().to_vec()).build()?;
    let properties = parquet::properties(Table::Payloads, ledger, first_seq)?;
    // Data pages of version 1: DuckDB (1.5) can't read encrypted ones of version 2 (duckdb/duckdb issue 24785).
    let properties = properties.into_builder().set_writer_version(WriterVersion::PARQUET_1_0);
    let properties = properties.with_file_encryption_properties(encryption).build();
    let batches = rows.chunks(ROW_GROUP_ROWS).map(|rows| columns::payload_batch(ledger, rows));
    parquet::write(columns::payload_schema(), properties, batches)
}

/// Decrypts a whole file, decodes it and checks its structure.
pub fn read_payloads(ledger: &LedgerId, first_seq: u64, bytes: &Bytes, key: &PayloadKey) -> Contents {
    let mut rows = Rows::Payloads(Vec::new());
    let faults = match guarded(|| read(ledger, first_seq, bytes, key, &mut rows)) {
        Ok(faults) => faults,
        Err(error) => vec![format!("it can't be decrypted and decoded: {error}")],
    };
    Contents { rows, faults }
}

fn read(ledger: &LedgerId, first_seq: u64, bytes: &Bytes, key: &PayloadKey, rows: &mut Rows) -> Result<Vec<String>, String> {
    if !bytes.starts_with(MAGIC) || !bytes.ends_with(MAGIC) {
        return Err("it does not start and end with PARE".to_owned());
    }
    let decryption = FileDecryptionProperties::builder(key.bytes().to_vec()).build().map_err(text)?;
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(bytes, options().with_file_decryption_properties(decryption)).map_err(text)?;
    let mut faults = Vec::new();
    for index in 0..metadata.metadata().num_row_groups() {
        faults.extend(parquet::take_rows(rows, &row_group(&metadata, index, bytes)?, first_seq));
    }
    let Rows::Payloads(read) = rows else { return Ok(faults) };
    let rows: Vec<(u64, Payload)> = read.iter().map(|row| (row.seq, row.payload.clone())).collect();
    let plain: Bytes = parquet::write_payloads(ledger, first_seq, &rows).map_err(text)?.into();
    let expected = ArrowReaderMetadata::load(&plain, options()).map_err(text)?;
    faults.extend(differing(metadata.metadata(), expected.metadata()));
    Ok(faults)
}

fn row_group(metadata: &ArrowReaderMetadata, index: usize, bytes: &Bytes) -> Result<RecordBatch, String> {
    let group = metadata.metadata().row_group(index);
    let fits = |number: i64, most: u64| u64::try_from(number).is_ok_and(|number| number <= most);
    if !fits(group.num_rows(), ROW_GROUP_ROWS as u64) || !fits(group.total_byte_size(), ROW_GROUP_BYTES_MAX) {
        return Err("a row group is larger than this format's writer makes them".to_owned());
    }
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
        .with_row_groups(vec![index])
        .with_batch_size(ROW_GROUP_ROWS)
        .build()
        .map_err(text)?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let batch = compute::concat_batches(&columns::payload_schema(), &batches);
    batch.map_err(|error| error.to_string())
}

/// What the footer says otherwise than that of the same rows, written plain.
fn differing(found: &ParquetMetaData, expected: &ParquetMetaData) -> Vec<String> {
    let (file, other) = (found.file_metadata(), expected.file_metadata());
    let mut faults = Vec::new();
    let mut differ =
        |what: &str, differs: bool| faults.extend(differs.then(|| format!("the footer's {what} is not what its rows make it")));
    differ("schema", file.schema_descr().root_schema() != other.schema_descr().root_schema());
    differ("created_by", file.created_by() != other.created_by());
    differ("key-value metadata", file.key_value_metadata() != other.key_value_metadata());
    differ("list of column orders", file.column_orders() != other.column_orders());
    differ("number of rows", file.num_rows() != other.num_rows());
    differ("number of row groups", found.num_row_groups() != expected.num_row_groups());
    for (group, other) in found.row_groups().iter().zip(expected.row_groups()) {
        differ("number of rows of a row group", group.num_rows() != other.num_rows());
        for (chunk, other) in group.columns().iter().zip(other.columns()) {
            differ(&format!("metadata of column `{}`", chunk.column_path().string()), !same(chunk, other));
        }
    }
    faults
}

fn same(found: &ColumnChunkMetaData, expected: &ColumnChunkMetaData) -> bool {
    let indexed =
        found.bloom_filter_offset().is_some() || found.column_index_offset().is_some() || found.offset_index_offset().is_some();
    !indexed
        && found.file_path().is_none()
        && found.compression() == expected.compression()
        && found.num_values() == expected.num_values()
        && found.statistics() == expected.statistics()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn key(byte: u8) -> PayloadKey {
        PayloadKey::new(Zeroizing::new([byte; 32]))
    }

    fn file() -> Bytes {
        write(&samples::ledger(), 0, &samples::payloads(), Some(&key(7))).unwrap().into()
    }

    #[test]
    fn an_encrypted_file_reads_back_under_its_key_alone() {
        let contents = read_payloads(&samples::ledger(), 0, &file(), &key(7));
        assert_eq!(contents.faults, Vec::<String>::new());
        let Rows::Payloads(rows) = contents.rows else { panic!("payloads were asked for") };
        assert_eq!(rows.into_iter().map(|row| (row.seq, row.payload)).collect::<Vec<_>>(), samples::payloads());
        assert!(!read_payloads(&samples::ledger(), 0, &file(), &key(8)).faults.is_empty());
        assert!(!parquet::read(Table::Payloads, &samples::ledger(), 0, &file()).faults.is_empty());
    }

    #[test]
    fn a_footer_that_says_otherwise_is_a_fault() {
        let contents = read_payloads(&samples::ledger(), 1, &file(), &key(7));
        assert_eq!(contents.faults, ["the footer's key-value metadata is not what its rows make it"]);
        let plain: Bytes = parquet::write_payloads(&samples::ledger(), 0, &samples::payloads()).unwrap().into();
        assert!(!read_payloads(&samples::ledger(), 0, &plain, &key(7)).faults.is_empty());
    }

    #[test]
    fn no_byte_flip_panics_or_changes_a_row() {
        let file = file();
        let mut found = 0;
        for place in (0..file.len()).step_by(41) {
            let mut flipped = file.to_vec();
            flipped[place] ^= 0x10;
            let contents = read_payloads(&samples::ledger(), 0, &flipped.into(), &key(7));
            let Rows::Payloads(rows) = contents.rows else { panic!("payloads were asked for") };
            let same = rows.into_iter().map(|row| (row.seq, row.payload)).eq(samples::payloads());
            assert!(same || !contents.faults.is_empty(), "{place}");
            found += usize::from(!contents.faults.is_empty());
        }
        assert!(found > 20);
    }
}
