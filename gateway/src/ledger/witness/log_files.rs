//! Proofs from the files of the windows log.

use crate::ledger::disk::Disk;
use sealgate_schema::{
    Hash,
    merkle::{NoNode, consistency},
    tiles::{TILE_WIDTH, Tile, TiledNodes},
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a proof can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{0}: {1}")]
    Disk(PathBuf, #[source] io::Error),
    #[error(transparent)]
    NoNode(#[from] NoNode),
}

/// The folder with the log's tiles.
#[derive(Debug, Clone)]
pub(super) struct LogFiles {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
}

impl LogFiles {
    /// Proof that the log of `old` entries is a beginning of the one of `new`. Reads each tile once.
    pub(super) fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        let mut tiles = BTreeMap::<Tile, Vec<u8>>::new();
        let read = |tile: &Tile| {
            if let Some(bytes) = tiles.get(tile) {
                return Ok(bytes.clone());
            }
            let bytes = self.read(tile)?;
            tiles.insert(*tile, bytes.clone());
            Ok(bytes)
        };
        consistency(&mut TiledNodes { size: new, read }, old, new)
    }

    /// Reads a tile, or the wider one that took its place when the log grew: its beginning is the same.
    fn read(&self, tile: &Tile) -> Result<Vec<u8>, ReadError> {
        let path = self.folder.join(tile.path());
        let error = match self.disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            other => return other.map_err(|error| ReadError::Disk(path, error)),
        };
        let full = self.folder.join(Tile { width: TILE_WIDTH, ..*tile }.path());
        let wider = std::iter::once(full).chain(path.parent().and_then(|folder| self.widest(folder)));
        wider.filter_map(|path| self.disk.read(&path).ok()).next().ok_or(ReadError::Disk(path, error))
    }

    /// The widest of the partial tiles in their folder.
    fn widest(&self, folder: &Path) -> Option<PathBuf> {
        let names = self.disk.list(folder).ok()?;
        let width = names.iter().filter_map(|name| name.parse::<u64>().ok()).max()?;
        Some(folder.join(width.to_string()))
    }
}
