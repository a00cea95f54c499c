//! The tree's hashes on disk, in tiles. Made from the segments and only from them, so that a lost tile is no loss; a
//! proof made from tiles is checked against the signed root before anyone sees it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use narrows_core::audit::{
    tile::{self, Tile, WIDTH},
    tree::{Frontier, Hash, root_of},
};

use super::disk;

/// Full tiles that may wait for the disk, 8 KiB each.
const PENDING: usize = 1024;

/// The right edge of the tree, and full tiles that are not yet written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tiles {
    size: u64,
    /// The hashes of the partial tile of each level, fewer than [`WIDTH`].
    edge: Vec<Vec<Hash>>,
    pending: Vec<(Tile, Vec<u8>)>,
    /// Sizes at which partial tiles were written and may still lie there.
    flushed: Vec<u64>,
}

impl Tiles {
    /// The tree of `size` leaves with this right edge; none if the edge has not the shape that it must have.
    pub(crate) fn with_edge(size: u64, edge: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = |(level, hashes): (u32, &Vec<Hash>)| {
            size.checked_shr(8 * level).unwrap_or(0) % WIDTH == hashes.len() as u64
        };
        let whole = size.checked_shr(8 * edge.len() as u32).unwrap_or(0) == 0;
        (whole && (0..).zip(&edge).all(fits)).then(|| Self {
            size,
            edge,
            pending: Vec::new(),
            flushed: vec![size],
        })
    }

    /// Takes note that partial tiles of this size lie there.
    pub(crate) fn found_partials(&mut self, size: u64) {
        self.flushed.push(size);
    }

    /// The hashes of the partial tile of each level.
    pub(crate) fn edge(&self) -> &[Vec<Hash>] {
        &self.edge
    }

    /// Leaves so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether no more should be pushed before [`Tiles::flush`] succeeds.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= PENDING
    }

    /// Adds the next leaf.
    pub(crate) fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u32.. {
            if self.edge.len() <= level as usize {
                self.edge.push(Vec::with_capacity(WIDTH as usize));
            }
            let Some(hashes) = self.edge.get_mut(level as usize) else { return };
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                return;
            }
            let index = (self.size >> (8 * (level + 1))) - 1;
            self.pending.push((Tile { level, index, width: WIDTH }, tile::encode(hashes)));
            hash = root_of(hashes);
            hashes.clear();
        }
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = Vec::new();
        for hashes in self.edge.iter().rev() {
            let mut level = Frontier::new();
            hashes.iter().for_each(|hash| level.push(*hash));
            peaks.extend_from_slice(level.peaks());
        }
        Frontier::from_peaks(self.size, peaks).unwrap_or_default().root()
    }

    /// Writes all tiles of the tree, the partial ones too. They are not synced: what a crash takes is made again.
    pub(crate) fn flush(&mut self, directory: &Path) -> io::Result<()> {
        self.flush_full(directory)?;
        if self.flushed.last() != Some(&self.size) {
            self.flushed.push(self.size);
        }
        for tile in Tile::partials(self.size) {
            if let Some(hashes) = self.edge.get(tile.level as usize) {
                write(directory, tile, &tile::encode(hashes))?;
            }
        }
        Ok(())
    }

    /// Writes the full tiles.
    pub(crate) fn flush_full(&mut self, directory: &Path) -> io::Result<()> {
        while let Some((tile, bytes)) = self.pending.last() {
            write(directory, *tile, bytes)?;
            self.pending.pop();
        }
        Ok(())
    }

    /// Removes the partial tiles of earlier sizes, once a checkpoint of this one is published.
    pub(crate) fn remove_partials(&mut self, directory: &Path) -> io::Result<()> {
        while let Some(earlier) = self.flushed.first().copied().filter(|size| *size != self.size) {
            for tile in Tile::partials(earlier).filter(|tile| !self.holds(tile)) {
                let path = directory.join(tile.path());
                ignore_missing(std::fs::remove_file(&path))?;
                if let Some(parent) = path.parent() {
                    // Stays while the tile is still partial.
                    let _ = std::fs::remove_dir(parent);
                }
            }
            self.flushed.remove(0);
        }
        Ok(())
    }

    fn holds(&self, tile: &Tile) -> bool {
        Tile::at(tile.level, tile.index, self.size) == Some(*tile)
    }
}

fn write(directory: &Path, tile: Tile, bytes: &[u8]) -> io::Result<()> {
    let path: PathBuf = directory.join(tile.path());
    match std::fs::write(&path, bytes) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                disk::make_directory(parent)?;
            }
            std::fs::write(&path, bytes)
        }
        done => done,
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
