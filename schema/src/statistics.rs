//! What a footer says of cells, derived again from the cells once they are decoded (`schema/FORMAT.md` §6).
//!
//! A query engine skips rows by these numbers without looking at them. The writer of this format is asked what it would say
//! of the same cells; how cells are encoded and cut into pages is not compared.

use crate::{
    footer::{self, Chunk, RowGroup},
    parquet::{guarded, text, written_again},
    seal::Table,
    structure,
};
use ::parquet::{
    basic::Type,
    column::page::{Page, PageReader},
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        serialized_reader::SerializedPageReader,
    },
};
use arrow::array::RecordBatch;
use bytes::Bytes;
use std::sync::Arc;

/// Compares bounds, counts and size statistics of a row group with those of its rows.
pub(crate) fn check(table: Table, batch: &RecordBatch, found: &RowGroup<'_>) -> Vec<String> {
    differing(table, batch, found).unwrap_or_else(|error| vec![error])
}

fn differing(table: Table, batch: &RecordBatch, found: &RowGroup<'_>) -> Result<Vec<String>, String> {
    let names: Vec<String> = structure::leaves(table)?.iter().map(footer::Leaf::name).collect();
    let (ledger, file) = written_again(table, batch)?;
    let derived = structure::check(table, &ledger, 0, &file)?;
    let [expected] = derived.groups.as_slice() else { return Err("a row group is empty".to_owned()) };
    if expected.rows != found.rows {
        return Err("a row group does not have the number of rows that it says".to_owned());
    }
    let same = |found: &Chunk<'_>, expected: &Chunk<'_>| {
        (found.values, &found.statistics, &found.sizes) == (expected.values, &expected.statistics, &expected.sizes)
    };
    let pairs = found.chunks.iter().zip(&expected.chunks).zip(&names);
    let differing = pairs.filter(|((found, expected), _)| !same(found, expected));
    Ok(differing.map(|(_, name)| format!("column `{name}`: the footer's statistics are not those of its cells")).collect())
}

/// That each dictionary has as many values as its page's header says: decoders stop there and ignore what follows.
pub(crate) fn check_dictionaries(group: &RowGroupMetaData, bytes: &Bytes) -> Vec<String> {
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let fits = |column: &ColumnChunkMetaData| {
        let mut pages = SerializedPageReader::new(Arc::new(bytes.clone()), column, rows, None).map_err(text)?;
        let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page().map_err(text)? else { return Ok(false) };
        Ok(plain_values(column.column_type(), &buf) == Some(num_values.into()))
    };
    let with_dictionary = group.columns().iter().filter(|column| column.dictionary_page_offset().is_some());
    let wrong = with_dictionary.filter(|column| guarded(|| fits(column)) != Ok(true));
    wrong
        .map(|column| format!("column `{}`: its dictionary does not hold as many values as it says", column.column_path().string()))
        .collect()
}

/// How many plain values fill `bytes`. Dictionaries are of texts and of 64-bit and 32-bit numbers only.
fn plain_values(physical: Type, mut bytes: &[u8]) -> Option<u64> {
    let width = match physical {
        Type::INT32 => 4,
        Type::INT64 => 8,
        Type::BYTE_ARRAY => {
            let mut values = 0;
            while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
                bytes = rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
                values += 1;
            }
            return bytes.is_empty().then_some(values);
        }
        _ => return None,
    };
    bytes.len().is_multiple_of(width).then_some((bytes.len() / width) as u64)
}
