//! Records and payloads as Arrow columns, both ways (`schema/FORMAT.md` §6).
//!
//! The tables below are the whole of the two schemas: order, names, types. Nothing here is hashed.

use crate::{
    Hash, LedgerId, Payload, Record, Text,
    payload::{Capture, Salts},
    record::{Fields, Kind},
};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, GenericListArray, ListBuilder,
        RecordBatch, StringArray, StringBuilder, StructBuilder, TimestampMicrosecondArray, UInt16Array, UInt64Array,
    },
    datatypes::{
        DataType, Field, Fields as ArrowFields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt16Type, UInt64Type,
    },
    error::ArrowError,
};
use bytes::Bytes;
use std::sync::{Arc, LazyLock};

/// A record with its hash as a file holds them; nothing says yet that they fit.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordRow {
    /// `gateway` and `change_window` columns.
    pub ledger: (Text, Text),
    /// The record.
    pub record: Record,
    /// The `hash` column.
    pub hash: Hash,
}

/// A payload with its place as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct PayloadRow {
    /// `gateway` and `change_window` columns.
    pub ledger: (Text, Text),
    /// The record it belongs to.
    pub seq: u64,
    /// The row.
    pub payload: Payload,
}

/// A cell that no writer of this format makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` of row {row} holds what this format does not have")]
pub struct BadCell {
    /// Its column.
    pub column: &'static str,
    /// Its row in the batch.
    pub row: usize,
}

enum Cell {
    Text,
    Texts,
    Number,
    Status,
    Time,
    Bytes,
    Fixed(i32),
    Headers,
    Hashes { name: &'static str, hash: &'static str },
}

const RECORD_COLUMNS: [(&str, Cell, bool); 36] = [
    ("gateway", Cell::Text, false),
    ("change_window", Cell::Text, false),
    ("seq", Cell::Number, false),
    ("time", Cell::Time, false),
    ("kind", Cell::Text, false),
    ("call", Cell::Number, true),
    ("session", Cell::Text, true),
    ("principal", Cell::Text, true),
    ("principal_kind", Cell::Text, true),
    ("acting_for", Cell::Text, true),
    ("attribution", Cell::Text, true),
    ("credential", Cell::Text, true),
    ("credential_chain", Cell::Texts, false),
    ("client_addr", Cell::Text, true),
    ("user_agent", Cell::Text, true),
    ("provider", Cell::Text, true),
    ("account", Cell::Text, true),
    ("region", Cell::Text, true),
    ("service", Cell::Text, true),
    ("operation", Cell::Text, true),
    ("access", Cell::Text, true),
    ("resources", Cell::Texts, false),
    ("method", Cell::Text, true),
    ("host", Cell::Text, true),
    ("path", Cell::Text, true),
    ("decision", Cell::Text, true),
    ("rules", Cell::Texts, false),
    ("status", Cell::Status, true),
    ("error_code", Cell::Text, true),
    ("upstream_request_id", Cell::Text, true),
    ("duration_us", Cell::Number, true),
    ("request_bytes", Cell::Number, true),
    ("response_bytes", Cell::Number, true),
    ("detail", Cell::Text, true),
    ("payload_hash", Cell::Fixed(32), true),
    ("hash", Cell::Fixed(32), false),
];

const PAYLOAD_COLUMNS: [(&str, Cell, bool); 14] = [
    ("gateway", Cell::Text, false),
    ("change_window", Cell::Text, false),
    ("seq", Cell::Number, false),
    ("row_salt", Cell::Fixed(16), true),
    ("salts", Cell::Hashes { name: "field", hash: "salt" }, false),
    ("query", Cell::Text, true),
    ("headers", Cell::Headers, true),
    ("body", Cell::Bytes, true),
    ("body_bytes", Cell::Number, true),
    ("body_sha256", Cell::Fixed(32), true),
    ("body_capture", Cell::Text, true),
    ("parameters", Cell::Text, true),
    ("proof", Cell::Text, true),
    ("erased", Cell::Hashes { name: "field", hash: "commitment" }, false),
];

static RECORDS: LazyLock<SchemaRef> = LazyLock::new(|| schema(&RECORD_COLUMNS));
static PAYLOADS: LazyLock<SchemaRef> = LazyLock::new(|| schema(&PAYLOAD_COLUMNS));

/// Columns of the records table.
pub fn record_schema() -> SchemaRef {
    RECORDS.clone()
}

/// Columns of the payloads table.
pub fn payload_schema() -> SchemaRef {
    PAYLOADS.clone()
}

fn schema(columns: &[(&str, Cell, bool)]) -> SchemaRef {
    let field = |(name, cell, nullable): &(&str, Cell, bool)| Field::new(*name, cell.data_type(), *nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

impl Cell {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Texts => list_of(DataType::Utf8),
            Self::Number => DataType::UInt64,
            Self::Status => DataType::UInt16,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bytes => DataType::Binary,
            Self::Fixed(width) => DataType::FixedSizeBinary(*width),
            Self::Headers => list_of(DataType::Struct(header_fields())),
            Self::Hashes { name, hash } => list_of(DataType::Struct(hash_fields(name, hash))),
        }
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(element_field(element))
}

fn element_field(element: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", element, false))
}

fn header_fields() -> ArrowFields {
    vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Utf8, false)].into()
}

fn hash_fields(name: &str, hash: &str) -> ArrowFields {
    vec![Field::new(name, DataType::Utf8, false), Field::new(hash, DataType::FixedSizeBinary(32), false)].into()
}

/// Rows of the records table, each with its hash.
pub fn record_batch(ledger: &LedgerId, rows: &[(Record, Hash)]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Fields) -> &Option<Text>| texts_of(rows.iter().map(move |(r, _)| of(&r.fields).as_deref()));
    let list = |of: fn(&Fields) -> &Vec<Text>| lists_of(rows.iter().map(move |(r, _)| of(&r.fields).as_slice()));
    let number =
        |of: fn(&Fields) -> Option<u64>| -> ArrayRef { Arc::new(rows.iter().map(|(r, _)| of(&r.fields)).collect::<UInt64Array>()) };
    let columns: Vec<ArrayRef> = vec![
        texts_of(rows.iter().map(|_| Some(ledger.gateway().as_str()))),
        texts_of(rows.iter().map(|_| Some(ledger.window().as_str()))),
        Arc::new(rows.iter().map(|(r, _)| Some(r.seq)).collect::<UInt64Array>()),
        Arc::new(rows.iter().map(|(r, _)| Some(r.time)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        texts_of(rows.iter().map(|(r, _)| Some(r.fields.kind.as_str()))),
        number(|f| f.call),
        text(|f| &f.session),
        text(|f| &f.principal),
        text(|f| &f.principal_kind),
        text(|f| &f.acting_for),
        text(|f| &f.attribution),
        text(|f| &f.credential),
        list(|f| &f.credential_chain),
        text(|f| &f.client_addr),
        text(|f| &f.user_agent),
        text(|f| &f.provider),
        text(|f| &f.account),
        text(|f| &f.region),
        text(|f| &f.service),
        text(|f| &f.operation),
        text(|f| &f.access),
        list(|f| &f.resources),
        text(|f| &f.method),
        text(|f| &f.host),
        text(|f| &f.path),
        text(|f| &f.decision),
        list(|f| &f.rules),
        Arc::new(rows.iter().map(|(r, _)| r.fields.status).collect::<UInt16Array>()),
        text(|f| &f.error_code),
        text(|f| &f.upstream_request_id),
        number(|f| f.duration_us),
        number(|f| f.request_bytes),
        number(|f| f.response_bytes),
        text(|f| &f.detail),
        fixed_of(32, rows.iter().map(|(r, _)| r.fields.payload_hash.as_ref().map(|hash| hash.0.as_slice())))?,
        fixed_of(32, rows.iter().map(|(_, hash)| Some(hash.0.as_slice())))?,
    ];
    RecordBatch::try_new(record_schema(), columns)
}

/// Rows of the payloads table, each with the `seq` of its record.
pub fn payload_batch(ledger: &LedgerId, rows: &[(u64, Payload)]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&Payload) -> Option<&str>| texts_of(rows.iter().map(move |(_, p)| of(p)));
    let salts = |p: &Payload| match &p.salts {
        Salts::Row(_) => Vec::new(),
        Salts::Fields(salts) => salts.clone(),
    };
    let columns: Vec<ArrayRef> = vec![
        texts_of(rows.iter().map(|_| Some(ledger.gateway().as_str()))),
        texts_of(rows.iter().map(|_| Some(ledger.window().as_str()))),
        Arc::new(rows.iter().map(|(seq, _)| Some(*seq)).collect::<UInt64Array>()),
        fixed_of(16, rows.iter().map(|(_, p)| if let Salts::Row(salt) = &p.salts { Some(salt.as_slice()) } else { None }))?,
        hashes_of("field", "salt", rows.iter().map(|(_, p)| salts(p)))?,
        text(|p| p.query.as_deref()),
        headers_of(rows.iter().map(|(_, p)| p.headers.as_deref()))?,
        Arc::new(rows.iter().map(|(_, p)| p.body.as_deref()).collect::<BinaryArray>()),
        Arc::new(rows.iter().map(|(_, p)| p.body_bytes).collect::<UInt64Array>()),
        fixed_of(32, rows.iter().map(|(_, p)| p.body_sha256.as_ref().map(|hash| hash.0.as_slice())))?,
        text(|p| p.body_capture.map(Capture::as_str)),
        text(|p| p.parameters.as_deref()),
        text(|p| p.proof.as_deref()),
        hashes_of("field", "commitment", rows.iter().map(|(_, p)| p.erased.clone()))?,
    ];
    RecordBatch::try_new(payload_schema(), columns)
}

fn texts_of<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn lists_of<'a>(values: impl Iterator<Item = &'a [Text]>) -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(element_field(DataType::Utf8));
    for texts in values {
        texts.iter().for_each(|text| list.values().append_value(text.as_str()));
        list.append(true);
    }
    Arc::new(list.finish())
}

fn fixed_of<'a>(width: i32, values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, width)?))
}

fn headers_of<'a>(values: impl Iterator<Item = Option<&'a [(Text, Text)]>>) -> Result<ArrayRef, ArrowError> {
    let pair = StructBuilder::new(header_fields(), vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new())]);
    let mut list = ListBuilder::new(pair).with_field(element_field(DataType::Struct(header_fields())));
    for headers in values {
        for (name, value) in headers.unwrap_or_default() {
            let pair = list.values();
            builder_field::<StringBuilder>(pair, 0)?.append_value(name.as_str());
            builder_field::<StringBuilder>(pair, 1)?.append_value(value.as_str());
            pair.append(true);
        }
        list.append(headers.is_some());
    }
    Ok(Arc::new(list.finish()))
}

fn hashes_of(name: &str, hash: &str, values: impl Iterator<Item = Vec<(Text, Hash)>>) -> Result<ArrayRef, ArrowError> {
    let fields = hash_fields(name, hash);
    let pair = StructBuilder::new(fields.clone(), vec![Box::new(StringBuilder::new()), Box::new(FixedSizeBinaryBuilder::new(32))]);
    let mut list = ListBuilder::new(pair).with_field(element_field(DataType::Struct(fields)));
    for pairs in values {
        for (name, hash) in pairs {
            let pair = list.values();
            builder_field::<StringBuilder>(pair, 0)?.append_value(name.as_str());
            builder_field::<FixedSizeBinaryBuilder>(pair, 1)?.append_value(hash.0)?;
            pair.append(true);
        }
        list.append(true);
    }
    Ok(Arc::new(list.finish()))
}

fn builder_field<B: arrow::array::ArrayBuilder>(pair: &mut StructBuilder, index: usize) -> Result<&mut B, ArrowError> {
    pair.field_builder(index).ok_or_else(|| ArrowError::SchemaError("a pair has other fields than its schema".to_owned()))
}

/// Reads rows back. The batch must have exactly [`record_schema`].
pub fn record_rows(batch: &RecordBatch) -> impl Iterator<Item = Result<RecordRow, BadCell>> {
    let c = Reader { batch, columns: &RECORD_COLUMNS };
    (0..batch.num_rows()).map(move |row| record_row(&c, row))
}

fn record_row(c: &Reader<'_>, row: usize) -> Result<RecordRow, BadCell> {
    let fields = Fields {
        kind: Kind::parse(&c.text(4, row)?).ok_or(c.bad(4, row))?,
        call: c.number(5, row)?,
        session: c.optional_text(6, row)?,
        principal: c.optional_text(7, row)?,
        principal_kind: c.optional_text(8, row)?,
        acting_for: c.optional_text(9, row)?,
        attribution: c.optional_text(10, row)?,
        credential: c.optional_text(11, row)?,
        credential_chain: c.texts(12, row)?,
        client_addr: c.optional_text(13, row)?,
        user_agent: c.optional_text(14, row)?,
        provider: c.optional_text(15, row)?,
        account: c.optional_text(16, row)?,
        region: c.optional_text(17, row)?,
        service: c.optional_text(18, row)?,
        operation: c.optional_text(19, row)?,
        access: c.optional_text(20, row)?,
        resources: c.texts(21, row)?,
        method: c.optional_text(22, row)?,
        host: c.optional_text(23, row)?,
        path: c.optional_text(24, row)?,
        decision: c.optional_text(25, row)?,
        rules: c.texts(26, row)?,
        status: c.status(27, row)?,
        error_code: c.optional_text(28, row)?,
        upstream_request_id: c.optional_text(29, row)?,
        duration_us: c.number(30, row)?,
        request_bytes: c.number(31, row)?,
        response_bytes: c.number(32, row)?,
        detail: c.optional_text(33, row)?,
        payload_hash: c.hash(34, row)?,
    };
    Ok(RecordRow {
        ledger: (c.text(0, row)?, c.text(1, row)?),
        record: Record { seq: c.number(2, row)?.ok_or(c.bad(2, row))?, time: c.time(3, row)?, fields },
        hash: c.hash(35, row)?.ok_or(c.bad(35, row))?,
    })
}

/// Reads rows back. The batch must have exactly [`payload_schema`].
pub fn payload_rows(batch: &RecordBatch) -> impl Iterator<Item = Result<PayloadRow, BadCell>> {
    let c = Reader { batch, columns: &PAYLOAD_COLUMNS };
    (0..batch.num_rows()).map(move |row| payload_row(&c, row))
}

fn payload_row(c: &Reader<'_>, row: usize) -> Result<PayloadRow, BadCell> {
    let salts = match c.fixed::<16>(3, row)? {
        Some(_) if !c.hashes(4, row)?.is_empty() => return Err(c.bad(4, row)),
        Some(salt) => Salts::Row(salt),
        None => Salts::Fields(c.hashes(4, row)?),
    };
    let capture = c.optional_text(10, row)?;
    let payload = Payload {
        salts,
        query: c.optional_text(5, row)?,
        headers: c.headers(6, row)?,
        body: c.binary(7, row)?,
        body_bytes: c.number(8, row)?,
        body_sha256: c.hash(9, row)?,
        body_capture: capture.map(|word| Capture::parse(&word).ok_or(c.bad(10, row))).transpose()?,
        parameters: c.optional_text(11, row)?,
        proof: c.optional_text(12, row)?,
        erased: c.hashes(13, row)?,
    };
    Ok(PayloadRow { ledger: (c.text(0, row)?, c.text(1, row)?), seq: c.number(2, row)?.ok_or(c.bad(2, row))?, payload })
}

struct Reader<'a> {
    batch: &'a RecordBatch,
    columns: &'static [(&'static str, Cell, bool)],
}

impl Reader<'_> {
    fn bad(&self, column: usize, row: usize) -> BadCell {
        BadCell { column: self.columns.get(column).map_or("", |(name, ..)| name), row }
    }

    /// The column's array where it has a value in this row.
    fn array(&self, column: usize, row: usize) -> Result<Option<&ArrayRef>, BadCell> {
        let array = self.batch.columns().get(column).filter(|array| row < array.len()).ok_or(self.bad(column, row))?;
        Ok(array.is_valid(row).then_some(array))
    }

    fn optional_text(&self, column: usize, row: usize) -> Result<Option<Text>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        let texts = array.as_string_opt::<i32>().ok_or(self.bad(column, row))?;
        Ok(Some(texts.value(row).to_owned().into()))
    }

    fn text(&self, column: usize, row: usize) -> Result<Text, BadCell> {
        self.optional_text(column, row)?.ok_or(self.bad(column, row))
    }

    fn number(&self, column: usize, row: usize) -> Result<Option<u64>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        Ok(Some(array.as_primitive_opt::<UInt64Type>().ok_or(self.bad(column, row))?.value(row)))
    }

    fn status(&self, column: usize, row: usize) -> Result<Option<u16>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        Ok(Some(array.as_primitive_opt::<UInt16Type>().ok_or(self.bad(column, row))?.value(row)))
    }

    fn time(&self, column: usize, row: usize) -> Result<i64, BadCell> {
        let array = self.array(column, row)?.ok_or(self.bad(column, row))?;
        Ok(array.as_primitive_opt::<TimestampMicrosecondType>().ok_or(self.bad(column, row))?.value(row))
    }

    fn fixed<const N: usize>(&self, column: usize, row: usize) -> Result<Option<[u8; N]>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        let fixed = array.as_fixed_size_binary_opt().ok_or(self.bad(column, row))?;
        Ok(Some(fixed.value(row).try_into().map_err(|_| self.bad(column, row))?))
    }

    fn hash(&self, column: usize, row: usize) -> Result<Option<Hash>, BadCell> {
        Ok(self.fixed::<32>(column, row)?.map(Hash))
    }

    fn binary(&self, column: usize, row: usize) -> Result<Option<Bytes>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        let binary = array.as_binary_opt::<i32>().ok_or(self.bad(column, row))?;
        Ok(Some(Bytes::copy_from_slice(binary.value(row))))
    }

    /// The elements of a list in this row.
    fn elements(&self, column: usize, row: usize) -> Result<Option<ArrayRef>, BadCell> {
        let Some(array) = self.array(column, row)? else { return Ok(None) };
        let list: &GenericListArray<i32> = array.as_list_opt().ok_or(self.bad(column, row))?;
        Ok(Some(list.value(row)))
    }

    fn texts(&self, column: usize, row: usize) -> Result<Vec<Text>, BadCell> {
        let elements = self.elements(column, row)?.ok_or(self.bad(column, row))?;
        let texts = elements.as_string_opt::<i32>().ok_or(self.bad(column, row))?;
        texts.iter().map(|text| Ok(text.ok_or(self.bad(column, row))?.to_owned().into())).collect()
    }

    /// The two fields of a list of pairs.
    fn pairs(&self, column: usize, row: usize) -> Result<Option<(ArrayRef, ArrayRef)>, BadCell> {
        let Some(elements) = self.elements(column, row)? else { return Ok(None) };
        let pairs = elements.as_struct_opt().ok_or(self.bad(column, row))?;
        match pairs.columns() {
            [first, second] if pairs.null_count() == 0 => Ok(Some((first.clone(), second.clone()))),
            _ => Err(self.bad(column, row)),
        }
    }

    fn headers(&self, column: usize, row: usize) -> Result<Option<Vec<(Text, Text)>>, BadCell> {
        let Some((names, values)) = self.pairs(column, row)? else { return Ok(None) };
        let (Some(names), Some(values)) = (names.as_string_opt::<i32>(), values.as_string_opt::<i32>()) else {
            return Err(self.bad(column, row));
        };
        let pair = |(name, value): (Option<&str>, Option<&str>)| Some((name?.to_owned().into(), value?.to_owned().into()));
        names.iter().zip(values).map(|both| pair(both).ok_or(self.bad(column, row))).collect::<Result<_, _>>().map(Some)
    }

    fn hashes(&self, column: usize, row: usize) -> Result<Vec<(Text, Hash)>, BadCell> {
        let (names, hashes) = self.pairs(column, row)?.ok_or(self.bad(column, row))?;
        let (Some(names), Some(hashes)) = (names.as_string_opt::<i32>(), hashes.as_fixed_size_binary_opt()) else {
            return Err(self.bad(column, row));
        };
        let pair = |(name, hash): (Option<&str>, Option<&[u8]>)| Some((name?.to_owned().into(), Hash::try_from(hash?).ok()?));
        names.iter().zip(hashes.iter()).map(|both| pair(both).ok_or(self.bad(column, row))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn rows_read_back_from_columns() {
        let ledger = samples::ledger();
        let names = (ledger.gateway().clone(), ledger.window().clone());
        let records: Vec<_> = samples::records().into_iter().map(|record| (record, Hash::ZERO)).collect();
        let rows: Vec<_> = record_rows(&record_batch(&ledger, &records).unwrap()).collect::<Result<_, _>>().unwrap();
        let expected = records.into_iter().map(|(record, hash)| RecordRow { ledger: names.clone(), record, hash });
        assert_eq!(rows, expected.collect::<Vec<_>>());

        let payloads = samples::payloads();
        let rows: Vec<_> = payload_rows(&payload_batch(&ledger, &payloads).unwrap()).collect::<Result<_, _>>().unwrap();
        let expected = payloads.into_iter().map(|(seq, payload)| PayloadRow { ledger: names.clone(), seq, payload });
        assert_eq!(rows, expected.collect::<Vec<_>>());
    }
}
