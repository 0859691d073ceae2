//! RFC 6962 proofs of a small tree: of all hashes only the true proof is taken. Where the sizes are not those of the tree that
//! the root is of, a proof may fit by its shape (a root does not bind its size): there it only must not panic.

use sealgate_schema::{
    Hash,
    merkle::{consistency, inclusion, is_consistent, is_included, leaf_hash, range_root},
};
use std::sync::LazyLock;

const LEAVES: u64 = 40;
const HEAD_BYTES: usize = 18;

static TREE: LazyLock<Vec<Hash>> = LazyLock::new(|| (0..LEAVES).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect());

fn root(size: u64) -> Hash {
    let size = size.min(LEAVES);
    range_root(&mut &TREE[..], 0, size).expect("the tree is large enough")
}

/// The bytes: which proof, a number of a leaf, two numbers of eight bytes, the proof's hashes.
pub(crate) fn proof(data: &[u8]) -> bool {
    let Some((&[kind, leaf, numbers @ ..], hashes)) = data.split_first_chunk::<HEAD_BYTES>() else { return false };
    let ([first, second], []) = numbers.as_chunks::<8>() else { panic!("two numbers of eight bytes") };
    let (first, second) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    let (hashes, []) = hashes.as_chunks::<32>() else { return false };
    let hashes: Vec<Hash> = hashes.iter().map(|hash| Hash(*hash)).collect();
    if kind & 1 == 0 { included(leaf, first, second, &hashes) } else { consistent(leaf, first, second, &hashes) }
}

fn included(leaf: u8, index: u64, size: u64, proof: &[Hash]) -> bool {
    let leaf = TREE[usize::from(leaf) % TREE.len()];
    let taken = is_included(leaf, index, size, proof, &root(size));
    assert!(!taken || index < size);
    if size <= LEAVES {
        let holds =
            index < size && TREE[index as usize] == leaf && proof == inclusion(&mut &TREE[..], index, size).expect("it is there");
        assert_eq!(taken, holds, "leaf {index} of {size}");
    }
    taken
}

fn consistent(other: u8, old: u64, new: u64, proof: &[Hash]) -> bool {
    let claimed = root(old.saturating_add(u64::from(other)));
    let taken = is_consistent(old, &claimed, new, &root(new), proof);
    if old <= LEAVES && new <= LEAVES {
        let holds = old <= new && claimed == root(old) && proof == consistency(&mut &TREE[..], old, new).expect("it is there");
        assert_eq!(taken, holds, "{old} of {new}");
    }
    taken
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let numbers = |kind: u8, leaf: u8, a: u64, b: u64| [&[kind, leaf][..], &a.to_be_bytes(), &b.to_be_bytes()].concat();
    let bytes = |proof: Vec<Hash>| proof.into_iter().flat_map(|hash| hash.0);
    let included = |(index, size): (u64, u64)| {
        let mut seed = numbers(0, index as u8, index, size);
        seed.extend(bytes(inclusion(&mut &TREE[..], index, size).expect("it is there")));
        seed
    };
    let consistent = |(old, new): (u64, u64)| {
        let mut seed = numbers(1, 0, old, new);
        seed.extend(bytes(consistency(&mut &TREE[..], old, new).expect("it is there")));
        seed
    };
    let leaves = [(0, 1), (0, 40), (39, 40), (6, 7), (17, 32)].map(included);
    leaves.into_iter().chain([(0, 5), (5, 5), (7, 40), (8, 40), (32, 33)].map(consistent)).collect()
}
