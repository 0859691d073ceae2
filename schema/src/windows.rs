//! What a windows log says in sum: its keys, and each window's keys, growth, seal, redactions and holds.
//!
//! [`Windows::take`] is the grammar of the log (`schema/FORMAT.md` §10). The gateway asks it before it writes an entry and the
//! verifier while it reads, so that neither takes what the other refuses.

use crate::{
    Hash,
    log::{Entry, Event, KeyAction, Redaction, RedactionAction, origin},
    merkle::empty_root,
    note::VerifierKey,
};
use std::collections::{BTreeMap, BTreeSet};

/// A ledger at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its records.
    pub records: u64,
    /// Tree root over them.
    pub root: Hash,
}

/// A window key and the size from which it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Number of the entry that binds it.
    pub index: u64,
    /// The key.
    pub key: VerifierKey,
    /// The ledger when the key took over.
    pub at: Mark,
}

/// How a window was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Number of the entry.
    pub index: u64,
    /// When: microseconds since 1970 by the gateway's clock.
    pub time: i64,
    /// The whole ledger.
    pub at: Mark,
    /// SHA-256 of the note; `None` where there never was a record.
    pub note: Option<Hash>,
}

/// A legal hold that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// When it was set: microseconds since 1970 by the gateway's clock.
    pub time: i64,
    /// On whose word.
    pub authority: String,
    /// Why.
    pub reason: String,
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Its keys in order; never empty.
    pub keys: Vec<Bound>,
    /// How far it had grown: all `head` entries, or the last one alone ([`Heads`]).
    pub heads: Vec<Mark>,
    /// Its seal.
    pub seal: Option<Sealed>,
    /// What was taken away, with the numbers of the entries.
    pub redactions: Vec<(u64, Redaction)>,
    /// The legal hold, where one stands.
    pub hold: Option<Hold>,
    /// SHA-256 of its timestamp.
    pub timestamp: Option<Hash>,
    /// Entries of the log up to the last one that says how far it had grown: `open`, `head` or `seal`.
    pub told: u64,
}

impl Window {
    /// The key whose note of so many records counts.
    pub fn key_at(&self, records: u64) -> Option<&VerifierKey> {
        self.keys.iter().rev().find(|bound| bound.at.records < records).map(|bound| &bound.key)
    }

    /// The fewest records that the ledger had.
    pub fn length(&self) -> u64 {
        let head = self.heads.last().map_or(0, |mark| mark.records);
        // A start binds a key where the ledger is, which may be further than the last head before a crash.
        let bound = self.keys.last().map_or(0, |bound| bound.at.records);
        self.seal.map_or(head.max(bound), |seal| seal.at.records)
    }

    /// Sizes at which the log names the ledger's root, ascending.
    pub fn marks(&self) -> Vec<Mark> {
        let keys = self.keys.iter().map(|bound| bound.at);
        let mut marks: Vec<_> = keys.chain(self.heads.iter().copied()).chain(self.seal.map(|seal| seal.at)).collect();
        marks.sort_by_key(|mark| mark.records);
        marks
    }

    /// Whether a redaction took away what this asks for.
    pub fn lost(&self, action: RedactionAction) -> bool {
        self.redactions.iter().any(|(_, redaction)| redaction.action == action)
    }
}

/// Which heads are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// All: a verifier compares each.
    All,
    /// The newest: a writer needs no other.
    Last,
}

/// An identity key and the checkpoints that it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The key.
    pub key: VerifierKey,
    /// It signs checkpoints of so many entries and more, until the next.
    pub from: u64,
    /// Checkpoints of more entries than this no longer count when signed by it.
    pub revoked: Option<u64>,
}

/// The log in sum.
#[derive(Debug, Clone)]
pub struct Windows {
    gateway: String,
    heads: Heads,
    size: u64,
    identities: Vec<Identity>,
    windows: BTreeMap<String, Window>,
    /// Keys that were bound to any window.
    bound: BTreeSet<String>,
}

impl Windows {
    /// The log of `gateway` before its first entry.
    pub fn new(gateway: &str, heads: Heads) -> Self {
        Self {
            gateway: gateway.to_owned(),
            heads,
            size: 0,
            identities: Vec::new(),
            windows: BTreeMap::new(),
            bound: BTreeSet::new(),
        }
    }

    /// Number of entries taken.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The identity keys in order.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The identity key of checkpoints of so many entries.
    pub fn identity_at(&self, size: u64) -> Option<&Identity> {
        self.identities.iter().rev().find(|identity| identity.from <= size)
    }

    /// A window by name.
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.get(name)
    }

    /// All windows by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Window)> {
        self.windows.iter().map(|(name, window)| (name.as_str(), window))
    }

    /// Counts an entry that can't be read, so that those after it keep their numbers.
    pub fn skip(&mut self) {
        self.size += 1;
    }

    /// Takes the next entry, or leaves everything as it was. For a writer.
    pub fn try_take(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let size = self.size;
        self.take(entry).inspect_err(|_| self.size = size)
    }

    /// Takes the next entry; the error says why it can't stand there, and then only its number is taken.
    pub fn take(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let index = self.size;
        self.size += 1;
        if (index == 0) != (self.identities.is_empty()) || (index == 0 && !matches!(entry.event, Event::Key { .. })) {
            return Err("the first entry adopts the first identity key");
        }
        match &entry.event {
            Event::Key { action: KeyAction::Adopt, key, from, .. } => self.adopt(index, key, *from),
            Event::Key { action: KeyAction::Revoke, key, from, .. } => self.revoke(index, key, *from),
            Event::Open { window, key, records, root } => self.open(index, window, key, mark(*records, root)?),
            event => {
                let name = event.window().unwrap_or_default();
                let window = self.windows.get_mut(name).ok_or("no entry before it opens the window")?;
                window.take(index, entry.time, event, self.heads)?;
                if matches!(event, Event::Head { .. } | Event::Seal { .. }) {
                    window.told = index + 1;
                }
                Ok(())
            }
        }
    }

    fn adopt(&mut self, index: u64, key: &str, from: u64) -> Result<(), &'static str> {
        let key = VerifierKey::parse(key).map_err(|_| "the key is not one")?;
        if from != index + 1 {
            return Err("an identity key signs from the entry that adopts it on");
        }
        if key.name() != origin(&self.gateway) || self.identities.iter().any(|known| known.key == key) {
            return Err("an identity key is named after its gateway, and adopted once");
        }
        self.identities.push(Identity { key, from, revoked: None });
        Ok(())
    }

    fn revoke(&mut self, index: u64, key: &str, from: u64) -> Result<(), &'static str> {
        let [older @ .., _newest] = self.identities.as_mut_slice() else { return Err("no key was adopted") };
        let known = older.iter_mut().find(|known| known.key.to_string() == key);
        let known = known.ok_or("only a key that another one has followed can be revoked")?;
        if from > index || known.revoked.is_some_and(|revoked| revoked < from) {
            return Err("a revocation counts from an entry before it, and is not taken back");
        }
        known.revoked = Some(from);
        Ok(())
    }

    fn open(&mut self, index: u64, name: &str, key: &str, at: Mark) -> Result<(), &'static str> {
        let key = VerifierKey::parse(key).map_err(|_| "the key is not one")?;
        if key.name() != format!("{}/{name}", origin(&self.gateway)) || self.bound.contains(&key.to_string()) {
            return Err("a window key is named after its window, and bound once");
        }
        let last = self.windows.get(name).and_then(|window| window.keys.last());
        let fits = match last {
            None => at == Mark { records: 0, root: empty_root() },
            Some(last) => last.at.records <= at.records && (at.records > 0 || at.root == empty_root()),
        };
        if !fits {
            return Err("a window is opened without records, and goes on from where it was");
        }
        if self.windows.get(name).is_some_and(|window| window.seal.is_some()) {
            return Err("the window is sealed");
        }
        self.bound.insert(key.to_string());
        let window = self.windows.entry(name.to_owned()).or_default();
        window.keys.push(Bound { index, key, at });
        window.told = index + 1;
        Ok(())
    }
}

impl Window {
    fn take(&mut self, index: u64, time: i64, event: &Event, heads: Heads) -> Result<(), &'static str> {
        match event {
            Event::Head { records, root, .. } => self.head(mark(*records, root)?, heads),
            Event::Seal { records, root, note, .. } => {
                if self.seal.is_some() || *records < self.length() {
                    return Err("a window is sealed once, with all the records that it had");
                }
                let note = note.as_deref().map(|note| Hash::from_hex(note).ok_or("a hash is 64 hex digits")).transpose()?;
                self.seal = Some(Sealed { index, time, at: mark(*records, root)?, note });
                Ok(())
            }
            Event::Hold { set, authority, reason, .. } => {
                if self.hold.is_some() == *set {
                    return Err("the hold stands already, or there is none");
                }
                let hold = || Hold { time, authority: authority.clone(), reason: reason.clone() };
                self.hold = set.then(hold);
                Ok(())
            }
            Event::Redaction(redaction) => self.redact(index, redaction),
            Event::Timestamp { sha256, .. } => {
                if self.seal.is_none() {
                    return Err("only a seal has a timestamp");
                }
                self.timestamp = Some(Hash::from_hex(sha256).ok_or("a hash is 64 hex digits")?);
                Ok(())
            }
            Event::Open { .. } | Event::Key { .. } => Err("it is about no window"),
        }
    }

    fn head(&mut self, at: Mark, heads: Heads) -> Result<(), &'static str> {
        if self.seal.is_some() || at.records <= self.heads.last().map_or(0, |last| last.records) {
            return Err("a head is above the one before it, and before the seal");
        }
        if heads == Heads::Last {
            self.heads.clear();
        }
        self.heads.push(at);
        Ok(())
    }

    fn redact(&mut self, index: u64, redaction: &Redaction) -> Result<(), &'static str> {
        if self.hold.is_some() {
            return Err("a legal hold stands: nothing may be taken away");
        }
        // Files that one entry does not hold are taken away by several.
        let nothing_left = self.lost(RedactionAction::Records) && redaction.action != RedactionAction::Records;
        if self.seal.is_none_or(|seal| seal.note.is_none()) || nothing_left {
            return Err("only a sealed window with records can lose something");
        }
        let erases = redaction.action == RedactionAction::Erase;
        if redaction.files.iter().any(|file| file.successor.is_some() != erases) || (!erases && !redaction.fields.is_empty()) {
            return Err("an erasure has successors and fields, nothing else has");
        }
        self.redactions.push((index, redaction.clone()));
        Ok(())
    }
}

fn mark(records: u64, root: &str) -> Result<Mark, &'static str> {
    Ok(Mark { records, root: Hash::from_hex(root).ok_or("a hash is 64 hex digits")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SigningKey;

    const GATEWAY: &str = "gw-1";

    fn key(name: &str, seed: u8) -> String {
        SigningKey::from_seed(name, &[seed; 32]).unwrap().verifier().to_string()
    }

    fn identity(seed: u8, from: u64) -> Event {
        Event::Key { action: KeyAction::Adopt, key: key("sealgate/gw-1", seed), from, reason: "test".into() }
    }

    fn revoke(seed: u8, from: u64) -> Event {
        Event::Key { action: KeyAction::Revoke, key: key("sealgate/gw-1", seed), from, reason: "test".into() }
    }

    fn root(records: u64) -> String {
        if records == 0 { empty_root().to_string() } else { Hash::of(&[&records.to_be_bytes()]).to_string() }
    }

    fn open(seed: u8, records: u64) -> Event {
        Event::Open { window: "W".into(), key: key("sealgate/gw-1/W", seed), records, root: root(records) }
    }

    /// A further key, bound to no records, with the root of some.
    fn wrong_root(seed: u8) -> Event {
        Event::Open { window: "W".into(), key: key("sealgate/gw-1/W", seed), records: 0, root: root(1) }
    }

    fn head(records: u64) -> Event {
        Event::Head { window: "W".into(), records, root: root(records) }
    }

    fn seal(records: u64) -> Event {
        let note = (records > 0).then(|| Hash::ZERO.to_string());
        Event::Seal { window: "W".into(), records, root: root(records), note }
    }

    fn hold(set: bool) -> Event {
        Event::Hold { window: "W".into(), set, authority: "counsel".into(), reason: "case".into() }
    }

    fn redact(action: RedactionAction) -> Event {
        Event::Redaction(Redaction {
            window: "W".into(),
            action,
            authority: "dpo".into(),
            reason: "asked".into(),
            fields: BTreeMap::new(),
            files: Vec::new(),
        })
    }

    /// Takes all but the last event without complaint, and says what it makes of the last.
    fn check(events: Vec<Event>) -> Result<(), &'static str> {
        let mut windows = Windows::new(GATEWAY, Heads::All);
        let count = events.len();
        let mut last = Ok(());
        for (index, event) in events.into_iter().enumerate() {
            last = windows.take(&Entry { time: 0, event });
            assert!(index + 1 == count || last.is_ok(), "event {index}: {last:?}");
        }
        last
    }

    #[test]
    fn a_log_in_order_is_taken() {
        let all = vec![
            identity(1, 1),
            open(2, 0),
            head(3),
            open(3, 3),
            head(5),
            hold(true),
            seal(6),
            hold(false),
            redact(RedactionAction::Payloads),
            Event::Timestamp { window: "W".into(), sha256: root(1) },
            identity(4, 11),
            revoke(1, 5),
            redact(RedactionAction::Records),
        ];
        assert_eq!(check(all), Ok(()));
    }

    #[test]
    fn what_can_not_stand_in_a_log_is_refused() {
        use RedactionAction::{Payloads, Records};
        let other = Event::Open { window: "W".into(), key: key("sealgate/gw-1/V", 2), records: 0, root: root(0) };
        for (index, events) in [
            vec![open(2, 0)],
            vec![identity(1, 2)],
            vec![identity(1, 1), identity(1, 2)],
            vec![identity(1, 1), head(1)],
            vec![identity(1, 1), open(2, 1)],
            vec![identity(1, 1), other],
            vec![identity(1, 1), open(2, 0), open(2, 0)],
            vec![identity(1, 1), open(2, 0), wrong_root(3)],
            vec![identity(1, 1), open(2, 0), head(3), head(3)],
            vec![identity(1, 1), open(2, 0), head(3), seal(2)],
            vec![identity(1, 1), open(2, 0), seal(2), seal(2)],
            vec![identity(1, 1), open(2, 0), seal(2), head(3)],
            vec![identity(1, 1), open(2, 0), seal(2), open(3, 2)],
            vec![identity(1, 1), open(2, 0), redact(Payloads)],
            vec![identity(1, 1), open(2, 0), seal(0), redact(Payloads)],
            vec![identity(1, 1), open(2, 0), hold(true), seal(1), redact(Payloads)],
            vec![identity(1, 1), open(2, 0), hold(false)],
            vec![identity(1, 1), open(2, 0), seal(1), redact(Records), redact(Payloads)],
            vec![identity(1, 1), revoke(1, 0)],
            vec![identity(1, 1), identity(2, 2), revoke(1, 3)],
            vec![identity(1, 1), open(2, 0), Event::Timestamp { window: "W".into(), sha256: root(1) }],
        ]
        .into_iter()
        .enumerate()
        {
            assert!(check(events).is_err(), "case {index}");
        }
    }

    #[test]
    fn a_note_counts_under_the_last_key_bound_below_its_size() {
        let mut windows = Windows::new(GATEWAY, Heads::Last);
        for event in [identity(1, 1), open(2, 0), head(3), open(3, 3), open(4, 3)] {
            windows.take(&Entry { time: 0, event }).unwrap();
        }
        let window = windows.window("W").unwrap();
        let at = |records| window.key_at(records).map(VerifierKey::to_string);
        assert_eq!(at(0), None);
        assert_eq!(at(3), Some(key("sealgate/gw-1/W", 2)));
        assert_eq!(at(4), Some(key("sealgate/gw-1/W", 4)));
        assert_eq!(window.length(), 3);
    }
}
