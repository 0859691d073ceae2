//! The walk over one ledger: note, set of files, then each part in order.

use super::{FINDINGS_MAX, Finding, Level, Report, Verdict, calls::Calls};
use crate::{
    Hash, LedgerId,
    columns::{PayloadRow, RecordRow},
    merkle::Tree,
    note::VerifierKey,
    parquet::{self, FILE_BYTES_MAX, Rows},
    payload::Capture,
    seal::{Manifest, PartFile, State, Table},
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Verifies one ledger: its note, the names of the other files in its folder, and a way to their bytes.
///
/// Files are read one at a time. Where the bytes of a file are not the sealed ones, its rows are still looked at, so
/// that the report names the record that was changed.
pub fn verify_ledger(
    key: &VerifierKey,
    note: &str,
    names: &[String],
    read: &mut dyn FnMut(&str) -> Result<Bytes, String>,
) -> Report {
    let (manifest, root) = match Manifest::open(note, key) {
        Ok(opened) => opened,
        Err(error) => return unopened(error.to_string()),
    };
    let Ok(ledger) = manifest.ledger() else { return unopened("the ledger has no valid name".to_owned()) };
    let mut walk = Walk {
        ledger: &ledger,
        findings: Vec::new(),
        left_out: 0,
        tree: Tree::default(),
        due: 0,
        head: Some(Hash::ZERO),
        calls: Calls::default(),
    };
    walk.check_file_set(&manifest, names);
    let mut files = manifest.files.iter().peekable();
    while let Some(file) = files.next() {
        let payloads = files.next_if(|next| next.table == Table::Payloads && next.first_seq == file.first_seq);
        walk.part(file, payloads, read);
    }
    walk.check_end(&manifest, root);
    let verdict = |level| if walk.findings.iter().any(|f| f.level == level) { Verdict::Fail } else { Verdict::Pass };
    Report {
        verdicts: [
            verdict(Level::L0),
            verdict(Level::L1),
            verdict(Level::L2),
            Verdict::NotChecked,
            Verdict::NotChecked,
            Verdict::NotChecked,
        ],
        state: Some(manifest.state),
        records: manifest.records,
        root: Some(root),
        findings: walk.findings,
        findings_left_out: walk.left_out,
        ledger: Some(ledger),
    }
}

fn unopened(what: String) -> Report {
    let mut verdicts = [Verdict::NotChecked; 6];
    verdicts[0] = Verdict::Fail;
    let finding = Finding { level: Level::L0, seq: None, place: crate::seal::NOTE_NAME.to_owned(), what };
    Report { ledger: None, state: None, records: 0, root: None, verdicts, findings: vec![finding], findings_left_out: 0 }
}

struct Walk<'a> {
    ledger: &'a LedgerId,
    findings: Vec<Finding>,
    left_out: usize,
    /// Over the records that were found; has the signed root only where none is missing.
    tree: Tree,
    /// The `seq` that comes next.
    due: u64,
    /// Hash of the record before; `None` after a gap.
    head: Option<Hash>,
    calls: Calls,
}

impl Walk<'_> {
    fn find(&mut self, level: Level, seq: Option<u64>, place: impl Into<String>, what: impl Into<String>) {
        // One finding a level is always kept: the verdict is drawn from the list.
        if self.findings.len() >= FINDINGS_MAX && self.findings.iter().any(|f| f.level == level) {
            self.left_out += 1;
            return;
        }
        self.findings.push(Finding { level, seq, place: place.into(), what: what.into() });
    }

    fn find_record(&mut self, seq: u64, what: impl Into<String>) {
        self.find(Level::L2, Some(seq), format!("record {seq}"), what);
    }

    /// The folder holds the manifest's files and nothing else.
    fn check_file_set(&mut self, manifest: &Manifest, names: &[String]) {
        let listed: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        if listed.len() != manifest.files.len() {
            self.find(Level::L0, None, "manifest", "it lists a file twice");
        }
        for file in &manifest.files {
            if file.name != file.table.file_name(file.first_seq) {
                self.find(Level::L0, None, &file.name, "the name is not that of its table and first seq");
            }
        }
        for name in names.iter().filter(|name| !listed.contains(name.as_str())) {
            self.find(Level::L0, None, name, "the file is not in the manifest");
        }
    }

    fn part(&mut self, file: &PartFile, payload_file: Option<&PartFile>, read: &mut dyn FnMut(&str) -> Result<Bytes, String>) {
        if file.table != Table::Records || file.first_seq != self.due {
            self.find(Level::L1, None, &file.name, format!("a records file that starts at {} is due here", self.due));
        }
        if file.table == Table::Records && file.rows != file.records {
            self.find(Level::L1, None, &file.name, "the manifest gives it another number of rows than of records");
        }
        if let Some(payloads) = payload_file.filter(|payloads| payloads.records != file.records) {
            self.find(Level::L1, None, &payloads.name, "the manifest gives it another number of records than the part has");
        }
        let end = file.first_seq.saturating_add(file.records);
        let rows = match self.rows(file, read) {
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
        let mut payloads = match payload_file.and_then(|file| self.rows(file, read)) {
            Some(Rows::Payloads(rows)) => rows,
            _ => Vec::new(),
        };
        // Records that can't be read are one finding already; that their payloads have none beside them is not another.
        payloads.retain(|row| readable || commitments.contains_key(&row.seq));
        self.payloads(payloads, commitments);
    }

    /// Reads one file: its bytes against the manifest, its structure, its rows.
    fn rows(&mut self, file: &PartFile, read: &mut dyn FnMut(&str) -> Result<Bytes, String>) -> Option<Rows> {
        if file.bytes > FILE_BYTES_MAX {
            self.find(Level::L0, None, &file.name, "it is larger than FILE_BYTES_MAX");
            return None;
        }
        // Not the name as signed: that could be a path out of the folder.
        let bytes = match read(&file.table.file_name(file.first_seq)) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.find(Level::L0, None, &file.name, error);
                return None;
            }
        };
        if bytes.len() as u64 != file.bytes || Hash::of(&[&bytes]).to_string() != file.sha256 {
            self.find(Level::L0, None, &file.name, "its bytes are not the sealed ones (SHA-256 or length differ)");
        }
        let contents = parquet::read(file.table, self.ledger, file.first_seq, &bytes);
        for fault in contents.faults {
            self.find(Level::L1, None, &file.name, fault);
        }
        let count = match &contents.rows {
            Rows::Records(rows) => rows.len(),
            Rows::Payloads(rows) => rows.len(),
        };
        if count as u64 != file.rows {
            self.find(Level::L1, None, &file.name, format!("{count} rows could be read, {} are sealed", file.rows));
        }
        Some(contents.rows)
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
        // Chain and tree go on from the hash as stored: one changed record is then one finding, and a stored hash
        // that was changed along with it breaks the next record and the root.
        self.head = Some(row.hash);
        self.tree.push(&row.hash.0);
        self.due += 1;
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
        let length_fits = payload.body_capture != Some(Capture::Full) || payload.body_bytes == Some(body.len() as u64);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Record, note::SigningKey, samples, seal::MANIFEST_FORMAT};

    struct Sealed {
        note: String,
        files: BTreeMap<String, Bytes>,
    }

    fn key() -> SigningKey {
        SigningKey::from_seed("sealgate/gw-0011223344556677", &[7; 32]).unwrap()
    }

    /// The sample records, the call with an outcome, sealed as one part.
    fn sealed(change: impl FnOnce(&mut Vec<(Record, Hash)>)) -> Sealed {
        let mut chain = Chain::new(samples::ledger());
        let mut rows = Vec::new();
        let mut fields: Vec<_> = samples::records().into_iter().map(|record| record.fields).collect();
        let mut outcome = crate::record::Fields::new(crate::record::Kind::Outcome);
        outcome.call = Some(1);
        fields.insert(2, outcome);
        fields[3].detail = Some(r#"{"counts":{"intent":1,"outcome":1,"window_close":1,"window_open":1}}"#.into());
        for fields in fields {
            let record = chain.append(fields, 1, &mut Vec::new());
            rows.push((record, chain.head()));
        }
        change(&mut rows);
        let payloads = vec![samples::payloads().swap_remove(0)];
        let ledger = samples::ledger();
        let files = BTreeMap::from([
            (Table::Records.file_name(0), Bytes::from(parquet::write_records(&ledger, 0, &rows).unwrap())),
            (Table::Payloads.file_name(0), Bytes::from(parquet::write_payloads(&ledger, 0, &payloads).unwrap())),
        ]);
        let part = |table: Table, rows| {
            let bytes = &files[&table.file_name(0)];
            PartFile {
                name: table.file_name(0),
                table,
                first_seq: 0,
                records: 4,
                rows,
                bytes: bytes.len() as u64,
                sha256: Hash::of(&[bytes]).to_string(),
                key: None,
            }
        };
        let manifest = Manifest {
            format: MANIFEST_FORMAT.into(),
            gateway: ledger.gateway().to_string(),
            window: ledger.window().to_string(),
            state: State::Sealed,
            records: 4,
            head: chain.head().to_string(),
            counts: ["intent", "outcome", "window_close", "window_open"].map(|kind| (kind.to_owned(), 1)).into(),
            files: vec![part(Table::Records, rows.len() as u64), part(Table::Payloads, 1)],
            software: "test".into(),
        };
        Sealed { note: manifest.sign(chain.root(), &key()).unwrap(), files }
    }

    fn report(sealed: &Sealed) -> Report {
        let names: Vec<_> = sealed.files.keys().cloned().collect();
        verify_ledger(key().verifier(), &sealed.note, &names, &mut |name| {
            sealed.files.get(name).cloned().ok_or_else(|| "missing".to_owned())
        })
    }

    #[test]
    fn an_untouched_ledger_holds() {
        let report = report(&sealed(|_| ()));
        assert_eq!(report.findings, []);
        assert!(report.holds());
        assert_eq!(report.verdict(Level::L3), Verdict::NotChecked);
    }

    /// Even when the sealer itself signed the changed file: the record hashes tell.
    #[test]
    fn a_changed_cell_is_named_by_its_record() {
        let report = report(&sealed(|rows| rows[1].0.fields.principal = Some("mallory".into())));
        assert_eq!(report.findings.iter().filter_map(|f| f.seq).collect::<Vec<_>>(), [1]);
        assert_eq!(report.verdict(Level::L2), Verdict::Fail);
    }

    #[test]
    fn a_changed_seq_is_named_by_the_record_that_it_was() {
        for seq in [0, 3, 7, u64::MAX] {
            let report = report(&sealed(|rows| rows[1].0.seq = seq));
            assert_eq!(report.findings.iter().filter_map(|f| f.seq).collect::<Vec<_>>(), [1], "{seq}");
        }
    }

    #[test]
    fn a_deleted_inserted_or_swapped_row_is_found() {
        type Change = fn(&mut Vec<(Record, Hash)>);
        let changes: [Change; 3] = [|rows| drop(rows.remove(1)), |rows| rows.insert(2, rows[1].clone()), |rows| rows.swap(1, 2)];
        for (index, change) in changes.into_iter().enumerate() {
            assert_eq!(report(&sealed(change)).verdict(Level::L2), Verdict::Fail, "change {index}");
        }
    }

    #[test]
    fn a_removed_and_an_added_file_are_found() {
        for name in [Table::Records.file_name(0), Table::Payloads.file_name(0)] {
            let mut removed = sealed(|_| ());
            removed.files.remove(&name);
            assert_eq!(report(&removed).verdict(Level::L0), Verdict::Fail);
        }
        let mut added = sealed(|_| ());
        added.files.insert("records-000000000004.parquet".into(), Bytes::new());
        assert_eq!(report(&added).verdict(Level::L0), Verdict::Fail);
    }

    #[test]
    fn every_flipped_byte_of_every_file_is_found() {
        let good = sealed(|_| ());
        for (name, bytes) in &good.files {
            for place in (0..bytes.len()).step_by(11) {
                let mut flipped = bytes.to_vec();
                flipped[place] ^= 1;
                let mut files = good.files.clone();
                files.insert(name.clone(), flipped.into());
                assert!(!report(&Sealed { note: good.note.clone(), files }).holds(), "{name} at {place}");
            }
        }
    }
}
