//! The RFC 6962 tree over record hashes, grown one leaf at a time.
//!
//! Only the roots of the complete subtrees are kept (at most 64), so a ledger of any length costs two kilobytes.
//! Proofs are not made here.

use crate::Hash;

/// A growing tree. Its leaves are record hashes: chain and tree can't disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the complete subtrees, largest first: one for each set bit of `size`.
    peaks: Vec<Hash>,
}

impl Tree {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// A tree whose leaves are known by their subtrees alone; `None` where `peaks` are not those of a tree of `size`.
    pub fn resume(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() as u32 == size.count_ones()).then_some(Self { size, peaks })
    }

    /// Adds the next record's hash.
    pub fn push(&mut self, record: Hash) {
        let mut node = Hash::of(&[&[0], &record.0]);
        // Each trailing one bit of the size is a complete subtree as large as the new node: join them.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = join(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root; SHA-256 of nothing for the empty tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::of(&[]) };
        peaks.fold(*last, |right, left| join(left, &right))
    }
}

fn join(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::{HashableLeaf, mem_backed_tree::MemoryBackedTree};

    #[derive(Clone)]
    struct Leaf([u8; 32]);

    impl HashableLeaf for Leaf {
        fn hash<H: ct_merkle::digest::Update>(&self, hasher: &mut H) {
            hasher.update(&self.0);
        }
    }

    #[test]
    fn every_size_has_the_root_that_another_library_computes() {
        let (mut tree, mut oracle) = (Tree::default(), MemoryBackedTree::<sha2::Sha256, Leaf>::new());
        for size in 0..300_u64 {
            assert_eq!(tree.root().0.as_slice(), oracle.root().as_bytes().as_slice(), "size {size}");
            let record = Hash::of(&[&size.to_be_bytes()]);
            tree.push(record);
            oracle.push(Leaf(record.0));
            assert_eq!(tree.size(), size + 1);
        }
    }
}
