//! What happens to a forged window after its seal: holds, a timestamp, erasures, files that are taken away.

use super::{
    random::Random,
    story::{Rows, erase},
};
use sealgate_schema::{
    Hash, LedgerId, Payload,
    log::{Event, RedactedFile, Redaction, RedactionAction, Successor, TIMESTAMP_NAME},
    parquet::write_payloads,
    payload::FIELDS,
    seal::{Manifest, PartFile, Table},
};
use std::collections::BTreeMap;

/// A window whose files change after its seal.
pub(super) struct Window<'a> {
    /// Its files, the note left out.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    rows: &'a Rows,
    manifest: &'a Manifest,
    standing: Vec<Standing>,
    /// What redactions took away.
    pub(super) taken: Vec<RedactionAction>,
}

/// A file as the redactions so far left it.
struct Standing {
    file: PartFile,
    revision: u32,
    sha256: String,
}

impl<'a> Window<'a> {
    /// The window as it was sealed.
    pub(super) fn new(files: BTreeMap<String, Vec<u8>>, rows: &'a Rows, manifest: &'a Manifest) -> Self {
        let whole = |file: &PartFile| Standing { file: file.clone(), revision: 0, sha256: file.sha256.clone() };
        Self { files, rows, manifest, standing: manifest.files.iter().map(whole).collect(), taken: Vec::new() }
    }

    /// Holds, a timestamp, redactions: each may happen or not.
    pub(super) fn live_on(&mut self, random: &mut Random, ledger: &LedgerId, events: &mut Vec<Event>) {
        let window = ledger.window().to_string();
        let mut payloads = self.rows.payloads.clone();
        for _ in 0..random.below(4) {
            match random.below(10) {
                0..2 => {
                    for set in [true, false] {
                        let (authority, reason) = (random.text(), random.text());
                        events.push(Event::Hold { window: window.clone(), set, authority, reason });
                    }
                }
                2..4 => {
                    let bytes = random.bytes(60);
                    events.push(Event::Timestamp { window: window.clone(), sha256: Hash::of(&[&bytes]).to_string() });
                    self.files.insert(TIMESTAMP_NAME.to_owned(), bytes);
                }
                4..8 => events.extend(self.erase(random, ledger, &mut payloads)),
                8 => events.extend(self.remove(random, RedactionAction::Payloads)),
                _ => {
                    events.extend(self.remove(random, RedactionAction::Records));
                    return;
                }
            }
        }
        if random.chance(20) {
            let (authority, reason) = (random.text(), random.text());
            events.push(Event::Hold { window, set: true, authority, reason });
        }
    }

    /// Erases fields of some rows of one part.
    fn erase(&mut self, random: &mut Random, ledger: &LedgerId, rows: &mut [(u64, Payload)]) -> Option<Event> {
        let mut open: Vec<_> =
            self.standing.iter_mut().filter(|at| at.file.table == Table::Payloads && at.file.key.is_none()).collect();
        let count = open.len();
        let at = open.get_mut(random.below(count))?;
        let part = at.file.first_seq..at.file.first_seq + at.file.records;
        let mut fields = BTreeMap::new();
        let rows: Vec<&mut (u64, Payload)> = rows.iter_mut().filter(|(seq, _)| part.contains(seq)).collect();
        let mut after = Vec::new();
        for row in rows {
            let wanted = |name: &&str| {
                row.1.field_commitment(name) != Hash::ZERO && !row.1.erased.iter().any(|(of, _)| of.as_str() == *name)
            };
            let chosen: Vec<&str> = FIELDS.into_iter().filter(wanted).filter(|_| random.chance(15)).collect();
            if !chosen.is_empty() {
                row.1 = erase(&row.1, &chosen);
                chosen.iter().for_each(|name| *fields.entry((*name).to_owned()).or_default() += 1);
            }
            after.push(row.clone());
        }
        let bytes = write_payloads(ledger, at.file.first_seq, &after).unwrap();
        let (name, sha256) = (at.file.table.revision_name(at.file.first_seq, at.revision), at.sha256.clone());
        self.files.remove(&name);
        (at.revision, at.sha256) = (at.revision + 1, Hash::of(&[&bytes]).to_string());
        let next = at.file.table.revision_name(at.file.first_seq, at.revision);
        let successor = Successor { name: next.clone(), sha256: at.sha256.clone(), bytes: bytes.len() as u64 };
        self.files.insert(next, bytes);
        let files = vec![RedactedFile { name, sha256, successor: Some(successor) }];
        Some(self.redaction(random, RedactionAction::Erase, fields, files))
    }

    /// Takes files away: the payloads', or all.
    fn remove(&mut self, random: &mut Random, action: RedactionAction) -> Option<Event> {
        let goes = |at: &Standing| action == RedactionAction::Records || at.file.table == Table::Payloads;
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.standing).into_iter().partition(goes);
        self.standing = left;
        if gone.is_empty() {
            return None;
        }
        let file = |at: &Standing| {
            let name = at.file.table.revision_name(at.file.first_seq, at.revision);
            RedactedFile { name, sha256: at.sha256.clone(), successor: None }
        };
        let files: Vec<_> = gone.iter().map(file).collect();
        files.iter().for_each(|file| drop(self.files.remove(&file.name)));
        Some(self.redaction(random, action, BTreeMap::new(), files))
    }

    fn redaction(
        &mut self,
        random: &mut Random,
        action: RedactionAction,
        fields: BTreeMap<String, u64>,
        files: Vec<RedactedFile>,
    ) -> Event {
        self.taken.push(action);
        let (window, authority, reason) = (self.manifest.window.clone(), random.text(), random.text());
        Event::Redaction(Redaction { window, action, authority, reason, fields, files })
    }
}
