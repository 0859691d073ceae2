//! The manifest of a ledger and the note that signs it (`schema/FORMAT.md` §7).
//!
//! Manifest and signature are one file, `ledger.note`, so that one rename replaces both: a checkpoint (origin, size,
//! root) with the manifest as its only extension line. While the window is open the note is replaced with every part
//! and says `open`; the last one says `sealed`.

use crate::{
    Hash, LedgerId,
    note::{self, Checkpoint, NoteError, SigningKey, VerifierKey},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the note in a ledger's folder.
pub const NOTE_NAME: &str = "ledger.note";
/// Value of the manifest's `format`.
pub const MANIFEST_FORMAT: &str = "sealgate/manifest/v1";

/// Whether more records may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The window is open: more parts will come, and nothing here says where the ledger ends.
    Open,
    /// The last record is the window's `window_close`.
    Sealed,
}

/// Which table a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Who, what, when, with what result.
    Records,
    /// Query strings, headers, bodies.
    Payloads,
}

impl Table {
    /// The word in file names and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Payloads => "payloads",
        }
    }

    /// The one name of the part that starts at `first_seq`.
    pub fn file_name(self, first_seq: u64) -> String {
        format!("{}-{first_seq:012}.parquet", self.as_str())
    }

    /// The name of the file that stands in a part's place after so many redactions: its own for 0.
    pub fn revision_name(self, first_seq: u64, revision: u32) -> String {
        match revision {
            0 => self.file_name(first_seq),
            _ => format!("{}-{first_seq:012}.r{revision}.parquet", self.as_str()),
        }
    }
}

/// One sealed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFile {
    /// Name in the ledger's folder.
    pub name: String,
    /// What it holds.
    pub table: Table,
    /// First `seq` of the part (of the records; a payload file may start later).
    pub first_seq: u64,
    /// Records in the part. The payload file of a part repeats the number of its records.
    pub records: u64,
    /// Rows in this file.
    pub rows: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
    /// Id of the key of an encrypted payloads file (`schema/FORMAT.md` §11).
    pub key: Option<String>,
}

/// What is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// The gateway instance.
    pub gateway: String,
    /// The change window.
    pub window: String,
    /// Open or sealed.
    pub state: State,
    /// Number of records.
    pub records: u64,
    /// Hash of the last record, in hex.
    pub head: String,
    /// Records by kind.
    pub counts: BTreeMap<String, u64>,
    /// All files, in order of first `seq`, records before payloads.
    pub files: Vec<PartFile>,
    /// The program that sealed.
    pub software: String,
}

/// Why a ledger's note was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The note itself.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note is signed, but is not a ledger's.
    #[error("the signed note is not a ledger's: {0}")]
    NotALedger(String),
}

impl Manifest {
    /// The text to sign: a checkpoint over `root` with the manifest as its extension line.
    pub fn text(&self, root: Hash) -> Result<String, serde_json::Error> {
        let checkpoint = Checkpoint {
            origin: format!("sealgate/{}/{}", self.gateway, self.window),
            size: self.records,
            root,
            extensions: vec![serde_json_canonicalizer::to_string(self)?],
        };
        Ok(checkpoint.text())
    }

    /// Signs the manifest with the tree root over its records, and returns the bytes of `ledger.note`.
    pub fn sign(&self, root: Hash, key: &SigningKey) -> Result<String, serde_json::Error> {
        Ok(key.sign(&self.text(root)?))
    }

    /// The number of records that a `ledger.note` speaks of, whoever signed it. To learn which key should have.
    pub fn records_of(note: &str) -> Result<u64, SealError> {
        Ok(Checkpoint::parse(note::text(note)?)?.size)
    }

    /// Opens a `ledger.note` under `key`, which alone signed it: the manifest and the root.
    pub fn open(note: &str, key: &VerifierKey) -> Result<(Self, Hash), SealError> {
        let not = |why: &str| SealError::NotALedger(why.to_owned());
        let checkpoint = Checkpoint::parse(note::open_exactly(note, &[key])?)?;
        let [json] = checkpoint.extensions.as_slice() else { return Err(not("it has no manifest line")) };
        let manifest: Self = serde_json::from_str(json).map_err(|error| not(&format!("manifest: {error}")))?;
        let canonical = serde_json_canonicalizer::to_string(&manifest).map_err(|error| not(&error.to_string()))?;
        let ledger = LedgerId::new(manifest.gateway.clone(), manifest.window.clone()).map_err(|error| not(&error.to_string()))?;
        if manifest.format != MANIFEST_FORMAT {
            return Err(not(&format!("format is {:?}, this version reads {MANIFEST_FORMAT:?}", manifest.format)));
        }
        if canonical != *json || checkpoint.origin != ledger.origin() || checkpoint.size != manifest.records {
            return Err(not("manifest and checkpoint disagree, or the manifest is not in canonical form"));
        }
        Ok((manifest, checkpoint.root))
    }

    /// The ledger's name.
    pub fn ledger(&self) -> Result<LedgerId, crate::id::BadName> {
        LedgerId::new(self.gateway.clone(), self.window.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.into(),
            gateway: "gw-test".into(),
            window: "CHG-1".into(),
            state: State::Sealed,
            records: 2,
            head: Hash::ZERO.to_string(),
            counts: BTreeMap::from([("window_open".into(), 1)]),
            files: Vec::new(),
            software: "test".into(),
        }
    }

    #[test]
    fn a_sealed_manifest_opens_and_a_changed_one_does_not() {
        let key = SigningKey::from_seed("sealgate/gw-test", &[7; 32]).unwrap();
        let root = Hash::of(&[b"root"]);
        let note = manifest().sign(root, &key).unwrap();
        assert_eq!(Manifest::open(&note, key.verifier()), Ok((manifest(), root)));
        assert!(Manifest::open(&note.replace("sealed", "open"), key.verifier()).is_err());
    }

    #[test]
    fn a_genuine_signature_over_something_else_is_not_a_seal() {
        let key = SigningKey::from_seed("sealgate/gw-test", &[7; 32]).unwrap();
        let spaced = serde_json::to_string_pretty(&manifest()).unwrap().replace('\n', " ");
        let origin = "sealgate/gw-test/CHG-1";
        for (origin, size, lines) in [
            (origin, 2, vec![spaced]),
            (origin, 2, vec![]),
            ("sealgate/gw-test/CHG-2", 2, vec![serde_json_canonicalizer::to_string(&manifest()).unwrap()]),
        ] {
            let checkpoint = Checkpoint { origin: origin.into(), size, root: Hash::ZERO, extensions: lines };
            assert!(matches!(Manifest::open(&key.sign(&checkpoint.text()), key.verifier()), Err(SealError::NotALedger(_))));
        }
    }
}
