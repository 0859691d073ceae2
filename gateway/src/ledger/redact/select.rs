//! Which payload rows an erasure means: found in the records, which say what belongs to a call and to a session.

use super::{Place, RedactError};
use sealgate_schema::{columns::RecordRow, parquet, payload::FIELDS, record::Kind, seal::Table, verify::Standing};
use std::collections::BTreeSet;

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// That of one record.
    Record(u64),
    /// Those of a call, by the `seq` of its intent: request, request body, outcome.
    Call(u64),
    /// Those of a session: its records, and what belongs to its calls.
    Session(String),
    /// All of the window.
    All,
}

/// What is to go.
#[derive(Debug, Clone)]
pub struct Selection {
    pub(super) rows: Rows,
    pub(super) fields: Vec<&'static str>,
}

impl Selection {
    /// These fields of these rows; every field where none is named.
    pub fn new(rows: Rows, fields: &[String]) -> Result<Self, RedactError> {
        let known = |name: &String| {
            let wrong = || RedactError::Invalid(format!("payloads have no field {name:?}; they have: {}", FIELDS.join(", ")));
            FIELDS.into_iter().find(|field| field == name).ok_or_else(wrong)
        };
        let fields = fields.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { rows, fields: if fields.is_empty() { FIELDS.to_vec() } else { fields } })
    }
}

/// The records that are meant.
pub(super) enum Chosen {
    All,
    Seqs(BTreeSet<u64>),
}

impl Chosen {
    pub(super) fn has(&self, seq: u64) -> bool {
        match self {
            Self::All => true,
            Self::Seqs(seqs) => seqs.contains(&seq),
        }
    }

    /// Whether a file is a payloads file that may have rows of them.
    pub(super) fn concerns(&self, file: &Standing) -> bool {
        let within = |seqs: &BTreeSet<u64>| seqs.range(span(file)).next().is_some();
        file.file.table == Table::Payloads && !matches!(self, Self::Seqs(seqs) if !within(seqs))
    }

    /// Why nothing is to be erased.
    pub(super) fn nothing(&self, rows: &Rows, window: &str) -> RedactError {
        let what = match rows {
            Rows::Record(seq) => format!("record {seq}"),
            Rows::Call(seq) => format!("call {seq}"),
            Rows::Session(id) => format!("session {id}"),
            Rows::All => "the payloads".to_owned(),
        };
        RedactError::Conflict(format!(
            "there is nothing to erase: {what} of window {window} never had a value in these fields, or has them no longer"
        ))
    }
}

/// The `seq` of the records of a file's part.
fn span(file: &Standing) -> std::ops::Range<u64> {
    file.file.first_seq..file.file.first_seq.saturating_add(file.file.records)
}

/// Finds the records that are meant. The records files that have to be looked at are read with `read`.
pub(super) fn choose(
    rows: &Rows,
    place: &Place,
    read: impl Fn(&Standing) -> Result<parquet::Rows, RedactError>,
) -> Result<Chosen, RedactError> {
    let window = place.ledger.window();
    let exists = |seq: u64| match place.manifest.records {
        records if seq < records => Ok(()),
        records => {
            Err(RedactError::NotFound(format!("window {window} has the records 0 to {}, and no {seq}", records.saturating_sub(1))))
        }
    };
    let first = match rows {
        Rows::All => return Ok(Chosen::All),
        Rows::Record(seq) => return exists(*seq).map(|()| Chosen::Seqs(BTreeSet::from([*seq]))),
        Rows::Call(seq) => exists(*seq).map(|()| *seq)?,
        Rows::Session(_) => 0,
    };
    let mut seqs = BTreeSet::new();
    for file in place.files.iter().filter(|file| file.file.table == Table::Records && span(file).end > first) {
        let parquet::Rows::Records(records) = read(file)? else { continue };
        for row in &records {
            if is_meant(rows, row, &seqs)? {
                seqs.insert(row.record.seq);
            }
        }
    }
    match rows {
        Rows::Session(id) if seqs.is_empty() => {
            Err(RedactError::NotFound(format!("no record of window {window} is of session {id}")))
        }
        _ => Ok(Chosen::Seqs(seqs)),
    }
}

/// Whether a record is meant, of which those in `seqs` stand before it.
fn is_meant(rows: &Rows, row: &RecordRow, seqs: &BTreeSet<u64>) -> Result<bool, RedactError> {
    let record = &row.record;
    match rows {
        Rows::Call(call) if record.seq == *call && record.fields.kind != Kind::Intent => {
            let instead = match record.fields.call {
                Some(call) => format!("it belongs to call {call}: use --call {call}"),
                None => format!("use --seq {call} for it alone"),
            };
            Err(RedactError::Invalid(format!(
                "record {call} ({}) is not the intent of a call; {instead}",
                record.fields.kind.as_str()
            )))
        }
        Rows::Call(call) => Ok(record.fields.call == Some(*call)),
        Rows::Session(id) => {
            let of_call = record.fields.call.is_some_and(|call| seqs.contains(&call));
            Ok(of_call || record.fields.session.as_deref() == Some(id))
        }
        Rows::Record(_) | Rows::All => Ok(false),
    }
}
