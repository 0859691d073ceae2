//! Whole evidence: a folder of which files were changed, taken away, added or exchanged never passes.
//!
//! An input is a list of changes to forged evidence. Two bits of it have the forger's keys put right what the changes broke, so
//! that what stands behind hashes and signatures is reached: then the target only must not panic, unless the log still tells.

use bytes::Bytes;
use sealgate_schema::{
    Hash,
    note::VerifierKey,
    seal::{Manifest, NOTE_NAME, State},
    tiles::{Kind, read_entries, tiles},
    verify::{Asked, verify_evidence},
    witness::{check_cosigned, policy::Policy},
};
use sealgate_tests::forge::{Forged, ForgedWindow, Size, forge, log::log_files};
use std::{collections::BTreeMap, sync::LazyLock};

const SIZE: Size = Size { windows: 2, records: 6, quiet: 1 };
const CHANGE_BYTES: usize = 6;
const CHANGES_MAX: usize = 8;
/// Bits of the first byte; those below choose the evidence.
const SIGN_NOTES: u8 = 0x80;
const SIGN_LOG: u8 = 0x40;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Between them: cosignatures, rotated identity keys, sealed and open windows, every redaction.
pub(crate) static FORGED: LazyLock<Vec<Forged>> = LazyLock::new(|| (0..8).map(|seed| forge(seed, SIZE)).collect());

/// Evidence that is not as it was is refused.
pub(crate) fn changes(data: &[u8]) -> bool {
    let Some((&head, changes)) = data.split_first() else { return false };
    let (changes, []) = changes.as_chunks::<CHANGE_BYTES>() else { return false };
    let forged = &FORGED[usize::from(head) % FORGED.len()];
    let mut files = forged.files.clone();
    changes.iter().take(CHANGES_MAX).for_each(|change| apply(change, &mut files));
    let mut certain = true;
    if head & SIGN_NOTES != 0 {
        forged.windows.iter().for_each(|window| certain &= sign_note(&mut files, window));
    }
    if head & SIGN_LOG != 0 {
        certain &= sign_log(&mut files, forged).is_none();
    }
    let changed = files != forged.files;
    let passes = passes(forged, files);
    assert!(passes || changed, "what was forged holds");
    assert!(!passes || !changed || !certain, "changed evidence passes");
    true
}

/// Whether `sealgate verify` with the key and the policy would say that all holds.
fn passes(forged: &Forged, files: Files) -> bool {
    let source = source(files);
    let key = VerifierKey::parse(&forged.vkey()).expect("a key");
    let report = verify_evidence(&source, &Asked { keys: vec![key.clone()], ..Asked::default() });
    let policy = Policy::parse(forged.policy().as_bytes()).expect("a policy");
    let cosigned = forged.witnesses.is_empty()
        || report.logs.iter().all(|log| log.cosigned.as_ref().is_some_and(|note| check_cosigned(note, &key, &policy).is_ok()));
    cosigned && !report.tampered() && !report.incomplete()
}

/// Evidence as a verifier reads it.
pub(crate) fn source(files: Files) -> BTreeMap<String, Bytes> {
    files.into_iter().map(|(path, bytes)| (path, Bytes::from(bytes))).collect()
}

/// One change: a file, what is done, where, and with what.
fn apply(&[file, action, high, low, one, two]: &[u8; CHANGE_BYTES], files: &mut Files) {
    let Some(path) = files.keys().nth(usize::from(file) % files.len().max(1)).cloned() else { return };
    let other = files.keys().nth(usize::from(one) % files.len()).cloned().expect("there is one");
    let bytes = files.get_mut(&path).expect("it is there");
    let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
    match action % 10 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (one % 8)),
        1 => bytes.iter_mut().skip(at).zip([one, two]).for_each(|(byte, with)| *byte = with),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, one),
        4 => drop(bytes.drain(at..(at + usize::from(one)).min(bytes.len()))),
        5 => drop(files.remove(&path)),
        6 => drop(files.insert(path, files[&other].clone())),
        7 => {
            let moved = files.remove(&path).expect("it is there");
            files.insert(other, moved);
        }
        8 => {
            let name = [".p/1", "/x", "~", ".tmp", "/000000000000.records.parquet", "/_log"][usize::from(two) % 6];
            let copy = bytes.clone();
            files.insert(format!("{path}{name}"), copy);
        }
        _ => {
            let repeated = bytes[at..].to_vec();
            bytes.extend(repeated);
        }
    }
}

/// Has a note name the files as they are now, and signs it with the window's last key. Says whether that must be found: the
/// log holds the hash of a sealed window's note.
fn sign_note(files: &mut Files, window: &ForgedWindow) -> bool {
    let folder = format!("{}/{}", window.ledger.gateway(), window.ledger.window());
    let path = format!("{folder}/{NOTE_NAME}");
    let mut manifest: Manifest = window.manifest.clone();
    let mut same = true;
    for part in &mut manifest.files {
        let Some(bytes) = files.get(&format!("{folder}/{}", part.name)) else { continue };
        let sha256 = Hash::of(&[bytes]).to_string();
        same &= part.sha256 == sha256;
        (part.bytes, part.sha256) = (bytes.len() as u64, sha256);
    }
    let (Some(key), Some(root)) = (window.keys.last(), window.rows.roots.get(window.rows.records.len())) else { return true };
    if !same {
        files.insert(path, manifest.sign(*root, &key.1).expect("a manifest is JSON").into_bytes());
    }
    same || manifest.state == State::Sealed
}

/// Writes the log anew from the entries that its bundles hold now, signed by the forger. Nothing where they are as they were.
fn sign_log(files: &mut Files, forged: &Forged) -> Option<()> {
    let folder = format!("{}/_log/", forged.gateway);
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for tile in tiles(0, forged.entries.len() as u64).into_iter().filter(|tile| tile.kind == Kind::Entries) {
        let bundle = files.get(&format!("{folder}{}", tile.path()))?;
        let width = (0..=tile.width + 1).rev().find(|width| read_entries(bundle, *width).is_some())?;
        entries.extend(read_entries(bundle, width)?.into_iter().map(<[u8]>::to_vec));
    }
    let before: Vec<Vec<u8>> = forged.entries.iter().map(|entry| entry.encode().expect("an entry is JSON")).collect();
    let last = forged.identities.last().map_or(0, |identity| identity.from);
    if entries == before || (entries.len() as u64) < last {
        return None;
    }
    files.retain(|path, _| !path.starts_with(&format!("{folder}tile/")));
    let written = log_files(&forged.gateway, &entries, &forged.identities);
    files.extend(written.into_iter().map(|(path, bytes)| (format!("{folder}{path}"), bytes)));
    Some(())
}

/// All evidence as it is, and with a change of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..FORGED.len() as u8).map(|head| vec![head]).collect();
    seeds.extend((0..10).map(|action| vec![action, action * 7, action, 0, 40 + action, 3, action]));
    seeds.extend([vec![SIGN_NOTES | 1, 9, 1, 0, 90, 1, 2], vec![SIGN_LOG | 2, 3, 1, 0, 90, b'7', b'7']]);
    seeds
}
