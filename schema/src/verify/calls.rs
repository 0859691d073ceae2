//! The grammar of a ledger: it opens, every call that left has one outcome, it closes with the right counts.

use crate::{Record, record::Kind};
use std::collections::{BTreeMap, HashSet};

/// What the records so far say.
#[derive(Debug, Default)]
pub(super) struct Calls {
    counts: BTreeMap<String, u64>,
    /// Intents without an outcome yet.
    open: HashSet<u64>,
    closed: bool,
}

impl Calls {
    /// Takes the next record; returns what is wrong with its place.
    pub(super) fn take(&mut self, record: &Record) -> Option<String> {
        *self.counts.entry(record.fields.kind.as_str().to_owned()).or_default() += 1;
        if self.closed {
            return Some("a record follows window_close".to_owned());
        }
        if (record.seq == 0) != (record.fields.kind == Kind::WindowOpen) {
            return Some("window_open is the first record and no other".to_owned());
        }
        match record.fields.kind {
            Kind::Intent => self.intent(record),
            Kind::RequestBody => self.open_call(record).err(),
            Kind::Outcome | Kind::OutcomeUnknown => match self.open_call(record) {
                Ok(call) => {
                    self.open.remove(&call);
                    None
                }
                Err(what) => Some(what),
            },
            Kind::WindowClose => self.close(record),
            _ => None,
        }
    }

    fn intent(&mut self, record: &Record) -> Option<String> {
        self.open.insert(record.seq);
        (record.fields.call != Some(record.seq)).then(|| "an intent names itself in `call`".to_owned())
    }

    fn open_call(&self, record: &Record) -> Result<u64, String> {
        let call = record.fields.call.ok_or("it names no call")?;
        if self.open.contains(&call) { Ok(call) } else { Err(format!("call {call} is not an intent that waits for an outcome")) }
    }

    fn close(&mut self, record: &Record) -> Option<String> {
        self.closed = true;
        let detail: Option<serde_json::Value> = record.fields.detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let counts = detail.as_ref().and_then(|detail| detail.get("counts"));
        let expected = serde_json::to_value(&self.counts).ok();
        if counts != expected.as_ref() {
            return Some("the counts in window_close are not those of the records".to_owned());
        }
        (!self.open.is_empty()).then(|| format!("{} calls have no outcome", self.open.len()))
    }

    /// Records by kind.
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Whether `window_close` was seen.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }
}
