//! The hash chain of one ledger, and the state that the next record needs (`schema/FORMAT.md` §5).
//!
//! The chain gives a record its place: the next `seq`, the hash before it, and its leaf in the Merkle tree.

use crate::{Hash, LedgerId, Record, merkle::Tree, record::Fields};

/// Where a ledger stands after its last record.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    ledger: LedgerId,
    head: Hash,
    tree: Tree,
}

impl Chain {
    /// A ledger without records.
    pub fn new(ledger: LedgerId) -> Self {
        Self { ledger, head: Hash::ZERO, tree: Tree::default() }
    }

    /// A ledger that stands after records which are not at hand: its last hash and its tree.
    pub fn resume(ledger: LedgerId, head: Hash, tree: Tree) -> Self {
        Self { ledger, head, tree }
    }

    /// Whose records these are.
    pub fn ledger(&self) -> &LedgerId {
        &self.ledger
    }

    /// Hash of the last record; [`Hash::ZERO`] before the first.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Number of records, and the `seq` of the next.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree over the record hashes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// RFC 6962 root over the record hashes.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Gives `fields` the next place, at `time`, and appends the preimage to `out`.
    pub fn append(&mut self, fields: Fields, time: i64, out: &mut Vec<u8>) -> Record {
        let record = Record { seq: self.size(), time, fields };
        let start = out.len();
        record.encode(&self.ledger, &self.head, out);
        self.push(Hash::of(&[out.get(start..).unwrap_or_default()]));
        record
    }

    /// Takes a record that stands already; `None`, and no change, where it is not the next of this ledger.
    pub fn follow(&mut self, preimage: &[u8]) -> Option<Record> {
        let (ledger, previous, record) = Record::decode(preimage).ok()?;
        self.accept(&ledger, &previous, record.seq, preimage).then_some(record)
    }

    /// Takes a record that was decoded already; `false`, and no change, where it is not the next of this ledger.
    pub fn accept(&mut self, ledger: &LedgerId, previous: &Hash, seq: u64, preimage: &[u8]) -> bool {
        let next = *ledger == self.ledger && *previous == self.head && seq == self.size();
        if next {
            self.push(Hash::of(&[preimage]));
        }
        next
    }

    fn push(&mut self, hash: Hash) {
        self.head = hash;
        self.tree.push(&hash.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_chain_follows_what_it_appended_and_nothing_else() {
        let mut writer = Chain::new(samples::ledger());
        let mut reader = writer.clone();
        let mut preimages = Vec::new();
        for record in samples::records() {
            let mut out = Vec::new();
            writer.append(record.fields, record.time, &mut out);
            preimages.push(out);
        }
        assert_eq!(reader.follow(&preimages[1]), None, "the second record can't come first");
        for preimage in &preimages {
            assert!(reader.follow(preimage).is_some());
            assert_eq!(reader.follow(preimage), None, "no record comes twice");
        }
        assert_eq!(reader, writer);
    }
}
