use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::audit::tree::{self, leaf_hash};

/// The paths of the specification's own examples, <https://c2sp.org/tlog-tiles>.
#[test]
fn paths() {
    let check = |level, index, size, expected: &str| {
        assert_eq!(Tile::at(level, index, size).map(|tile| tile.path()).as_deref(), Some(expected));
    };
    check(0, 1_234_067, u64::MAX, "tile/0/x001/x234/067");
    check(0, 0, 256, "tile/0/000");
    check(0, 273, 70_000, "tile/0/273.p/112");
    check(1, 1, 70_000, "tile/1/001.p/17");
    check(2, 0, 70_000, "tile/2/000.p/1");
    assert_eq!(Tile::at(3, 0, 70_000), None);
    let partials: Vec<_> = Tile::partials(70_000).map(|tile| tile.path()).collect();
    assert_eq!(partials, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(Tile::partials(65_536).map(|tile| tile.path()).collect::<Vec<_>>(), ["tile/2/000.p/1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn proofs_from_tiles_hold(size in 1..70_000_u64, at in any::<prop::sample::Index>()) {
        let leaves: Vec<_> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut tiles = HashMap::new();
        let mut below = leaves.clone();
        for level in 0..3 {
            for (i, chunk) in below.chunks(256).enumerate() {
                tiles.insert((level, i as u64), decode(&encode(chunk), chunk.len() as u64).unwrap());
            }
            below = below.chunks_exact(256).map(root_of).collect();
        }
        let mut read = |node: Node| {
            let place = Location::of(node);
            tiles.get(&(place.level, place.index)).and_then(|tile| place.hash(tile)).ok_or(node)
        };
        let index = at.index(leaves.len());
        let path = tree::inclusion_proof(index as u64, size, &mut read).unwrap().unwrap();
        prop_assert_eq!(
            tree::root_from_inclusion(leaves[index], index as u64, size, &path),
            Some(tree::root(size, &mut read).unwrap())
        );
        prop_assert_eq!(tree::root(size, &mut read).unwrap(), root_of(&leaves));
    }
}
