//! The evidence itself: canonical CBOR, the preimages of records, rows of payloads, Parquet files.

use crate::samples;
use bytes::Bytes;
use sealgate_schema::{
    Hash, Payload, Record,
    canonical::{DecodeError, Decoder, Encoder},
    parquet::{self, Rows},
    seal::Table,
};
use std::sync::LazyLock;

/// One value has one encoding: what is read writes back the same.
pub(crate) fn cbor(data: &[u8]) -> bool {
    let mut decoder = Decoder::new(data);
    let Ok(value) = decoder.any() else { return false };
    assert!(data.starts_with(value));
    let mut again = Vec::new();
    let mut once_more = Decoder::new(value);
    rewrite(&mut once_more, &mut again).expect("what `any` passes over can be read");
    once_more.finish().expect("and nothing is left of it");
    assert_eq!(again, value);
    true
}

/// Reads one value of whatever type, and writes it.
fn rewrite(d: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    if let Ok(None) = d.clone().optional(Decoder::unsigned) {
        Encoder::new(out).null();
        return d.optional(Decoder::unsigned).map(drop);
    }
    let before = d.clone();
    if let Ok(value) = d.unsigned() {
        Encoder::new(out).unsigned(value);
    } else if let Ok(value) = {
        *d = before.clone();
        d.signed()
    } {
        Encoder::new(out).signed(value);
    } else if let Ok(value) = {
        *d = before.clone();
        d.bytes()
    } {
        Encoder::new(out).bytes(value);
    } else if let Ok(value) = {
        *d = before.clone();
        d.text()
    } {
        Encoder::new(out).text(value);
    } else {
        *d = before;
        let length = d.array()?;
        Encoder::new(out).array(length);
        for _ in 0..length {
            rewrite(d, out)?;
        }
    }
    Ok(())
}

/// A record has one preimage.
pub(crate) fn record(data: &[u8]) -> bool {
    let Ok((ledger, previous, record)) = Record::decode(data) else { return false };
    let mut again = Vec::new();
    record.encode(&ledger, &previous, &mut again);
    assert_eq!(again, data);
    true
}

/// A payload row has one encoding, and no fault or a commitment of its own for each value.
pub(crate) fn payload(data: &[u8]) -> bool {
    let Ok(payload) = Payload::decode(data) else { return false };
    let mut again = Vec::new();
    payload.encode(&mut again);
    assert_eq!(again, data);
    if payload.fault().is_none() {
        let mut changed = payload.clone();
        changed.query = Some(format!("{}x", payload.query.as_deref().unwrap_or_default()).into());
        assert!(changed.fault().is_some() || changed.commitment() != payload.commitment(), "a value that nothing binds");
    }
    true
}

/// A records file without faults holds what is written again without faults.
pub(crate) fn records_file(data: &[u8]) -> bool {
    let read = |bytes: Vec<u8>| parquet::read(Table::Records, &samples::ledger(), 0, &Bytes::from(bytes));
    let contents = read(data.to_vec());
    let Rows::Records(rows) = contents.rows else { panic!("records were asked for") };
    if !contents.faults.is_empty() {
        return false;
    }
    let plain: Vec<(Record, Hash)> = rows.iter().map(|row| (row.record.clone(), row.hash)).collect();
    let again = read(parquet::write_records(&samples::ledger(), 0, &plain).expect("rows that were read"));
    assert_eq!(again.faults, Vec::<String>::new());
    let Rows::Records(rows) = again.rows else { panic!("records were asked for") };
    assert_eq!(rows.into_iter().map(|row| (row.record, row.hash)).collect::<Vec<_>>(), plain);
    true
}

/// A file that holds rows, and where its footer starts.
struct Pages {
    table: Table,
    file: Vec<u8>,
    footer: usize,
}

/// Of each table, the first seed.
static PAGES: LazyLock<[Pages; 2]> = LazyLock::new(|| {
    [(Table::Records, samples::records_files()), (Table::Payloads, samples::payloads_files())].map(|(table, files)| {
        let file = files.into_iter().next().expect("there is a seed");
        let footer = footer_start(&file);
        Pages { table, file, footer }
    })
});

fn footer_start(file: &[u8]) -> usize {
    let (rest, tail) = file.split_at(file.len() - 8);
    rest.len() - u32::from_le_bytes(tail[..4].try_into().expect("four bytes")) as usize
}

/// To the pages of a file there is one footer.
pub(crate) fn footer(data: &[u8]) -> bool {
    let taken = |pages: &Pages| {
        let length = u32::try_from(data.len()).expect("an input is short").to_le_bytes();
        let file = [&pages.file[..pages.footer], data, &length, b"PAR1"].concat();
        let holds = parquet::read(pages.table, &samples::ledger(), 0, &Bytes::from(file.clone())).faults.is_empty();
        assert!(!holds || file == pages.file, "a second footer for the same pages");
        holds
    };
    PAGES.iter().any(taken)
}

pub(crate) fn footer_seeds() -> Vec<Vec<u8>> {
    PAGES.iter().map(|pages| pages.file[pages.footer..pages.file.len() - 8].to_vec()).collect()
}

/// The same of a payloads file.
pub(crate) fn payloads_file(data: &[u8]) -> bool {
    let read = |bytes: Vec<u8>| parquet::read(Table::Payloads, &samples::ledger(), 0, &Bytes::from(bytes));
    let contents = read(data.to_vec());
    let Rows::Payloads(rows) = contents.rows else { panic!("payloads were asked for") };
    if !contents.faults.is_empty() {
        return false;
    }
    let plain: Vec<(u64, Payload)> = rows.iter().map(|row| (row.seq, row.payload.clone())).collect();
    let again = read(parquet::write_payloads(&samples::ledger(), 0, &plain).expect("rows that were read"));
    assert_eq!(again.faults, Vec::<String>::new());
    let Rows::Payloads(rows) = again.rows else { panic!("payloads were asked for") };
    assert_eq!(rows.into_iter().map(|row| (row.seq, row.payload)).collect::<Vec<_>>(), plain);
    true
}
