//! The windows log of a gateway: what its entries say (`schema/FORMAT.md` §10).
//!
//! One log an instance, in `_log` beside the windows' folders. Each entry is one JSON object in RFC 8785 form. The log says
//! which windows there are, which key signs for each, how far each had grown and when, how it was sealed, and what was
//! taken away since: so that nothing can be taken away unnoticed.

use crate::{Hash, id::check_name, note::VerifierKey, tiles::ENTRY_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Folder of the log, beside those of the windows. No window can have this name.
pub const LOG_FOLDER: &str = "_log";
/// The signed checkpoint of all entries.
pub const CHECKPOINT_NAME: &str = "checkpoint";
/// The newest checkpoint that witnesses have cosigned.
pub const COSIGNED_NAME: &str = "cosigned";
/// Name of the timestamp over `ledger.note`, in the window's folder.
pub const TIMESTAMP_NAME: &str = "ledger.tsr";

/// The origin of a gateway's log, and the name of its identity key.
pub fn origin(gateway: &str) -> String {
    format!("sealgate/{gateway}")
}

/// Name of the checkpoint with which one identity key hands over to the next: that of the log's first `size` entries.
pub fn handover_name(size: u64) -> String {
    format!("handover-{size:012}")
}

/// One entry. A member that is not of this format is found by [`Entry::decode`], which writes the entry again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was made: microseconds since 1970 by the gateway's clock.
    pub time: i64,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// From `records` on, `key` signs for the window. The first one opens it, with no records; each start of the gateway
    /// that writes to it adds one.
    Open {
        /// The window.
        window: String,
        /// Text form of the key.
        key: String,
        /// Records of the ledger when the key took over.
        records: u64,
        /// Tree root over them, hex.
        root: String,
    },
    /// An open ledger had grown to here.
    Head {
        /// The window.
        window: String,
        /// Its records.
        records: u64,
        /// Tree root over them, hex.
        root: String,
    },
    /// A ledger was sealed. One that never had a record has no note.
    Seal {
        /// The window.
        window: String,
        /// Its records.
        records: u64,
        /// Tree root over them, hex.
        root: String,
        /// SHA-256 of `ledger.note`, hex.
        note: Option<String>,
    },
    /// Something was taken away from a sealed window.
    Redaction(Redaction),
    /// A legal hold was set or cleared: while it stands, nothing is taken away from the window.
    Hold {
        /// The window.
        window: String,
        /// Set, or cleared.
        set: bool,
        /// On whose word.
        authority: String,
        /// Why.
        reason: String,
    },
    /// The identity key changed hands.
    Key {
        /// What became of `key`.
        action: KeyAction,
        /// Text form of the key.
        key: String,
        /// Checkpoints of so many entries and more are signed by it (`adopt`); of more than so many no longer count when signed by
        /// it (`revoke`).
        from: u64,
        /// Why.
        reason: String,
    },
    /// A timestamp authority signed the time of a seal: SHA-256 of `ledger.tsr`.
    Timestamp {
        /// The window.
        window: String,
        /// Hex.
        sha256: String,
    },
}

/// What became of an identity key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAction {
    /// It signs from here on. The checkpoint that ends with this entry is signed by the key before it too.
    Adopt,
    /// Whoever holds it may not be the gateway.
    Revoke,
}

/// What was taken away, on whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// The window.
    pub window: String,
    /// How much.
    pub action: RedactionAction,
    /// On whose word.
    pub authority: String,
    /// Why.
    pub reason: String,
    /// Number of values that were erased, by field: of this redaction alone.
    pub fields: BTreeMap<String, u64>,
    /// The files that it concerns, as they were before.
    pub files: Vec<RedactedFile>,
}

/// How much a redaction takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedactionAction {
    /// Single fields: each file has a successor.
    Erase,
    /// The payload files.
    Payloads,
    /// The payload files' key: they stay, and can't be read by anyone.
    Shred,
    /// Every file but the note.
    Records,
}

/// A file that a redaction concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactedFile {
    /// The name it had.
    pub name: String,
    /// SHA-256 of the bytes it had, hex.
    pub sha256: String,
    /// What stands in its place; nothing where it went.
    pub successor: Option<Successor>,
}

/// A file that stands in another's place. Its rows are those of the other, but for fields that were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Bytes that are no entry of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of a windows log: {0}")]
pub struct BadEntry(String);

impl Entry {
    /// The bytes of the entry, which the log's tree is over.
    pub fn encode(&self) -> Result<Vec<u8>, BadEntry> {
        let bytes = serde_json_canonicalizer::to_vec(self).map_err(|error| BadEntry(error.to_string()))?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(BadEntry(format!("it has {} bytes, at most {ENTRY_BYTES_MAX} fit", bytes.len())));
        }
        Ok(bytes)
    }

    /// Reads an entry. One entry has one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadEntry> {
        let entry: Self = serde_json::from_slice(bytes).map_err(|error| BadEntry(error.to_string()))?;
        entry.check().map_err(|what| BadEntry(what.to_owned()))?;
        if entry.encode()? == bytes { Ok(entry) } else { Err(BadEntry("not in canonical form".to_owned())) }
    }

    /// Whether its hashes, keys and names have their form.
    fn check(&self) -> Result<(), &'static str> {
        let hash = |text: &str| Hash::from_hex(text).map(drop).ok_or("a hash is 64 hex digits");
        let key = |text: &str| VerifierKey::parse(text).map(drop).map_err(|_| "a key is NAME+HASH+KEY");
        if let Some(window) = self.event.window() {
            check_name("window", window).map_err(|_| "a window's name")?;
        }
        match &self.event {
            Event::Open { key: text, root, .. } => key(text).and(hash(root)),
            Event::Head { root, .. } => hash(root),
            Event::Seal { root, note, records, .. } => {
                if note.is_none() != (*records == 0) {
                    return Err("a seal has a note where it has records");
                }
                note.as_deref().map_or(Ok(()), hash).and(hash(root))
            }
            Event::Redaction(redaction) => redaction.files.iter().try_for_each(|file| {
                hash(&file.sha256)?;
                file.successor.as_ref().map_or(Ok(()), |successor| hash(&successor.sha256))
            }),
            Event::Key { key: text, .. } => key(text),
            Event::Timestamp { sha256, .. } => hash(sha256),
            Event::Hold { .. } => Ok(()),
        }
    }
}

impl Event {
    /// The window that it is about.
    pub fn window(&self) -> Option<&str> {
        match self {
            Self::Open { window, .. }
            | Self::Head { window, .. }
            | Self::Seal { window, .. }
            | Self::Hold { window, .. }
            | Self::Timestamp { window, .. } => Some(window),
            Self::Redaction(redaction) => Some(&redaction.window),
            Self::Key { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn entries_read_back_and_have_one_spelling() {
        let (window, root) = ("CHG-1".to_owned(), Hash::ZERO.to_string());
        let file = RedactedFile { name: "a".into(), sha256: root.clone(), successor: None };
        let redaction = Redaction {
            window: window.clone(),
            action: RedactionAction::Payloads,
            authority: "dpo".into(),
            reason: "asked".into(),
            fields: BTreeMap::new(),
            files: vec![file],
        };
        for event in [
            Event::Open { window: window.clone(), key: KEY.into(), records: 0, root: root.clone() },
            Event::Head { window: window.clone(), records: 7, root: root.clone() },
            Event::Seal { window: window.clone(), records: 7, root: root.clone(), note: Some(root.clone()) },
            Event::Seal { window: window.clone(), records: 0, root: root.clone(), note: None },
            Event::Redaction(redaction),
            Event::Hold { window: window.clone(), set: true, authority: "counsel".into(), reason: "case 7".into() },
            Event::Key { action: KeyAction::Adopt, key: KEY.into(), from: 3, reason: "yearly".into() },
            Event::Timestamp { window, sha256: root },
        ] {
            let entry = Entry { time: 5, event };
            let bytes = entry.encode().unwrap();
            assert_eq!(Entry::decode(&bytes), Ok(entry));
            let spaced = [&bytes[..1], b" ", &bytes[1..]].concat();
            assert!(Entry::decode(&spaced).is_err());
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let head = |window: &str, more: &str| {
            format!(r#"{{{more}"records":7,"root":"{}","time":5,"type":"head","window":"{window}"}}"#, Hash::ZERO)
        };
        assert!(Entry::decode(head("CHG-1", "").as_bytes()).is_ok());
        for bad in [head("../x", ""), head("CHG-1", r#""more":1,"#), head("CHG-1", "").replace("00", "0g"), "{}".into()] {
            assert!(Entry::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_entries_never_panic(bytes: Vec<u8>, text: String) {
            let _ = Entry::decode(&bytes);
            let _ = Entry::decode(text.as_bytes());
        }
    }
}
