//! Makes a bundle from evidence that was verified. What is read here is read again by [`super::check`] before anyone gets it.

use super::{Bundle, EntryPart, LogPart, OlderPart, PROOF_FORMAT, PayloadPart, RecordPart, Revealed, log::parse};
use crate::{
    Hash, LedgerId, Payload, Text,
    columns::RecordRow,
    log::{CHECKPOINT_NAME, COSIGNED_NAME, Entry, Event, LOG_FOLDER, handover_name, origin},
    merkle::{NoNode, consistency, inclusion, leaf_hash},
    note::Checkpoint,
    parquet::{self, Rows},
    payload::FIELDS,
    record::Kind,
    seal::{NOTE_NAME, State, Table},
    tiles::{self, TILE_WIDTH, Tile, TiledNodes},
    verify::{Log, Report, Source, Standing},
};
use std::collections::BTreeMap;

/// What a bundle is to show.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The record.
    pub seq: u64,
    /// Fields of its payload.
    pub reveal: Reveal,
    /// A checkpoint that the verifier kept, to show that the log goes on from it.
    pub pin: Option<String>,
}

/// Which fields of a payload are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reveal {
    /// None.
    Nothing,
    /// These, by name.
    Fields(Vec<String>),
    /// All that have a value and were not erased.
    All,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The note does not reach the record.
    #[error("record {seq} is not in the evidence, which ends before record {records}: {hint}")]
    NotThere {
        /// The record.
        seq: u64,
        /// Records that the note speaks of.
        records: u64,
        /// What to do.
        hint: &'static str,
    },
    /// The records were taken away.
    #[error("the records of this window were taken away, as the windows log says: nothing of it can be proved any more")]
    RecordsGone,
    /// Names that are no fields.
    #[error("{0:?} is no field of a payload: use {fields}, all or none", fields = FIELDS.join(", "))]
    NoField(String),
    /// Nothing to reveal.
    #[error("record {0} has no payload: leave out --reveal")]
    NoPayload(u64),
    /// The payload can't be shown.
    #[error("the payload of record {seq} can't be shown: {what}")]
    PayloadGone {
        /// The record.
        seq: u64,
        /// Why.
        what: &'static str,
    },
    /// A field was erased.
    #[error("field {field} of record {seq} was erased, and can't be shown: leave it out of --reveal")]
    Erased {
        /// The field.
        field: String,
        /// The record.
        seq: u64,
    },
    /// A file could not be read.
    #[error("{path}: {what}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// The pinned checkpoint.
    #[error("the pinned checkpoint: {0}")]
    Pin(String),
    /// A hash that a proof needs is not there.
    #[error(transparent)]
    NoNode(#[from] NoNode),
}

/// Makes a bundle from the evidence of one window, which `report` and `log` say holds.
pub fn build(source: &dyn Source, report: &Report, log: &Log, wanted: &Wanted) -> Result<Bundle, ProveError> {
    let evidence = Evidence { source, report, log, gateway: &log.gateway };
    let note = evidence.text(&format!("{}/{NOTE_NAME}", report.folder))?;
    let ledger = report.ledger.as_ref().filter(|_| wanted.seq < report.records).ok_or(ProveError::NotThere {
        seq: wanted.seq,
        records: report.records,
        hint: match report.state {
            Some(State::Sealed) => "the window is sealed",
            _ => "wait for the next part, or run this on the gateway's own home",
        },
    })?;
    let (rows, hashes) = evidence.rows(ledger, wanted.seq)?;
    if hashes.len() as u64 != report.records {
        return Err(ProveError::RecordsGone);
    }
    let leaves: Vec<Hash> = hashes.iter().map(|hash| leaf_hash(&hash.0)).collect();
    let mut records = Vec::new();
    for (seq, row) in &rows {
        let previous = seq.checked_sub(1).and_then(|before| hashes.get(usize::try_from(before).ok()?));
        let mut preimage = Vec::new();
        row.record.encode(ledger, previous.unwrap_or(&Hash::ZERO), &mut preimage);
        records.push(RecordPart { preimage, proof: inclusion(&mut leaves.as_slice(), *seq, report.records)? });
    }
    let bound = rows.get(&wanted.seq).and_then(|row| row.record.fields.payload_hash);
    Ok(Bundle {
        format: PROOF_FORMAT.to_owned(),
        gateway: ledger.gateway().to_string(),
        window: ledger.window().to_string(),
        seq: wanted.seq,
        note,
        records,
        payload: evidence.payload(ledger, wanted, bound.is_some())?,
        log: evidence.log(ledger, &leaves, wanted.pin.as_deref())?,
    })
}

struct Evidence<'a> {
    source: &'a dyn Source,
    report: &'a Report,
    log: &'a Log,
    gateway: &'a str,
}

impl Evidence<'_> {
    fn read(&self, path: &str) -> Result<bytes::Bytes, ProveError> {
        self.source.read(path).map_err(|what| ProveError::Read { path: path.to_owned(), what })
    }

    fn text(&self, path: &str) -> Result<String, ProveError> {
        let text = String::from_utf8(self.read(path)?.into());
        text.map_err(|_| ProveError::Read { path: path.to_owned(), what: "it is not UTF-8".to_owned() })
    }

    fn log_path(&self, name: &str) -> String {
        format!("{}/{LOG_FOLDER}/{name}", self.gateway)
    }

    fn parts(&self, table: Table) -> impl Iterator<Item = &Standing> {
        self.report.files.iter().filter(move |standing| standing.file.table == table)
    }

    fn part_rows(&self, ledger: &LedgerId, standing: &Standing) -> Result<Rows, ProveError> {
        let bytes = self.read(&format!("{}/{}", self.report.folder, standing.name))?;
        Ok(parquet::read(standing.file.table, ledger, standing.file.first_seq, &bytes).rows)
    }

    fn row(&self, ledger: &LedgerId, seq: u64) -> Result<Option<RecordRow>, ProveError> {
        let Some(standing) = self.parts(Table::Records).find(|part| holds(part, seq)) else { return Ok(None) };
        let Rows::Records(rows) = self.part_rows(ledger, standing)? else { return Ok(None) };
        Ok(rows.into_iter().find(|row| row.record.seq == seq))
    }

    /// The record, those that it refers to, and the hashes of all.
    fn rows(&self, ledger: &LedgerId, seq: u64) -> Result<(BTreeMap<u64, RecordRow>, Vec<Hash>), ProveError> {
        let mut wanted = References { seqs: vec![0, seq], session: None };
        let row = self.row(ledger, seq)?;
        let call = row.as_ref().and_then(|row| wanted.take(row));
        let intent = call.map(|call| self.row(ledger, call)).transpose()?.flatten();
        intent.and_then(|intent| wanted.take(&intent));
        let (mut taken, mut hashes) = (BTreeMap::new(), Vec::new());
        for standing in self.parts(Table::Records) {
            let Rows::Records(rows) = self.part_rows(ledger, standing)? else { continue };
            for row in rows {
                hashes.push(row.hash);
                if wanted.wants(&row) {
                    taken.insert(row.record.seq, row);
                }
            }
        }
        Ok((taken, hashes))
    }

    /// The fields to reveal; nothing where there are none.
    fn payload(&self, ledger: &LedgerId, wanted: &Wanted, bound: bool) -> Result<Option<PayloadPart>, ProveError> {
        let seq = wanted.seq;
        let named = match &wanted.reveal {
            Reveal::Nothing => return Ok(None),
            Reveal::Fields(named) => named.as_slice(),
            Reveal::All => &[],
        };
        if let Some(unknown) = named.iter().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(ProveError::NoField(unknown.clone()));
        }
        if !bound {
            return if wanted.reveal == Reveal::All { Ok(None) } else { Err(ProveError::NoPayload(seq)) };
        }
        let gone = |what| ProveError::PayloadGone { seq, what };
        let standing = self.parts(Table::Payloads).find(|part| holds(part, seq));
        let standing = standing.ok_or_else(|| gone("it was taken away, as the windows log says"))?;
        if standing.file.key.is_some() {
            return Err(gone("it is encrypted"));
        }
        let Rows::Payloads(rows) = self.part_rows(ledger, standing)? else { return Err(gone("its file holds records")) };
        let row = rows.into_iter().find(|row| row.seq == seq).ok_or_else(|| gone("its row is not there"))?;
        if let Some((field, _)) = row.payload.erased.iter().find(|(field, _)| named.iter().any(|name| field == name.as_str())) {
            return Err(ProveError::Erased { field: field.to_string(), seq });
        }
        let shown = |name: &&str| wanted.reveal == Reveal::All || named.iter().any(|wanted| wanted == name);
        let revealed = FIELDS.into_iter().filter(shown).filter_map(|name| reveal(&row.payload, name)).collect();
        Ok(Some(PayloadPart { commitments: FIELDS.map(|name| row.payload.field_commitment(name)).into(), revealed }))
    }

    fn log(&self, ledger: &LedgerId, leaves: &[Hash], pin: Option<&str>) -> Result<LogPart, ProveError> {
        let newest = self.text(&self.log_path(CHECKPOINT_NAME))?;
        let size = self.log.size;
        let wanted = self.entries(ledger, size)?;
        let pinned = pin.map(|note| self.pin(note)).transpose()?;
        let needed = wanted.keys().next_back().map_or(0, |last| last + 1).max(pinned.as_ref().map_or(0, |(_, pin)| pin.size));
        let cosigned = self.text(&self.log_path(COSIGNED_NAME)).ok();
        // The cosigned checkpoint where it reaches far enough: more parties stand behind it.
        let cosigned = cosigned.filter(|note| parse(note).is_ok_and(|checkpoint| checkpoint.size >= needed));
        let checkpoint = cosigned.unwrap_or(newest);
        let to = parse(&checkpoint).map_err(|what| ProveError::Read { path: self.log_path(CHECKPOINT_NAME), what })?;
        let read = |tile: &Tile| Ok::<_, ProveError>(self.read(&self.log_path(&tile.path()))?.to_vec());
        let mut nodes = TiledNodes { size, read };
        let mut entries = Vec::new();
        for (index, bytes) in wanted {
            let ledger_proof = match records_at(&bytes) {
                Some(records) => consistency(&mut &leaves[..], records, leaves.len() as u64)?,
                None => Vec::new(),
            };
            let entry = String::from_utf8_lossy(&bytes).into_owned();
            entries.push(EntryPart { index, entry, proof: inclusion(&mut nodes, index, to.size)?, ledger_proof });
        }
        let mut handovers = Vec::new();
        for identity in self.log.windows.identities().iter().skip(1) {
            let note = self.text(&self.log_path(&handover_name(identity.from)))?;
            handovers.push(OlderPart { note, proof: consistency(&mut nodes, identity.from, to.size)? });
        }
        let mut older =
            |(note, pin): (String, Checkpoint)| consistency(&mut nodes, pin.size, to.size).map(|proof| OlderPart { note, proof });
        Ok(LogPart { checkpoint, entries, handovers, pin: pinned.map(&mut older).transpose()? })
    }

    /// The checkpoint that the verifier kept, which has to be of this log.
    fn pin(&self, note: &str) -> Result<(String, Checkpoint), ProveError> {
        let checkpoint = parse(note).map_err(ProveError::Pin)?;
        match checkpoint.origin == origin(self.gateway) && checkpoint.size <= self.log.size {
            true => Ok((note.to_owned(), checkpoint)),
            false => Err(ProveError::Pin(format!("it is not of the log of {}, or newer than it", self.gateway))),
        }
    }

    /// The entries that a bundle shows: all of identity keys, all that open the window, its seal or else its newest head.
    fn entries(&self, ledger: &LedgerId, size: u64) -> Result<BTreeMap<u64, Vec<u8>>, ProveError> {
        let (mut wanted, mut head) = (BTreeMap::new(), None);
        for index in 0..size.div_ceil(TILE_WIDTH) {
            let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
            let path = self.log_path(&Tile { kind: tiles::Kind::Entries, index, width }.path());
            let bundle = self.read(&path)?;
            let entries = tiles::read_entries(&bundle, width);
            let entries = entries.ok_or(ProveError::Read { path, what: format!("it does not hold {width} entries") })?;
            for (place, bytes) in (index * TILE_WIDTH..).zip(entries) {
                match event(bytes, ledger) {
                    Some(Event::Head { records, .. }) if records <= self.report.records => head = Some((place, bytes.to_vec())),
                    Some(Event::Head { .. }) | None => {}
                    Some(_) => drop(wanted.insert(place, bytes.to_vec())),
                }
            }
        }
        wanted.extend(head.filter(|_| self.report.state != Some(State::Sealed)));
        Ok(wanted)
    }
}

/// What an entry says, where it is about identity keys, or about this window's keys and size.
fn event(bytes: &[u8], ledger: &LedgerId) -> Option<Event> {
    // A log has a head a second. Those of other windows are told apart by a look for the name alone, which is quicker than
    // reading them; a name that stands elsewhere in an entry costs no more than that.
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.contains(ledger.window().as_str()) && !text.contains("\"type\":\"key\"") {
        return None;
    }
    let event = Entry::decode(bytes).ok()?.event;
    let wanted = match &event {
        Event::Key { .. } => true,
        Event::Open { window, .. } | Event::Head { window, .. } | Event::Seal { window, .. } => window == ledger.window().as_str(),
        _ => false,
    };
    wanted.then_some(event)
}

/// The size of the ledger that an entry names.
fn records_at(entry: &[u8]) -> Option<u64> {
    match Entry::decode(entry).ok()?.event {
        Event::Open { records, .. } | Event::Head { records, .. } | Event::Seal { records, .. } => Some(records),
        _ => None,
    }
}

fn holds(standing: &Standing, seq: u64) -> bool {
    seq.checked_sub(standing.file.first_seq).is_some_and(|place| place < standing.file.records)
}

/// One field with its salt; nothing where it has no value.
fn reveal(payload: &Payload, name: &str) -> Option<Revealed> {
    let mut value = Vec::new();
    let there = payload.encode_field(name, &mut value);
    let salt = payload.field_salt(name).filter(|_| there)?;
    Some(Revealed { field: name.to_owned(), salt: salt.0.to_vec(), value })
}

/// Which records are wanted beside the one shown.
struct References {
    seqs: Vec<u64>,
    session: Option<Text>,
}

impl References {
    /// Takes in what a record refers to: the one shown, then the intent of its call, whose `seq` is returned.
    fn take(&mut self, row: &RecordRow) -> Option<u64> {
        let fields = &row.record.fields;
        // A session's own opening has nothing before it.
        let session = fields.session.clone().filter(|_| fields.kind != Kind::SessionOpen);
        self.session = self.session.take().or(session);
        let call = fields.call.filter(|call| *call != row.record.seq);
        self.seqs.extend(call);
        call
    }

    fn wants(&self, row: &RecordRow) -> bool {
        let opens = row.record.fields.kind == Kind::SessionOpen && row.record.fields.session == self.session;
        self.seqs.contains(&row.record.seq) || (opens && self.session.is_some())
    }
}
