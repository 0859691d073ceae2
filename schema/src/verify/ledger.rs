//! The walk over one ledger: note, set of files, then each part in order, against what the windows log says of it.

use super::{Asked, Finding, Findings, Level, Name, Payloads, Report, Source, Standing, Verdict, calls::Calls, people::People};
use crate::{
    Hash, LedgerId,
    columns::{PayloadRow, RecordRow},
    encrypted,
    log::{Redaction, RedactionAction, TIMESTAMP_NAME},
    merkle::Tree,
    parquet::{self, FILE_BYTES_MAX, Rows},
    payload::Capture,
    seal::{Manifest, NOTE_NAME, State, Table},
    windows::{Mark, Window},
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Verifies the ledger in `folder`, of which the log says what stands in `window`.
///
/// Files are read one at a time. Where the bytes of a file are not the sealed ones, its rows are still looked at, so
/// that the report names the record that was changed.
pub(super) fn verify(source: &dyn Source, folder: &str, ledger: &LedgerId, window: &Window, pinned: bool, asked: &Asked) -> Report {
    let mut walk = Walk {
        source,
        folder,
        ledger,
        findings: Findings::default(),
        tree: Tree::default(),
        marks: window.marks(),
        marks_met: 0,
        due: 0,
        head: Some(Hash::ZERO),
        calls: Calls::default(),
        erased: BTreeMap::new(),
        people: People::default(),
        asked,
        encrypted: false,
    };
    let names = source.list(folder).unwrap_or_else(|what| {
        walk.find(Level::L0, None, "folder", what);
        Vec::new()
    });
    let (note, manifest, root) = match walk.open(window) {
        Ok(opened) => opened,
        Err(what) => {
            walk.find(Level::L0, None, NOTE_NAME, what);
            return walk.report(None, None, Vec::new(), pinned, Payloads::None);
        }
    };
    let mut files = walk.standing(&manifest, window);
    walk.check_file_set(&manifest, &files, &names, window);
    walk.check_against_log(&note, &manifest, root, window);
    if window.lost(RedactionAction::Records) {
        files.clear();
        return walk.report(Some(&manifest), Some(root), files, pinned, Payloads::Removed);
    }
    let mut parts = manifest.files.iter().peekable();
    while let Some(file) = parts.next() {
        let payloads = parts.next_if(|next| next.table == Table::Payloads && next.first_seq == file.first_seq);
        let standing = |name: &str| files.iter().find(|standing| standing.file.name == name).cloned();
        walk.part(&Part {
            file: file.clone(),
            standing: standing(&file.name),
            payload_file: payloads.cloned(),
            payload_standing: payloads.and_then(|file| standing(&file.name)),
        });
    }
    walk.check_end(&manifest, root);
    let payloads = walk.payloads_of(&manifest, window);
    walk.report(Some(&manifest), Some(root), files, pinned, payloads)
}

/// One part as the manifest has it, and the files that stand for it now.
struct Part {
    file: crate::seal::PartFile,
    standing: Option<Standing>,
    payload_file: Option<crate::seal::PartFile>,
    payload_standing: Option<Standing>,
}

struct Walk<'a> {
    source: &'a dyn Source,
    folder: &'a str,
    ledger: &'a LedgerId,
    findings: Findings,
    /// Over the records that were found; has the signed root only where none is missing.
    tree: Tree,
    /// Sizes at which the log names the root, ascending.
    marks: Vec<Mark>,
    /// How many of them the walk has passed.
    marks_met: usize,
    /// The `seq` that comes next.
    due: u64,
    /// Hash of the record before; `None` after a gap.
    head: Option<Hash>,
    calls: Calls,
    /// Erased values by field.
    erased: BTreeMap<String, u64>,
    people: People,
    /// What the caller has: keys of payload files, whose keys are whose.
    asked: &'a Asked,
    /// Whether a payloads file could not be read for want of its key.
    encrypted: bool,
}

impl Walk<'_> {
    fn find(&mut self, level: Level, seq: Option<u64>, place: impl Into<String>, what: impl Into<String>) {
        self.findings.add(Finding { level, seq, place: place.into(), what: what.into() });
    }

    fn report(
        self,
        manifest: Option<&Manifest>,
        root: Option<Hash>,
        files: Vec<Standing>,
        pinned: bool,
        payloads: Payloads,
    ) -> Report {
        let walked = manifest.is_some() && !(payloads == Payloads::Removed && files.is_empty());
        let verdict = |level| match (self.findings.fails(level), level) {
            (true, _) => Verdict::Fail,
            (false, Level::L1 | Level::L2) if !walked => Verdict::NotChecked,
            (false, Level::L3) if !pinned || manifest.is_none() => Verdict::NotChecked,
            (false, Level::L4) => Verdict::NotChecked,
            // Records that do not hold say nothing of people.
            (false, Level::L6) if !walked || self.asked.signers.is_none() || self.findings.fails(Level::L2) => Verdict::NotChecked,
            (false, Level::L5) if manifest.is_none() => Verdict::NotChecked,
            (false, _) => Verdict::Pass,
        };
        let verdicts = Level::ALL.map(verdict);
        let (sessions, reviews) = self.people.finish();
        Report {
            folder: self.folder.to_owned(),
            verdicts,
            sessions,
            reviews,
            state: manifest.map(|manifest| manifest.state),
            records: manifest.map_or(0, |manifest| manifest.records),
            root,
            payloads,
            files,
            ledger: Some(self.ledger.clone()),
            findings: self.findings,
        }
    }

    fn read(&self, name: &str) -> Result<Bytes, String> {
        self.source.read(&format!("{}/{name}", self.folder))
    }

    /// The note, under the key that the log binds to its size.
    fn open(&self, window: &Window) -> Result<(Bytes, Manifest, Hash), String> {
        let bytes = self.read(NOTE_NAME)?;
        let note = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let records = Manifest::records_of(note).map_err(|error| error.to_string())?;
        let key = window.key_at(records).ok_or("the log binds no key to a note of so many records")?;
        let (manifest, root) = Manifest::open(note, key).map_err(|error| error.to_string())?;
        if manifest.ledger().as_ref() != Ok(self.ledger) {
            return Err(format!("it is of {}, the folder is that of {}", manifest.window, self.ledger.origin()));
        }
        Ok((bytes, manifest, root))
    }

    /// The manifest's files as the redactions left them.
    fn standing(&mut self, manifest: &Manifest, window: &Window) -> Vec<Standing> {
        let (files, wrong) = standing(manifest, window);
        for (index, what) in wrong {
            self.find(Level::L3, None, format!("entry {index}"), what);
        }
        files
    }

    /// What the log says of the ledger, save for the roots along the way.
    fn check_against_log(&mut self, note: &[u8], manifest: &Manifest, root: Hash, window: &Window) {
        let at = Mark { records: manifest.records, root };
        match window.seal {
            Some(seal) if seal.note != Some(Hash::of(&[note])) || seal.at != at || manifest.state != State::Sealed => {
                self.find(Level::L3, None, NOTE_NAME, "it is not the note that was sealed");
            }
            None if manifest.state == State::Sealed => {
                self.find(
                    Level::L5,
                    None,
                    NOTE_NAME,
                    "it says sealed, and the log does not yet: start the gateway, which settles it",
                );
            }
            _ => {}
        }
        if manifest.records < window.length() {
            let what = format!(
                "records {}..={} are not here: not in a part yet, or taken away",
                manifest.records,
                window.length().saturating_sub(1)
            );
            self.find(Level::L5, Some(manifest.records), "ledger", what);
        }
        if let Some(expected) = window.timestamp {
            let same = self.read(TIMESTAMP_NAME).map(|bytes| Hash::of(&[&bytes]) == expected);
            match same {
                Ok(true) => {}
                Ok(false) => self.find(Level::L3, None, TIMESTAMP_NAME, "its bytes are not those that the log names"),
                Err(what) => self.find(Level::L3, None, TIMESTAMP_NAME, what),
            }
        }
    }

    /// What is left of the payloads; where all files are there, each erasure has its entry in the log.
    fn payloads_of(&mut self, manifest: &Manifest, window: &Window) -> Payloads {
        if window.lost(RedactionAction::Payloads) {
            return Payloads::Removed;
        }
        if self.encrypted {
            return Payloads::Encrypted;
        }
        let mut said = BTreeMap::new();
        for (field, count) in window.redactions.iter().flat_map(|(_, redaction)| &redaction.fields) {
            *said.entry(field.clone()).or_default() += *count;
        }
        if said != self.erased {
            let what = format!("erased are {:?}, the log's redactions say {said:?}", self.erased);
            self.find(Level::L2, None, "payloads", what);
        }
        match (manifest.files.iter().any(|file| file.table == Table::Payloads), self.erased.is_empty()) {
            (false, _) => Payloads::None,
            (true, true) => Payloads::Full,
            (true, false) => Payloads::Erased,
        }
    }

    fn find_record(&mut self, seq: u64, what: impl Into<String>) {
        self.find(Level::L2, Some(seq), format!("record {seq}"), what);
    }

    /// The folder holds the manifest's files as they stand, and nothing else.
    fn check_file_set(&mut self, manifest: &Manifest, files: &[Standing], names: &[Name], window: &Window) {
        let listed: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        if listed.len() != manifest.files.len() {
            self.find(Level::L0, None, "manifest", "it lists a file twice");
        }
        for file in &manifest.files {
            if file.name != file.table.file_name(file.first_seq) {
                self.find(Level::L0, None, &file.name, "the name is not that of its table and first seq");
            }
            if file.key.is_some() && file.table == Table::Records {
                self.find(Level::L0, None, &file.name, "a records file is not encrypted");
            }
        }
        let expected: BTreeSet<&str> = files.iter().map(|standing| standing.name.as_str()).collect();
        let timestamp = window.timestamp.map(|_| TIMESTAMP_NAME);
        for name in names {
            let known = expected.contains(name.name.as_str()) || name.name == NOTE_NAME || timestamp == Some(name.name.as_str());
            if name.folder || !known {
                self.find(Level::L0, None, &name.name, "it is not among the ledger's files");
            }
        }
    }

    fn part(&mut self, part: &Part) {
        let file = &part.file;
        if file.table != Table::Records || file.first_seq != self.due {
            self.find(Level::L1, None, &file.name, format!("a records file that starts at {} is due here", self.due));
        }
        if file.table == Table::Records && file.rows != file.records {
            self.find(Level::L1, None, &file.name, "the manifest gives it another number of rows than of records");
        }
        if let Some(payloads) = part.payload_file.as_ref().filter(|payloads| payloads.records != file.records) {
            self.find(Level::L1, None, &payloads.name, "the manifest gives it another number of records than the part has");
        }
        let end = file.first_seq.saturating_add(file.records);
        let rows = match part.standing.as_ref().and_then(|file| self.rows(file)) {
            Some(Rows::Records(rows)) => rows,
            _ => Vec::new(),
        };
        let mut commitments = BTreeMap::new();
        let readable = rows.len() as u64 == file.records;
        for mut row in rows {
            self.record(&mut row, end);
            if let Some(hash) = row.record.fields.payload_hash {
                commitments.insert(row.record.seq, hash);
            }
        }
        self.resume_at(end);
        // Payload rows that were taken away, as the log says, or that nobody can read here.
        let id = part.payload_file.as_ref().and_then(|file| file.key.as_ref());
        let encrypted = id.is_some_and(|id| !self.asked.payload_keys.iter().any(|key| key.id() == *id));
        if encrypted && let Some(standing) = &part.payload_standing {
            self.bytes(standing);
            self.encrypted = true;
        }
        if encrypted || (part.payload_file.is_some() && part.payload_standing.is_none()) {
            return;
        }
        let mut payloads = match part.payload_standing.as_ref().and_then(|file| self.rows(file)) {
            Some(Rows::Payloads(rows)) => rows,
            _ => Vec::new(),
        };
        // Records that can't be read are one finding already; that their payloads have none beside them is not another.
        payloads.retain(|row| readable || commitments.contains_key(&row.seq));
        self.payloads(payloads, commitments);
    }

    /// Reads one file: its bytes against the manifest, its structure, its rows.
    fn rows(&mut self, standing: &Standing) -> Option<Rows> {
        let bytes = self.bytes(standing)?;
        let file = &standing.file;
        let key = file.key.as_ref().and_then(|id| self.asked.payload_keys.iter().find(|key| key.id() == *id));
        let contents = match key {
            Some(key) => encrypted::read_payloads(self.ledger, file.first_seq, &bytes, key),
            None => parquet::read(file.table, self.ledger, file.first_seq, &bytes),
        };
        for fault in contents.faults {
            self.find(Level::L1, None, &standing.name, fault);
        }
        let count = match &contents.rows {
            Rows::Records(rows) => rows.len(),
            Rows::Payloads(rows) => rows.len(),
        };
        if count as u64 != file.rows {
            self.find(Level::L1, None, &standing.name, format!("{count} rows could be read, {} are sealed", file.rows));
        }
        Some(contents.rows)
    }

    /// The bytes of one file, also where they are not the sealed ones.
    fn bytes(&mut self, standing: &Standing) -> Option<Bytes> {
        if standing.bytes > FILE_BYTES_MAX {
            self.find(Level::L0, None, &standing.name, "it is larger than FILE_BYTES_MAX");
            return None;
        }
        let bytes = match self.read(&standing.name) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.find(Level::L0, None, &standing.name, error);
                return None;
            }
        };
        if bytes.len() as u64 != standing.bytes || Hash::of(&[&bytes]).to_string() != standing.sha256 {
            self.find(Level::L0, None, &standing.name, "its bytes are not the sealed ones (SHA-256 or length differ)");
        }
        Some(bytes)
    }

    /// Takes the next row of a part that ends before `end`.
    fn record(&mut self, row: &mut RecordRow, end: u64) {
        self.right_seq(row);
        let seq = row.record.seq;
        if seq < end {
            self.resume_at(seq);
        }
        if seq != self.due {
            self.find_record(seq, format!("it stands where record {} belongs", self.due));
            return;
        }
        if (&row.ledger.0, &row.ledger.1) != (self.ledger.gateway(), self.ledger.window()) {
            self.find_record(seq, "its gateway or window column names another ledger");
        }
        if self.head.is_some_and(|head| !self.fits(row, &head)) {
            let after =
                if seq == 0 { "is not the first of this ledger".to_owned() } else { format!("does not follow record {}", seq - 1) };
            self.find_record(seq, format!("a cell was changed, or it {after}: its hash does not fit"));
        }
        if let Some(what) = self.calls.take(&row.record) {
            self.find_record(seq, what);
        }
        for (level, what) in self.people.take(self.ledger, &row.record, self.asked.signers.as_ref()) {
            self.find(level, Some(seq), format!("record {seq}"), what);
        }
        // Chain and tree go on from the hash as stored: one changed record is then one finding, and a stored hash
        // that was changed along with it breaks the next record and the root.
        self.head = Some(row.hash);
        self.tree.push(&row.hash.0);
        self.due += 1;
        self.check_marks();
    }

    /// The roots that the log names for the size that the tree has now.
    fn check_marks(&mut self) {
        while let Some(mark) = self.marks.get(self.marks_met).copied().filter(|mark| mark.records <= self.tree.size()) {
            self.marks_met += 1;
            if mark.records == self.tree.size() && mark.root != self.tree.root() {
                let what = format!("the first {} records do not have the root that the log names", mark.records);
                self.find(Level::L3, None, "ledger", what);
            }
        }
    }

    /// Where a row's hash says that it is the record that is due, only its `seq` was changed.
    fn right_seq(&mut self, row: &mut RecordRow) {
        let Some(head) = self.head.filter(|_| row.record.seq != self.due) else { return };
        let said = std::mem::replace(&mut row.record.seq, self.due);
        if self.fits(row, &head) {
            self.find_record(self.due, format!("a cell was changed: its seq says {said}"));
        } else {
            row.record.seq = said;
        }
    }

    fn fits(&self, row: &RecordRow, head: &Hash) -> bool {
        let mut preimage = Vec::with_capacity(1024);
        row.record.encode(self.ledger, head, &mut preimage);
        Hash::of(&[&preimage]) == row.hash
    }

    /// Names the records missing before `next`, and goes on from there.
    fn resume_at(&mut self, next: u64) {
        let expected = self.due;
        if next <= expected {
            return;
        }
        let place = if next - expected == 1 { format!("record {expected}") } else { format!("records {expected}..={}", next - 1) };
        self.find(Level::L2, Some(expected), place, "missing, or in bytes that can't be decoded");
        (self.due, self.head) = (next, None);
    }

    fn payloads(&mut self, rows: Vec<PayloadRow>, mut commitments: BTreeMap<u64, Hash>) {
        let mut last = None;
        for row in rows {
            let seq = row.seq;
            if last.is_some_and(|last| seq <= last)
                || (&row.ledger.0, &row.ledger.1) != (self.ledger.gateway(), self.ledger.window())
            {
                self.find_record(seq, "its payload row is out of order or names another ledger");
            }
            last = Some(seq);
            for (field, _) in &row.payload.erased {
                *self.erased.entry(field.to_string()).or_default() += 1;
            }
            match (commitments.remove(&seq), row.payload.fault()) {
                (None, _) => self.find_record(seq, "a payload row belongs to no record of the part"),
                (_, Some(fault)) => self.find_record(seq, format!("its payload row: {fault}")),
                (Some(commitment), _) if row.payload.commitment() != commitment => {
                    self.find_record(seq, "its payload row does not fit the commitment in the record");
                }
                _ => self.check_body(&row),
            }
        }
        for seq in commitments.into_keys() {
            self.find_record(seq, "its payload row is missing");
        }
    }

    /// A body that is there in full has the length and hash that its row says.
    fn check_body(&mut self, row: &PayloadRow) {
        let payload = &row.payload;
        let (Some(body), Some(hash)) = (&payload.body, payload.body_sha256) else { return };
        let whole = matches!(payload.body_capture, Some(Capture::Full | Capture::Redacted));
        let erased = payload.erased.iter().any(|(field, _)| field.as_str() == "body_bytes");
        let length_fits = payload.body_capture != Some(Capture::Full) || erased || payload.body_bytes == Some(body.len() as u64);
        if whole && (Hash::of(&[body]) != hash || !length_fits) {
            self.find_record(row.seq, "its body does not have the length or SHA-256 that its row says");
        }
    }

    /// The whole ledger against the note.
    fn check_end(&mut self, manifest: &Manifest, root: Hash) {
        if self.due != manifest.records {
            self.find(Level::L2, None, "ledger", format!("{} records are signed, the files hold {}", manifest.records, self.due));
        }
        if self.tree.root() != root || self.head.unwrap_or(Hash::ZERO).to_string() != manifest.head {
            self.find(Level::L2, None, "ledger", "the tree over the record hashes does not have the signed root and head");
        }
        if *self.calls.counts() != manifest.counts {
            self.find(Level::L2, None, "ledger", "the records by kind are not those in the manifest");
        }
        if self.calls.closed() != (manifest.state == State::Sealed) {
            self.find(Level::L2, None, "ledger", "a sealed ledger ends with window_close, an open one does not");
        }
    }
}

/// The manifest's files as the window's redactions left them; and what does not fit, with the number of the entry.
pub fn standing(manifest: &Manifest, window: &Window) -> (Vec<Standing>, Vec<(u64, String)>) {
    let whole = |file: &crate::seal::PartFile| Standing {
        name: file.table.file_name(file.first_seq),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
        revision: 0,
        file: file.clone(),
    };
    let mut files: Vec<Standing> = manifest.files.iter().map(whole).collect();
    let mut wrong = Vec::new();
    for (index, redaction) in &window.redactions {
        wrong.extend(redact(&mut files, redaction).into_iter().map(|what| (*index, what)));
    }
    // One action may come as several entries; together they take everything that they say.
    for (action, left) in [(RedactionAction::Payloads, Some(Table::Payloads)), (RedactionAction::Records, None)] {
        let last = window.redactions.iter().rev().find(|(_, redaction)| redaction.action == action);
        if let Some((index, _)) = last
            && files.iter().any(|file| left.is_none_or(|table| file.file.table == table))
        {
            wrong.push((*index, "what it takes away and the files that it names do not fit".to_owned()));
        }
    }
    (files, wrong)
}

/// Applies one redaction to the files; says what does not fit.
fn redact(standing: &mut Vec<Standing>, redaction: &Redaction) -> Vec<String> {
    let mut wrong = Vec::new();
    for gone in &redaction.files {
        let place = standing.iter().position(|file| file.name == gone.name && file.sha256 == gone.sha256);
        let Some(place) = place else {
            wrong.push(format!("no file {} with that hash stood there", gone.name));
            continue;
        };
        match (&gone.successor, standing.get_mut(place)) {
            (Some(successor), Some(file)) if file.file.table == Table::Payloads => {
                file.revision += 1;
                if successor.name != file.file.table.revision_name(file.file.first_seq, file.revision) {
                    wrong.push(format!("{} is not the next name of {}", successor.name, gone.name));
                }
                file.name = file.file.table.revision_name(file.file.first_seq, file.revision);
                (file.sha256, file.bytes) = (successor.sha256.clone(), successor.bytes);
            }
            (Some(_), _) => wrong.push("records are not erased field by field".to_owned()),
            (None, _) => drop(standing.remove(place)),
        }
    }
    let plain = |file: &Standing| file.file.table == Table::Payloads && file.file.key.is_none();
    if redaction.action == RedactionAction::Shred && (!redaction.files.is_empty() || standing.iter().any(plain)) {
        wrong.push("only encrypted payloads are shredded, and their files stay".to_owned());
    }
    if redaction.action == RedactionAction::Payloads && redaction.files.iter().any(|file| file.name.starts_with("records-")) {
        wrong.push("it takes records away, and says payloads".to_owned());
    }
    wrong
}
