//! RFC 6962 trees: grown one leaf at a time, and their proofs.
//!
//! A [`Tree`] keeps only the roots of its complete subtrees (at most 64), so one of any length costs two kilobytes. Proofs
//! are made from whoever knows the complete subtrees ([`Nodes`]: the records of a ledger, the tiles of a log), and checked
//! from hashes alone.

use crate::Hash;

/// The most hashes of a proof: twice the height of the tallest tree.
pub const PROOF_HASHES_MAX: usize = 128;

/// Hash of a leaf from what it holds.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash::of(&[&[0], leaf])
}

/// Root of the tree without leaves.
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

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

    /// Adds the next leaf by what it holds; in a ledger's tree a record's hash.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut node = leaf_hash(leaf);
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
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| join(left, &right))
    }
}

/// Hash of the node above two.
pub fn join(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

/// Whoever knows the roots of complete subtrees: the one at `level` (its leaves are 2^level) and `index` among its like.
pub trait Nodes {
    /// Why a node is not known.
    type Error;
    /// The root of the complete subtree over leaves `index << level .. (index + 1) << level`.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Leaf hashes in memory.
impl Nodes for &[Hash] {
    type Error = NoNode;
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, NoNode> {
        let Some(below) = level.checked_sub(1) else {
            return usize::try_from(index).ok().and_then(|index| self.get(index)).copied().ok_or(NoNode { level, index });
        };
        let left = index.checked_mul(2).ok_or(NoNode { level, index })?;
        Ok(join(&self.node(below, left)?, &self.node(below, left + 1)?))
    }
}

/// A subtree that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no complete subtree {index} of level {level}")]
pub struct NoNode {
    /// Its level.
    pub level: u32,
    /// Its index.
    pub index: u64,
}

/// Root over the leaves `from..to`, which begin where a subtree of that size begins.
pub fn range_root<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let count = to.saturating_sub(from);
    match count {
        0 => Ok(empty_root()),
        _ if count.is_power_of_two() => nodes.node(count.trailing_zeros(), from >> count.trailing_zeros()),
        _ => {
            let middle = from + split(count);
            let left = range_root(nodes, from, middle)?;
            Ok(join(&left, &range_root(nodes, middle, to)?))
        }
    }
}

/// Proof that leaf `index` is in the tree of `size` leaves (RFC 6962 §2.1.1), from the leaf up. `index` is below `size`.
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(range_root(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range_root(nodes, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proof that the tree of `old` leaves is a beginning of the one of `new` (RFC 6962 §2.1.2). `old` is at most `new`.
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to, mut proof) = (0, new, Vec::new());
    if old == 0 || old == new {
        return Ok(proof);
    }
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(range_root(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range_root(nodes, from, middle)?);
            from = middle;
        }
    }
    // What is left is a complete subtree of the old tree; where it is all of it, the verifier knows it already.
    if from > 0 {
        proof.push(range_root(nodes, from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below `count`, which is above 1.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Whether `proof` shows that a leaf with this hash is number `index` in the tree of `size` with `root` (RFC 9162 §2.1.3.2).
pub fn is_included(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut place, mut last) = (leaf, index, size - 1);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            node = join(sibling, &node);
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            node = join(&node, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && node == *root
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is a beginning of the one of `new` with `new_root`
/// (RFC 9162 §2.1.4.2). The empty tree is a beginning of every tree, and needs no proof.
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old >= new {
        return old == new && proof.is_empty() && old_root == new_root;
    }
    let mut hashes = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            (from_old, from_new) = (join(sibling, &from_old), join(sibling, &from_new));
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            from_new = join(&from_new, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && from_old == *old_root && from_new == *new_root
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
            tree.push(&record.0);
            oracle.push(Leaf(record.0));
            assert_eq!(tree.size(), size + 1);
        }
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&Hash::of(&[&number.to_be_bytes()]).0)).collect()
    }

    #[test]
    fn every_proof_of_inclusion_is_another_librarys_and_fits_no_other_place() {
        let mut oracle = MemoryBackedTree::<sha2::Sha256, Leaf>::new();
        for size in 1..40_u64 {
            oracle.push(Leaf(Hash::of(&[&(size - 1).to_be_bytes()]).0));
            let leaves = leaves(size);
            let root = range_root(&mut leaves.as_slice(), 0, size).unwrap();
            for index in 0..size {
                let proof = inclusion(&mut leaves.as_slice(), index, size).unwrap();
                let bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
                assert_eq!(bytes, oracle.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
                for place in 0..size + 2 {
                    let leaf = leaves[index as usize];
                    assert_eq!(is_included(leaf, place, size, &proof, &root), place == index, "{index} at {place} of {size}");
                }
                let short = proof.get(1..).unwrap_or_default();
                assert!(size == 1 || !is_included(leaves[index as usize], index, size, short, &root));
            }
        }
    }

    #[test]
    fn every_proof_of_consistency_is_another_librarys_and_fits_no_other_size() {
        let mut oracle = MemoryBackedTree::<sha2::Sha256, Leaf>::new();
        for new in 1..40_u64 {
            oracle.push(Leaf(Hash::of(&[&(new - 1).to_be_bytes()]).0));
            let leaves = leaves(new);
            let root = |size| range_root(&mut leaves.as_slice(), 0, size).unwrap();
            for old in 0..=new {
                let proof = consistency(&mut leaves.as_slice(), old, new).unwrap();
                if old > 0 {
                    let bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
                    assert_eq!(bytes, oracle.prove_consistency((new - old) as usize).as_bytes(), "{old} to {new}");
                }
                assert!(is_consistent(old, &root(old), new, &root(new), &proof), "{old} to {new}");
                for other in (1..=new).filter(|other| *other != old) {
                    assert!(!is_consistent(other, &root(old), new, &root(new), &proof), "{old} as {other} to {new}");
                }
                let forged = Hash::of(&[b"forged"]);
                assert!(!is_consistent(old, &forged, new, &root(new), &proof));
                assert!(old == 0 || !is_consistent(old, &root(old), new, &forged, &proof));
            }
        }
    }
}
