use narrows_core::audit::tree::leaf_hash;
use proptest::prelude::*;

use super::*;

/// A tile's hashes, as anyone would read them.
fn read(directory: &Path, tile: Tile) -> Option<Vec<Hash>> {
    tile::decode(&std::fs::read(directory.join(tile.path())).unwrap(), tile.width)
}

fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![directory.join("tile")];
    while let Some(path) = todo.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a tree grows and is reloaded, its root is that of its leaves, and the directory holds exactly the
    /// tiles of the last size.
    #[test]
    fn grows_like_the_tree(steps in proptest::collection::vec(0..700_u64, 1..6)) {
        let directory = tempfile::tempdir().unwrap();
        let mut model = Frontier::new();
        let mut tiles = Tiles::default();
        for step in steps {
            let before = tiles.size();
            for n in before..before + step {
                tiles.push(leaf(n));
                model.push(leaf(n));
            }
            prop_assert_eq!(tiles.root(), model.root());
            tiles.flush(directory.path()).unwrap();
            tiles.remove_partials(directory.path()).unwrap();
            if tiles.size() > 0 {
                let mut expected: Vec<String> = (0..8)
                    .flat_map(|level| (0..20).filter_map(move |index| Tile::at(level, index, before + step)))
                    .map(|tile| tile.path())
                    .collect();
                expected.sort();
                prop_assert_eq!(files(directory.path()), expected);
            }
            tiles = Tiles::with_edge(tiles.size(), tiles.edge().to_vec()).unwrap();
        }
    }
}

#[test]
fn a_third_level_begins_after_65536_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Frontier::new();
    let mut tiles = Tiles::default();
    for n in 0..66_000 {
        tiles.push(leaf(n));
        model.push(leaf(n));
    }
    assert_eq!(tiles.root(), model.root());
    assert_eq!(tiles.pending.len(), 257 + 1);
    tiles.flush(directory.path()).unwrap();
    let full = read(directory.path(), Tile { level: 1, index: 0, width: WIDTH }).unwrap();
    assert_eq!(root_of(&full), tiles.edge()[2][0]);
    assert!(Tiles::with_edge(66_001, tiles.edge().to_vec()).is_none());
    assert!(Tiles::with_edge(66_000, tiles.edge()[..2].to_vec()).is_none());
    let partial = read(directory.path(), Tile { level: 1, index: 1, width: 1 }).unwrap();
    assert_eq!(partial, tiles.edge()[1]);
}
