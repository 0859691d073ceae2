//! Checks a bundle from its bytes and what the caller trusts. No file, no network, no private key.
//!
//! The order is that of trust: the log tells which key may sign the note, the note signs the tree that the records are in, the
//! record binds its payload. The first thing that does not hold ends the check, and then nothing of the bundle is shown.

use super::{Bundle, PayloadPart, RecordPart, log};
use crate::{
    Hash, LedgerId, Record, Text,
    canonical::{DecodeError, Decoder},
    log::{Entry, Event},
    merkle::{is_consistent, is_included, leaf_hash},
    note::VerifierKey,
    payload::{FIELD_TAG, FIELDS, Header, PAYLOAD_TAG, decode_headers},
    record::Kind,
    seal::{Manifest, State},
    verify::{Asked, Finding, Level, Verdict, Vouched, statement_of},
    windows::{Mark, Windows},
};

/// What became of a bundle.
#[derive(Debug)]
pub struct ProofReport {
    /// A verdict a level, in the order of [`Level::ALL`]. L1, L4 and L5 are never checked here.
    pub verdicts: [Verdict; 7],
    /// What does not hold.
    pub finding: Option<Finding>,
    /// What the bundle shows; nothing where something does not hold.
    pub shown: Option<Shown>,
}

/// What a bundle that holds shows.
#[derive(Debug)]
pub struct Shown {
    /// Whose record.
    pub ledger: LedgerId,
    /// What the note says of the ledger.
    pub state: State,
    /// Records that the note speaks of.
    pub records: u64,
    /// Root over them.
    pub root: Hash,
    /// The record.
    pub record: Record,
    /// Its hash.
    pub hash: Hash,
    /// Under which session and window.
    pub approval: Approval,
    /// Who signed the statement that the record holds, where it holds one.
    pub vouched: Option<Vouched>,
    /// The fields of its payload; empty where the bundle shows nothing of it.
    pub payload: Vec<(&'static str, Field)>,
    /// The checkpoint that everything rests on, as it was signed.
    pub checkpoint: String,
    /// Entries that it speaks of.
    pub size: u64,
    /// Root over them.
    pub log_root: Hash,
    /// The identity key that signed it.
    pub identity: VerifierKey,
    /// Its signature lines by others. They are not checked here.
    pub cosignatures: usize,
    /// Whether every checkpoint that the caller kept was compared, and there was one.
    pub pinned: bool,
}

/// The records under which the one shown came to be.
#[derive(Debug)]
pub struct Approval {
    /// The opening of the window.
    pub window_open: Record,
    /// The intent of the call that the record belongs to, where it is another record.
    pub intent: Option<Record>,
    /// The opening of the session, where the bundle has it.
    pub session_open: Option<Record>,
}

impl Shown {
    /// The session that the record, or the intent of its call, names.
    pub fn session(&self) -> Option<&Text> {
        session(&self.record, self.approval.intent.as_ref())
    }
}

/// What is seen of one field of the payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// The value.
    Value(Value),
    /// That it has none.
    Empty,
    /// Nothing: it was not revealed, or it was erased.
    Hidden,
}

/// A value of a payload's field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `query`, `body_capture`, `parameters`, `proof`.
    Text(String),
    /// `headers`.
    Headers(Vec<Header>),
    /// `body`.
    Bytes(Vec<u8>),
    /// `body_bytes`.
    Number(u64),
    /// `body_sha256`.
    Hash(Hash),
}

impl ProofReport {
    /// The verdict on one level.
    pub fn verdict(&self, level: Level) -> Verdict {
        self.verdicts.get(level as usize).copied().unwrap_or(Verdict::NotChecked)
    }

    /// Sets the verdict on one level, which somebody else checked.
    pub fn set_verdict(&mut self, level: Level, verdict: Verdict) {
        if let Some(place) = self.verdicts.get_mut(level as usize) {
            *place = verdict;
        }
    }

    /// Says what does not hold; nothing is shown any more.
    pub fn refuse(&mut self, level: Level, place: impl Into<String>, what: impl Into<String>) {
        self.set_verdict(level, Verdict::Fail);
        self.finding = Some(Finding { level, seq: None, place: place.into(), what: what.into() });
        self.shown = None;
    }
}

/// Checks the bytes of a bundle under the caller's keys and pins.
pub fn check(bytes: &[u8], asked: &Asked) -> ProofReport {
    let mut report = ProofReport { verdicts: [Verdict::NotChecked; 7], finding: None, shown: None };
    match steps(bytes, asked, &mut report) {
        Ok(shown) => report.shown = Some(shown),
        Err(finding) => report.refuse(finding.level, finding.place, finding.what),
    }
    report
}

fn steps(bytes: &[u8], asked: &Asked, report: &mut ProofReport) -> Result<Shown, Finding> {
    let bundle = Bundle::parse(bytes).map_err(|error| bad(Level::L0, "bundle", error.to_string()))?;
    let ledger = LedgerId::new(bundle.gateway.clone(), bundle.window.clone())
        .map_err(|error| bad(Level::L0, "bundle", error.to_string()))?;
    let log = log::check(&bundle, asked).map_err(|(place, what)| bad(Level::L3, place, what))?;
    let (manifest, root) = note(&bundle, &ledger, &log.windows).map_err(|what| bad(Level::L0, "note", what))?;
    report.set_verdict(Level::L0, Verdict::Pass);
    let at = Mark { records: manifest.records, root };
    agrees(&bundle, &manifest, at, &log.windows).map_err(|what| bad(Level::L3, "log", what))?;
    let records = records(&bundle, &ledger, &manifest, root);
    let records = records.map_err(|(seq, what)| bad(Level::L2, format!("record {seq}"), what))?;
    let (record, hash, approval) = roles(&bundle, records).map_err(|what| bad(Level::L2, "records", what))?;
    let payload = bundle.payload.as_ref().map_or(Ok(Vec::new()), |payload| payload_fields(payload, &record));
    let payload = payload.map_err(|what| bad(Level::L2, "payload", what))?;
    let vouched = statement_of(&ledger, &record, asked.signers.as_ref());
    let vouched = vouched.map_err(|(level, what)| bad(level, format!("record {}", record.seq), what))?;
    report.set_verdict(Level::L2, Verdict::Pass);
    if vouched.as_ref().is_some_and(|vouched| vouched.theirs == Some(true)) {
        report.set_verdict(Level::L6, Verdict::Pass);
    }
    if log.pinned {
        report.set_verdict(Level::L3, Verdict::Pass);
    }
    Ok(Shown {
        ledger,
        state: manifest.state,
        records: manifest.records,
        root,
        record,
        hash,
        approval,
        vouched,
        payload,
        cosignatures: bundle.log.checkpoint.lines().filter(|line| line.starts_with('\u{2014}')).count().saturating_sub(1),
        checkpoint: bundle.log.checkpoint,
        size: log.checkpoint.size,
        log_root: log.checkpoint.root,
        identity: log.identity.key,
        pinned: log.pinned,
    })
}

fn bad(level: Level, place: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding { level, seq: None, place: place.into(), what: what.into() }
}

/// The note under the key that the log binds to its size.
fn note(bundle: &Bundle, ledger: &LedgerId, windows: &Windows) -> Result<(Manifest, Hash), String> {
    let records = Manifest::records_of(&bundle.note).map_err(|error| error.to_string())?;
    let key = windows.window(ledger.window()).and_then(|window| window.key_at(records));
    let key = key.ok_or("the entries shown bind no key to a note of so many records")?;
    let (manifest, root) = Manifest::open(&bundle.note, key).map_err(|error| error.to_string())?;
    if manifest.ledger().as_ref() == Ok(ledger) { Ok((manifest, root)) } else { Err("it is of another ledger".to_owned()) }
}

/// What the entries say of the ledger is what its note says.
fn agrees(bundle: &Bundle, manifest: &Manifest, at: Mark, windows: &Windows) -> Result<(), String> {
    for part in &bundle.log.entries {
        let entry = Entry::decode(part.entry.as_bytes()).map_err(|error| error.to_string())?;
        let grows = match &entry.event {
            Event::Open { records, root, .. } | Event::Head { records, root, .. } | Event::Seal { records, root, .. } => {
                let root = Hash::from_hex(root).ok_or("a hash is 64 hex digits")?;
                *records <= at.records && is_consistent(*records, &root, at.records, &at.root, &part.ledger_proof)
            }
            _ => part.ledger_proof.is_empty(),
        };
        if !grows {
            return Err(format!("the ledger does not go on from where entry {} says that it was", part.index));
        }
    }
    let seal = windows.window(&bundle.window).and_then(|window| window.seal);
    match (manifest.state, seal) {
        (State::Open, None) => Ok(()),
        (State::Sealed, Some(seal)) if seal.at == at && seal.note == Some(Hash::of(&[bundle.note.as_bytes()])) => Ok(()),
        (State::Sealed, None) => Err("the note says sealed, and no seal entry is shown".to_owned()),
        _ => Err("the note is not the one that the seal entry names".to_owned()),
    }
}

/// Each record against its place in the signed tree.
fn records(bundle: &Bundle, ledger: &LedgerId, manifest: &Manifest, root: Hash) -> Result<Vec<(Record, Hash)>, (u64, String)> {
    let mut records: Vec<(Record, Hash)> = Vec::new();
    for RecordPart { preimage, proof } in &bundle.records {
        let decoded = Record::decode(preimage).map_err(|error| (bundle.seq, format!("not a record's preimage: {error}")))?;
        let (whose, previous, record) = decoded;
        let (seq, hash) = (record.seq, Hash::of(&[preimage]));
        let fault = |what: &str| (seq, what.to_owned());
        if whose != *ledger {
            return Err(fault("it is of another ledger"));
        }
        if !is_included(leaf_hash(&hash.0), seq, manifest.records, proof, &root) {
            return Err(fault("its proof does not lead to the signed root"));
        }
        if let Some((before, hash)) = records.last() {
            if seq <= before.seq {
                return Err(fault("records stand in order, each once"));
            }
            if before.seq + 1 == seq && previous != *hash {
                return Err(fault("it does not follow the record before it"));
            }
        }
        if (seq == 0) != (record.fields.kind == Kind::WindowOpen) || (seq == 0 && previous != Hash::ZERO) {
            return Err(fault("window_open is the first record and no other"));
        }
        let last = seq + 1 == manifest.records;
        if last && hash.to_string() != manifest.head {
            return Err(fault("it is the last record, and its hash is not the signed head"));
        }
        if (record.fields.kind == Kind::WindowClose) != (last && manifest.state == State::Sealed) {
            return Err(fault("window_close is the last record of a sealed ledger and no other"));
        }
        records.push((record, hash));
    }
    Ok(records)
}

fn session<'a>(record: &'a Record, intent: Option<&'a Record>) -> Option<&'a Text> {
    record.fields.session.as_ref().or(intent.and_then(|intent| intent.fields.session.as_ref()))
}

/// Which record is which: the one that the bundle is about, its window's opening, its call's intent, its session's opening.
fn roles(bundle: &Bundle, mut records: Vec<(Record, Hash)>) -> Result<(Record, Hash, Approval), &'static str> {
    let mut take =
        |wanted: &dyn Fn(&Record) -> bool| records.iter().position(|(record, _)| wanted(record)).map(|place| records.remove(place));
    let (record, hash) = take(&|record| record.seq == bundle.seq).ok_or("the record that the bundle is about is not in it")?;
    let call = record.fields.call.filter(|call| *call != record.seq);
    if record.fields.kind == Kind::Intent && record.fields.call != Some(record.seq) {
        return Err("an intent names itself in `call`");
    }
    let window_open = match record.seq {
        0 => record.clone(),
        _ => take(&|record| record.seq == 0).ok_or("the window's opening is not in it")?.0,
    };
    let intent = call.map(|call| take(&|record| record.seq == call)).map(|taken| taken.map(|(intent, _)| intent));
    let intent = match intent {
        Some(Some(intent)) if intent.fields.kind == Kind::Intent && intent.seq < record.seq => Some(intent),
        Some(_) => return Err("the intent that the record names in `call` is not in it"),
        None => None,
    };
    let opens = |open: &Record| {
        open.fields.kind == Kind::SessionOpen
            && open.seq < intent.as_ref().unwrap_or(&record).seq
            && open.fields.session.as_ref() == session(&record, intent.as_ref())
            && open.fields.session.is_some()
    };
    let session_open = take(&opens).map(|(open, _)| open);
    match records.is_empty() {
        true => Ok((record, hash, Approval { window_open, intent, session_open })),
        false => Err("a record is in it that the one shown does not refer to"),
    }
}

/// The fields shown against the commitment in the record.
fn payload_fields(payload: &PayloadPart, record: &Record) -> Result<Vec<(&'static str, Field)>, String> {
    let mut list = PAYLOAD_TAG.to_vec();
    payload.commitments.iter().for_each(|commitment| list.extend(commitment.0));
    if payload.commitments.len() != FIELDS.len() || record.fields.payload_hash != Some(Hash::of(&[&list])) {
        return Err("the commitments are not those that the record binds".to_owned());
    }
    let mut revealed = payload.revealed.iter().peekable();
    let mut fields = Vec::new();
    for (field, commitment) in FIELDS.into_iter().zip(&payload.commitments) {
        let Some(part) = revealed.next_if(|part| part.field == field) else {
            fields.push((field, if *commitment == Hash::ZERO { Field::Empty } else { Field::Hidden }));
            continue;
        };
        if part.salt.len() != Hash::ZERO.0.len() || Hash::of(&[FIELD_TAG, &part.salt, &part.value]) != *commitment {
            return Err(format!("{field} and its salt do not fit its commitment"));
        }
        let value = decode(field, &part.value).map_err(|error| format!("{field}: {error}"))?;
        fields.push((field, Field::Value(value)));
    }
    match revealed.next() {
        Some(part) => Err(format!("{:?} is no field, is there twice or out of order", part.field)),
        None => Ok(fields),
    }
}

fn decode(field: &str, bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut d = Decoder::new(bytes);
    let value = match field {
        "headers" => Value::Headers(decode_headers(&mut d)?),
        "body" => Value::Bytes(d.bytes()?.to_vec()),
        "body_bytes" => Value::Number(d.unsigned()?),
        "body_sha256" => Value::Hash(Hash::try_from(d.bytes()?).map_err(|_| DecodeError::WrongLength)?),
        _ => Value::Text(d.text()?.to_owned()),
    };
    d.finish()?;
    Ok(value)
}
