//! Where the tree's hashes lie on disk: the layout of C2SP tlog-tiles, so that any of its readers can check a log.
//! Names and arithmetic only.

use super::tree::{Hash, Node, root_of};

/// Hashes in a full tile.
pub const WIDTH: u64 = 256;
/// Tree levels that one level of tiles spans.
const HEIGHT: u32 = 8;

/// One tile: up to [`WIDTH`] hashes of nodes at tree level `8 * level`, 32 bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Level of tiles, 0 for leaf hashes.
    pub level: u32,
    /// Place among the tiles of its level.
    pub index: u64,
    /// Hashes in it: [`WIDTH`], or fewer at the right edge.
    pub width: u64,
}

impl Tile {
    /// The tile at this place in a tree of `size` leaves; none if it holds nothing.
    pub fn at(level: u32, index: u64, size: u64) -> Option<Tile> {
        let entries = size.checked_shr(HEIGHT.checked_mul(level)?).unwrap_or(0);
        let width = entries.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        (width > 0).then_some(Tile { level, index, width })
    }

    /// The partial tiles at the right edge of a tree of `size` leaves, one for each level that has one.
    pub fn partials(size: u64) -> impl Iterator<Item = Tile> {
        (0..u64::BITS / HEIGHT).filter_map(move |level| {
            let entries = size >> (HEIGHT * level);
            Tile::at(level, entries / WIDTH, size)
        })
    }

    /// Its path below the log's directory: `tile/<level>/x001/x234/067`, with `.p/<width>` if it is not full.
    pub fn path(&self) -> String {
        let mut rest = self.index / 1000;
        let mut path = format!("{:03}", self.index % 1000);
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        match self.width {
            WIDTH => format!("tile/{}/{path}", self.level),
            width => format!("tile/{}/{path}.p/{width}", self.level),
        }
    }
}

/// Where a complete node's hash comes from: a tile and the hashes in it that lie below the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Level of the tile.
    pub level: u32,
    /// Place of the tile.
    pub index: u64,
    first: usize,
    count: usize,
}

impl Location {
    /// Where to look for `node`.
    pub fn of(node: Node) -> Location {
        let (level, rest) = (node.level / HEIGHT, node.level % HEIGHT);
        let first = node.index << rest;
        Location {
            level,
            index: first / WIDTH,
            first: usize::try_from(first % WIDTH).unwrap_or(usize::MAX),
            count: 1 << rest,
        }
    }

    /// The node's hash, given the tile's; none if the tile is too short.
    pub fn hash(&self, tile: &[Hash]) -> Option<Hash> {
        tile.get(self.first..self.first.checked_add(self.count)?).map(root_of)
    }
}

/// A tile's hashes as bytes.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes in a tile's bytes; none if their number is not `width`.
pub fn decode(bytes: &[u8], width: u64) -> Option<Vec<Hash>> {
    let (chunks, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && chunks.len() as u64 == width)
        .then(|| chunks.iter().map(|chunk| Hash(*chunk)).collect())
}

#[cfg(test)]
mod tests;
