//! Random tamperings of forged evidence: of any byte, of whole files, of cells by a foreign writer, and by attackers who
//! hold a key.

use arrow::{
    array::{Array, RecordBatch, UInt32Array},
    compute::{concat_batches, take},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};
use sealgate_schema::{
    Chain,
    log::{LOG_FOLDER, RedactionAction},
    note::SigningKey,
    seal::State,
};
use sealgate_tests::forge::{Forged, Size, forge, random::Random, story::Rows};

/// What a verifier has to say of tampered evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It fails, with a pin and without.
    Always,
    /// It fails where the caller kept a checkpoint; without one nobody can tell.
    WithPin,
}

/// A tampering that was done.
pub(super) struct Done {
    /// What was done, for people.
    pub(super) what: String,
    /// Who can tell.
    pub(super) found: Found,
    /// Whether any byte may have changed: then readers may differ in how far they get.
    pub(super) noise: bool,
    /// Whether a verifier that can't check signatures has to find it too.
    pub(super) without_signatures: bool,
}

fn done(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), found: Found::Always, noise: false, without_signatures: true })
}

/// Bytes of one file, or two, are others. In a note the signature alone may be hit.
fn noise(what: impl Into<String>) -> Option<Done> {
    let what = what.into();
    let signed = ["ledger.note", "/checkpoint", "/cosigned", "/handover-"].iter().any(|name| what.contains(name));
    Some(Done { what, found: Found::Always, noise: true, without_signatures: !signed })
}

fn pinned(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), found: Found::WithPin, noise: false, without_signatures: false })
}

type Tampering = fn(&mut Random, &mut Forged) -> Option<Done>;

const TAMPERINGS: [Tampering; 24] = [
    flip,
    flip,
    flip_in_log,
    insert,
    delete,
    truncate,
    remove_file,
    remove_window,
    remove_log,
    duplicate,
    rename,
    swap_files,
    swap_windows,
    foreign_file,
    change_cell,
    change_cell,
    change_rows,
    splice,
    reencode,
    wrong_key,
    stray,
    rewritten_record,
    forked_log,
    rolled_back_log,
];

/// Does one of all tamperings; `None` where it does not apply to this evidence.
pub(super) fn tamper(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let before = forged.files.clone();
    let done = random.pick(&TAMPERINGS)(random, forged)?;
    (forged.files != before).then_some(done)
}

fn path(random: &mut Random, forged: &Forged, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let paths: Vec<&String> = forged.files.keys().filter(|path| wanted(path)).collect();
    (!paths.is_empty()).then(|| (*random.pick(&paths)).clone())
}

/// Any file but `cosigned`: a witness's line can be checked under a policy alone, which these verifiers are not given.
fn any(random: &mut Random, forged: &Forged) -> Option<String> {
    path(random, forged, |path| !path.ends_with("/cosigned"))
}

fn is_log(path: &str) -> bool {
    path.contains(LOG_FOLDER) && !path.ends_with("/cosigned")
}

fn flip_at(random: &mut Random, forged: &mut Forged, path: &str) -> Option<Done> {
    let bytes = forged.files.get_mut(path).filter(|bytes| !bytes.is_empty())?;
    let (place, bit) = (random.below(bytes.len()), random.below(8));
    bytes[place] ^= 1 << bit;
    noise(format!("bit {bit} of byte {place} of {path} flipped"))
}

fn flip(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = any(random, forged)?;
    flip_at(random, forged, &path)
}

fn flip_in_log(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, is_log)?;
    flip_at(random, forged, &path)
}

fn insert(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = any(random, forged)?;
    let bytes = forged.files.get_mut(&path)?;
    let place = random.below(bytes.len() + 1);
    bytes.insert(place, random.bits() as u8);
    noise(format!("a byte before byte {place} of {path}"))
}

fn delete(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = any(random, forged)?;
    let bytes = forged.files.get_mut(&path).filter(|bytes| !bytes.is_empty())?;
    let place = random.below(bytes.len());
    bytes.remove(place);
    noise(format!("byte {place} of {path} deleted"))
}

fn truncate(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = any(random, forged)?;
    let bytes = forged.files.get_mut(&path)?;
    let length = random.below(bytes.len());
    bytes.truncate(length);
    noise(format!("{path} cut to {length} bytes"))
}

fn remove_file(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    // That nobody cosigned is no fault of the evidence; only a policy asks for it.
    let path = path(random, forged, |path| !path.ends_with("/cosigned"))?;
    forged.files.remove(&path);
    done(format!("{path} removed"))
}

fn remove_window(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let window = random.pick(&forged.windows).ledger.window().to_string();
    let folder = format!("{}/{window}/", forged.gateway);
    forged.files.retain(|path, _| !path.starts_with(&folder));
    done(format!("window {window} removed"))
}

fn remove_log(_random: &mut Random, forged: &mut Forged) -> Option<Done> {
    forged.files.retain(|path, _| !is_log(path));
    done("the log removed")
}

fn duplicate(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = any(random, forged)?;
    let bytes = forged.files[&path].clone();
    let copy = match random.below(3) {
        0 => format!("{path}.copy"),
        1 => path.replacen("-0000", "-0009", 1),
        _ => path.replacen('/', "-2/", 1),
    };
    (copy != path).then(|| forged.files.insert(copy.clone(), bytes))?;
    done(format!("{path} copied to {copy}"))
}

fn rename(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, |path| !path.ends_with("/cosigned"))?;
    let bytes = forged.files.remove(&path)?;
    let name = format!("{path}x");
    forged.files.insert(name, bytes);
    done(format!("{path} renamed"))
}

fn swap_files(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let (one, other) = (any(random, forged)?, any(random, forged)?);
    let (a, b) = (forged.files[&one].clone(), forged.files[&other].clone());
    forged.files.insert(one.clone(), b);
    forged.files.insert(other.clone(), a);
    noise(format!("{one} and {other} under each other's names"))
}

/// Two windows' folders under each other's names.
fn swap_windows(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    if forged.windows.len() < 2 {
        return None;
    }
    let names: Vec<String> = forged.windows.iter().map(|window| window.ledger.window().to_string()).collect();
    let (one, other) = (random.pick(&names).clone(), random.pick(&names).clone());
    let folder = |name: &str| format!("{}/{name}/", forged.gateway);
    let swapped = |path: String| match (path.strip_prefix(&folder(&one)), path.strip_prefix(&folder(&other))) {
        (Some(rest), _) => format!("{}{rest}", folder(&other)),
        (_, Some(rest)) => format!("{}{rest}", folder(&one)),
        _ => path,
    };
    forged.files = std::mem::take(&mut forged.files).into_iter().map(|(path, bytes)| (swapped(path), bytes)).collect();
    done(format!("windows {one} and {other} under each other's names"))
}

/// A note or a part of the same name from another gateway.
fn foreign_file(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let stranger = forge(random.bits(), Size::SMALL);
    let path = any(random, forged)?;
    let name = path.rsplit('/').next()?;
    let (_, bytes) = stranger.files.iter().find(|(theirs, _)| theirs.ends_with(name))?;
    forged.files.insert(path.clone(), bytes.clone());
    noise(format!("{path} of another gateway"))
}

fn is_table(forged: &Forged, path: &str) -> bool {
    path.ends_with(".parquet") && forged.files[path].starts_with(b"PAR1")
}

fn read(bytes: &[u8]) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes)).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Writes rows as a program that knows nothing of this format would, but for the metadata that it copies.
fn write(like: &[u8], batch: &RecordBatch) -> Vec<u8> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(like)).unwrap();
    let metadata = builder.metadata().file_metadata();
    let properties = WriterProperties::builder()
        .set_key_value_metadata(metadata.key_value_metadata().cloned())
        .set_created_by(metadata.created_by().unwrap().to_owned())
        .set_compression(Compression::ZSTD(Default::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn rows_by(batch: &RecordBatch, rows: &[u32]) -> RecordBatch {
    let rows = UInt32Array::from(rows.to_vec());
    let columns = batch.columns().iter().map(|column| take(column, &rows, None).unwrap()).collect();
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// One cell has the value that the same column has in another row.
fn change_cell(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, |path| is_table(forged, path))?;
    let batch = read(&forged.files[&path]);
    let (row, other) = (random.below(batch.num_rows()), random.below(batch.num_rows()));
    let differs = |column: &&usize| {
        let column = batch.column(**column);
        column.slice(row, 1).to_data() != column.slice(other, 1).to_data()
    };
    let all: Vec<usize> = (0..batch.num_columns()).collect();
    let changeable: Vec<&usize> = all.iter().filter(differs).collect();
    if changeable.is_empty() {
        return None;
    }
    let column = **random.pick(&changeable);
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    rows[row] = other as u32;
    let mut columns = batch.columns().to_vec();
    columns[column] = take(&columns[column], &UInt32Array::from(rows), None).unwrap();
    let changed = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let name = batch.schema().field(column).name().clone();
    forged.files.insert(path.clone(), write(&forged.files[&path], &changed));
    done(format!("{name} of row {row} of {path} is that of row {other}"))
}

/// Rows deleted, doubled or exchanged.
fn change_rows(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, |path| is_table(forged, path))?;
    let batch = read(&forged.files[&path]);
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    let (one, other) = (random.below(rows.len()), random.below(rows.len()));
    let what = match random.below(3) {
        0 => {
            rows.remove(one);
            "deleted"
        }
        1 => {
            rows.insert(one, other as u32);
            "doubled"
        }
        _ => {
            rows.swap(one, other);
            "exchanged"
        }
    };
    forged.files.insert(path.clone(), write(&forged.files[&path], &rows_by(&batch, &rows)));
    done(format!("row {one} of {path} {what}"))
}

/// A genuine row of one file stands in another of the same table.
fn splice(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let table = *random.pick(&["/records-", "/payloads-"]);
    let wanted = |path: &str| path.contains(table) && is_table(forged, path);
    let (from, to) = (path(random, forged, wanted)?, path(random, forged, wanted)?);
    let (source, batch) = (read(&forged.files[&from]), read(&forged.files[&to]));
    let (row, at) = (random.below(source.num_rows()), random.below(batch.num_rows()));
    let pieces = [batch.slice(0, at), source.slice(row, 1), batch.slice(at, batch.num_rows() - at)];
    let spliced = concat_batches(&batch.schema(), &pieces).unwrap();
    forged.files.insert(to.clone(), write(&forged.files[&to], &spliced));
    done(format!("row {row} of {from} before row {at} of {to}"))
}

fn reencode(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, |path| is_table(forged, path))?;
    let batch = read(&forged.files[&path]);
    forged.files.insert(path.clone(), write(&forged.files[&path], &batch));
    done(format!("{path} written by another program"))
}

/// A note or the checkpoint signed by a key of the right name that nobody bound.
fn wrong_key(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let path = path(random, forged, |path| path.ends_with("/ledger.note") || path.ends_with("/checkpoint"))?;
    let note = String::from_utf8(forged.files[&path].clone()).unwrap();
    let text = &note[..=note.rfind("\n\n")?];
    let name = text.lines().next()?;
    let key = SigningKey::from_seed(name, &random.seed()).unwrap();
    forged.files.insert(path.clone(), key.sign(text).into());
    done(format!("{path} signed by another key")).map(|done| Done { without_signatures: false, ..done })
}

fn stray(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let window = random.pick(&forged.windows).ledger.window().to_string();
    let gateway = forged.gateway.clone();
    let path = match random.below(6) {
        0 => "notes.txt".to_owned(),
        1 => format!("{gateway}/notes.txt"),
        2 => format!("{gateway}/{window}/notes.txt"),
        3 => format!("{gateway}/{window}/change_window=CHG-2/records-000000000000.parquet"),
        4 => format!("{gateway}/_log/tile/9/000"),
        _ => format!("{gateway}/change_window=CHG-2/ledger.note"),
    };
    forged.files.insert(path.clone(), b"x".to_vec());
    done(format!("{path} added"))
}

/// One record says something else, every hash after it is right again, and the window's own key signed it.
fn rewritten_record(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let index = random.below(forged.windows.len());
    let window = &forged.windows[index];
    if window.manifest.state != State::Sealed || window.redactions.contains(&RedactionAction::Records) {
        return None;
    }
    let mut chain = Chain::new(window.ledger.clone());
    let changed = random.below(window.rows.records.len());
    let mut rows = Rows { records: Vec::new(), payloads: window.rows.payloads.clone(), roots: vec![chain.root()] };
    for (number, (record, _)) in window.rows.records.iter().enumerate() {
        let mut fields = record.fields.clone();
        if number == changed {
            fields.principal = Some("mallory".into());
        }
        let record = chain.append(fields, record.time, &mut Vec::new());
        rows.records.push((record, chain.head()));
        rows.roots.push(chain.root());
    }
    let name = window.ledger.window().to_string();
    forged.rewrite(random, index, &rows);
    done(format!("record {changed} of {name} rewritten with the window's key"))
}

/// An entry was taken out, doubled, or two exchanged, and the identity key signed it.
fn forked_log(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let mut entries = forged.entries.clone();
    let (one, other) = (random.below(entries.len()), random.below(entries.len()));
    let what = match random.below(4) {
        0 => {
            entries.remove(one);
            format!("entry {one} taken out")
        }
        1 => {
            let entry = entries[other].clone();
            entries.insert(one, entry);
            format!("entry {other} again before {one}")
        }
        2 => {
            entries[one].time += 1;
            format!("entry {one} with another time")
        }
        _ => {
            entries.swap(one, other);
            format!("entries {one} and {other} exchanged")
        }
    };
    if entries.is_empty() || entries == forged.entries {
        return None;
    }
    forged.relog(entries);
    pinned(what)
}

/// The log as it was before, genuinely signed; the folders that it does not open yet went with it.
fn rolled_back_log(random: &mut Random, forged: &mut Forged) -> Option<Done> {
    let size = 1 + random.below(forged.entries.len() - 1);
    let entries = forged.entries[..size].to_vec();
    let opened = |window: &str| entries.iter().any(|entry| entry.event.window() == Some(window));
    let gone: Vec<String> =
        forged.windows.iter().map(|window| window.ledger.window().to_string()).filter(|window| !opened(window)).collect();
    for window in gone {
        let folder = format!("{}/{window}/", forged.gateway);
        forged.files.retain(|path, _| !path.starts_with(&folder));
    }
    forged.identities.retain(|identity| identity.from <= size as u64);
    forged.relog(entries);
    pinned(format!("the log rolled back to {size} entries"))
}
