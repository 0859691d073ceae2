//! The files of a log in the layout of C2SP tlog-tiles: hash tiles, entry bundles, their paths (`schema/FORMAT.md` §10).
//!
//! Which files a log of some size has, and what stands in them, follows from its entries alone: a writer and a verifier
//! compute the same. Nothing is read or written here.

use crate::{
    Hash,
    merkle::{self, Nodes},
};

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree in one tile.
pub const TILE_HEIGHT: u32 = 8;
/// The largest entry: its length is written in two bytes.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;
/// Tiles of hashes above one another: enough for 2^64 entries.
const LEVELS_MAX: u32 = 8;

/// What a file of the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Entries, each after its length in two bytes, most significant first.
    Entries,
    /// Roots of complete subtrees of 256^level entries.
    Hashes(u32),
}

/// One file of the log: its kind, its number among its like, and how much of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its number, from 0.
    pub index: u64,
    /// Hashes or entries in it: 1 to [`TILE_WIDTH`].
    pub width: u64,
}

impl Tile {
    /// Its path in the log's folder: `tile/0/x001/234.p/5`.
    pub fn path(&self) -> String {
        let kind = match self.kind {
            Kind::Entries => "entries".to_owned(),
            Kind::Hashes(level) => level.to_string(),
        };
        let partial = if self.width == TILE_WIDTH { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{kind}/{}{partial}", number(self.index))
    }

    /// Number of the first hash or entry in it.
    pub fn first(&self) -> u64 {
        self.index * TILE_WIDTH
    }
}

/// A tile's number in groups of three digits, all but the last with an `x` before.
fn number(index: u64) -> String {
    let digits = index.to_string();
    let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    let groups: Vec<&str> = padded.as_bytes().chunks(3).map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    let mut path = String::new();
    for (place, group) in groups.iter().enumerate() {
        if place + 1 < groups.len() {
            path.push('x');
        }
        path.push_str(group);
        if place + 1 < groups.len() {
            path.push('/');
        }
    }
    path
}

/// The files of a log with `size` entries that one with `from` entries does not have: all of them for 0. Partial tiles
/// have the width that `size` gives them.
pub fn tiles(from: u64, size: u64) -> Vec<Tile> {
    let mut tiles = row(Kind::Entries, from, size);
    for level in 0..LEVELS_MAX {
        let below = TILE_HEIGHT * level;
        let (from, size) = (from >> below, size >> below);
        if size == 0 {
            break;
        }
        tiles.extend(row(Kind::Hashes(level), from, size));
    }
    tiles
}

/// The partial tiles of a log with `size` entries: one a row at most.
pub fn partial_tiles(size: u64) -> Vec<Tile> {
    let last = |kind, size: u64| Tile { kind, index: size / TILE_WIDTH, width: size % TILE_WIDTH };
    let hashes = (0..LEVELS_MAX).map(|level| last(Kind::Hashes(level), size >> (TILE_HEIGHT * level)));
    std::iter::once(last(Kind::Entries, size)).chain(hashes).filter(|tile| tile.width > 0).collect()
}

fn row(kind: Kind, from: u64, size: u64) -> Vec<Tile> {
    if from >= size {
        return Vec::new();
    }
    let tile = |index: u64| Tile { kind, index, width: (size - index * TILE_WIDTH).min(TILE_WIDTH) };
    (from / TILE_WIDTH..size.div_ceil(TILE_WIDTH)).map(tile).collect()
}

/// Writes entries as a bundle holds them; `None` where one is longer than [`ENTRY_BYTES_MAX`].
pub fn write_entries<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Some(bundle)
}

/// Reads the entries of a bundle of `width`; `None` where it does not hold exactly so many.
pub fn read_entries(mut bundle: &[u8], width: u64) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_at_checked(2)?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(length.try_into().ok()?).into())?;
        entries.push(entry);
        bundle = rest;
        if entries.len() as u64 > width {
            return None;
        }
    }
    (entries.len() as u64 == width).then_some(entries)
}

/// Bytes of a hash tile.
pub fn write_hashes<N: Nodes>(nodes: &mut N, tile: &Tile, level: u32) -> Result<Vec<u8>, N::Error> {
    let mut bytes = Vec::with_capacity(usize::try_from(tile.width * 32).unwrap_or(0));
    for index in tile.first()..tile.first() + tile.width {
        bytes.extend(nodes.node(level * TILE_HEIGHT, index)?.0);
    }
    Ok(bytes)
}

/// Reads one hash of a hash tile.
pub fn read_hash(bytes: &[u8], place: u64) -> Option<Hash> {
    let start = usize::try_from(place).ok()?.checked_mul(32)?;
    Hash::try_from(bytes.get(start..start.checked_add(32)?)?).ok()
}

/// The nodes of a tree by its tiles. The closure reads the bytes of the tile that holds a hash.
pub struct TiledNodes<R> {
    /// Size of the log whose tiles are read.
    pub size: u64,
    /// Reads a tile.
    pub read: R,
}

impl<E, R: FnMut(&Tile) -> Result<Vec<u8>, E>> Nodes for TiledNodes<R>
where
    E: From<merkle::NoNode>,
{
    type Error = E;

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, E> {
        let missing = merkle::NoNode { level, index };
        if !level.is_multiple_of(TILE_HEIGHT) {
            let left = index.checked_mul(2).ok_or(missing)?;
            return Ok(merkle::join(&self.node(level - 1, left)?, &self.node(level - 1, left + 1)?));
        }
        let row = self.size.checked_shr(level).unwrap_or(0);
        if index >= row {
            return Err(missing.into());
        }
        let first = index / TILE_WIDTH;
        let tile =
            Tile { kind: Kind::Hashes(level / TILE_HEIGHT), index: first, width: (row - first * TILE_WIDTH).min(TILE_WIDTH) };
        let bytes = (self.read)(&tile)?;
        Ok(read_hash(&bytes, index - tile.first()).ok_or(missing)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merkle::{consistency, inclusion, leaf_hash, range_root};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |kind, index, width| Tile { kind, index, width }.path();
        assert_eq!(path(Kind::Hashes(0), 0, 256), "tile/0/000");
        assert_eq!(path(Kind::Hashes(3), 1_234_067, 256), "tile/3/x001/x234/067");
        assert_eq!(path(Kind::Hashes(0), 999, 7), "tile/0/999.p/7");
        assert_eq!(path(Kind::Entries, 1_000, 1), "tile/entries/x001/000.p/1");
    }

    #[test]
    fn a_bundle_reads_back_and_a_torn_one_does_not() {
        let entries: [&[u8]; 3] = [b"a", b"", b"ccc"];
        let bundle = write_entries(entries.into_iter()).unwrap();
        assert_eq!(read_entries(&bundle, 3), Some(entries.to_vec()));
        for (bytes, width) in [(&bundle[..], 2), (&bundle[..], 4), (&bundle[..bundle.len() - 1], 3)] {
            assert_eq!(read_entries(bytes, width), None);
        }
        assert_eq!(write_entries([vec![0; ENTRY_BYTES_MAX + 1].as_slice()].into_iter()), None);
    }

    /// A log grown in steps has the same files, and its tiles give the same proofs as its leaves do.
    #[test]
    fn tiles_of_a_log_grown_in_steps_prove_what_its_leaves_prove() {
        let leaves: Vec<Hash> = (0..70_000_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut files = BTreeMap::new();
        let mut size = 0;
        for next in [1, 2, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 70_000_u64] {
            for tile in tiles(size, next) {
                if let Kind::Hashes(level) = tile.kind {
                    files.insert(tile.path(), write_hashes(&mut &leaves[..next as usize], &tile, level).unwrap());
                }
            }
            size = next;
            let read = |tile: &Tile| files.get(&tile.path()).cloned().ok_or(merkle::NoNode { level: 99, index: tile.index });
            let mut nodes = TiledNodes { size, read };
            let mut flat = &leaves[..size as usize];
            assert_eq!(range_root(&mut nodes, 0, size).unwrap(), range_root(&mut flat, 0, size).unwrap());
            for other in [0, size / 3, size - 1] {
                assert_eq!(inclusion(&mut nodes, other, size).unwrap(), inclusion(&mut flat, other, size).unwrap());
                assert_eq!(consistency(&mut nodes, other, size).unwrap(), consistency(&mut flat, other, size).unwrap());
            }
        }
        assert_eq!(tiles(0, 70_000).len(), 274 + 274 + 2 + 1);
        for size in [1, 255, 256, 767, 768, 65_536, 70_000] {
            let partial: Vec<_> = tiles(0, size).into_iter().filter(|tile| tile.width < TILE_WIDTH).collect();
            assert_eq!(partial_tiles(size), partial, "{size}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bundles_never_panic(bytes: Vec<u8>, width in 0..300_u64) {
            let _ = read_entries(&bytes, width);
        }
    }
}
