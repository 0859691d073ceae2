//! The windows log of forged evidence: an order of all windows' entries with changes of the identity key between them, and
//! the files that hold any entries.

use super::{Forged, random::Random};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use sealgate_schema::{
    Hash,
    log::{CHECKPOINT_NAME, Entry, Event, KeyAction, handover_name, origin},
    merkle::{leaf_hash, range_root},
    note::{Checkpoint, SigningKey},
    tiles::{Kind, tiles, write_entries, write_hashes},
};
use std::collections::BTreeMap;

/// An identity key and the size from which it signs checkpoints.
#[derive(Debug)]
pub struct Identity {
    /// It signs checkpoints of so many entries and more.
    pub from: u64,
    /// The key.
    pub key: SigningKey,
}

/// Puts the entries of several windows into one order, each window's in its own, with rotations of the identity key.
pub(super) fn interleave(random: &mut Random, gateway: &str, mut queues: Vec<Vec<Event>>) -> (Vec<Entry>, Vec<Identity>) {
    let mut keys = Keys { gateway, identities: Vec::new(), revoked: 0 };
    let mut events = vec![keys.adopt(random, 0)];
    queues.iter_mut().for_each(|queue| queue.reverse());
    queues.retain(|queue| !queue.is_empty());
    while !queues.is_empty() {
        if random.chance(3) {
            events.push(keys.adopt(random, events.len() as u64));
        } else if random.chance(3) {
            events.extend(keys.revoke(random, events.len()));
        }
        let queue = random.below(queues.len());
        events.extend(queues[queue].pop());
        queues.retain(|queue| !queue.is_empty());
    }
    let entries = events.into_iter().enumerate().map(|(index, event)| Entry { time: 1_790_000_000_000_000 + index as i64, event });
    (entries.collect(), keys.identities)
}

struct Keys<'a> {
    gateway: &'a str,
    identities: Vec<Identity>,
    /// How many of the oldest keys are revoked.
    revoked: usize,
}

impl Keys<'_> {
    fn adopt(&mut self, random: &mut Random, index: u64) -> Event {
        let key = SigningKey::from_seed(&origin(self.gateway), &random.seed()).unwrap();
        let event =
            Event::Key { action: KeyAction::Adopt, key: key.verifier().to_string(), from: index + 1, reason: random.text() };
        self.identities.push(Identity { from: index + 1, key });
        event
    }

    /// Nothing where only the newest key is left.
    fn revoke(&mut self, random: &mut Random, index: usize) -> Option<Event> {
        let old = self.identities.get(self.revoked).filter(|_| self.revoked + 1 < self.identities.len())?;
        self.revoked += 1;
        let (key, from) = (old.key.verifier().to_string(), random.below(index + 1) as u64);
        Some(Event::Key { action: KeyAction::Revoke, key, from, reason: random.text() })
    }
}

/// All files of a log with these bytes as entries, by their path in its folder. `identities` sign, each from its size on.
pub fn log_files(gateway: &str, entries: &[Vec<u8>], identities: &[Identity]) -> BTreeMap<String, Vec<u8>> {
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let mut files = BTreeMap::new();
    for tile in tiles(0, entries.len() as u64) {
        let first = tile.first() as usize;
        let bytes = match tile.kind {
            Kind::Entries => {
                let bundle = &entries[first..first + tile.width as usize];
                write_entries(bundle.iter().map(Vec::as_slice)).unwrap()
            }
            Kind::Hashes(level) => write_hashes(&mut leaves.as_slice(), &tile, level).unwrap(),
        };
        files.insert(tile.path(), bytes);
    }
    let text = |size| checkpoint_text(gateway, &leaves, size);
    for pair in identities.windows(2) {
        let handover = text(pair[1].from);
        files.insert(handover_name(pair[1].from), cosigned(&pair[0].key.sign(&handover), &pair[1].key.sign(&handover)).into());
    }
    let size = entries.len() as u64;
    files.insert(CHECKPOINT_NAME.to_owned(), identity_at(identities, size).sign(&text(size)).into());
    files
}

/// The key that signs checkpoints of so many entries.
pub fn identity_at(identities: &[Identity], size: u64) -> &SigningKey {
    &identities.iter().rev().find(|identity| identity.from <= size).unwrap_or(&identities[0]).key
}

/// The checkpoint's text of the first `size` entries, whose leaf hashes these are.
pub fn checkpoint_text(gateway: &str, leaves: &[Hash], size: u64) -> String {
    let root = range_root(&mut &leaves[..size as usize], 0, size).unwrap();
    Checkpoint { origin: origin(gateway), size, root, extensions: Vec::new() }.text()
}

/// A note with the signature lines of another over the same text below its own.
pub fn cosigned(note: &str, other: &str) -> String {
    let lines = other.rfind("\n\n").unwrap() + 2;
    format!("{note}{}", &other[lines..])
}

/// A witness: C2SP tlog-cosignature, `cosignature/v1`.
pub struct Witness {
    name: String,
    key: Ed25519KeyPair,
}

impl Witness {
    /// The witness of a seed.
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        Self { name: name.to_owned(), key: Ed25519KeyPair::from_seed_unchecked(seed).unwrap() }
    }

    /// `NAME+HASH+KEY` with key type 4.
    pub fn vkey(&self) -> String {
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}+{id}+{}", self.name, STANDARD.encode(self.public()))
    }

    /// Adds its line to a checkpoint that it saw at `seconds` since 1970.
    pub fn cosign(&self, note: &str, seconds: u64) -> String {
        let text = &note[..note.rfind("\n\n").unwrap() + 1];
        let signature = self.key.sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
        let bytes = [&self.id()[..], &seconds.to_be_bytes(), signature.as_ref()].concat();
        format!("{note}\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }

    fn public(&self) -> Vec<u8> {
        [&[4], self.key.public_key().as_ref()].concat()
    }

    fn id(&self) -> [u8; 4] {
        let hash = Hash::of(&[self.name.as_bytes(), b"\n", &self.public()]).0;
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl Forged {
    /// The checkpoint of the first `size` entries, as a caller may have kept it.
    pub fn pin(&self, size: u64) -> String {
        let text = checkpoint_text(&self.gateway, &self.leaves(), size);
        identity_at(&self.identities, size).sign(&text)
    }

    /// Whether a pin of this size counts: no revocation of the key that signed it reaches below it.
    pub fn pin_counts(&self, size: u64) -> bool {
        let signer = identity_at(&self.identities, size).verifier().to_string();
        !self.entries.iter().any(|entry| match &entry.event {
            Event::Key { action: KeyAction::Revoke, key, from, .. } => *key == signer && *from < size,
            _ => false,
        })
    }

    /// Leaf hashes of the log.
    pub fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| leaf_hash(&entry.encode().unwrap())).collect()
    }

    /// Puts other entries into the log, signed as the gateway would: what an attacker with its identity key can do.
    pub fn relog(&mut self, entries: Vec<Entry>) {
        let bytes: Vec<Vec<u8>> = entries.iter().map(|entry| entry.encode().unwrap()).collect();
        let folder = format!("{}/_log/", self.gateway);
        self.files.retain(|path, _| !path.starts_with(&folder));
        let files = log_files(&self.gateway, &bytes, &self.identities);
        self.files.extend(files.into_iter().map(|(path, file)| (format!("{folder}{path}"), file)));
        self.entries = entries;
    }
}
