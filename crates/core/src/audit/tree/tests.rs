use proptest::prelude::*;

use super::*;

/// The definition of RFC 6962 section 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(mth(&leaves[..k]), mth(&leaves[k..]))
        }
    }
}

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn reader(leaves: &[Hash]) -> impl FnMut(Node) -> Result<Hash, std::convert::Infallible> + '_ {
    |node| {
        let start = usize::try_from(node.index << node.level).unwrap();
        Ok(mth(&leaves[start..start + (1 << node.level)]))
    }
}

fn hex(hash: Hash) -> String {
    format!("{hash:?}")
}

/// The roots that the implementations of Certificate Transparency are tested with.
#[test]
fn roots_of_certificate_transparency() {
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(hex(frontier.root()), roots[0]);
    for (input, expected) in inputs.iter().zip(&roots[1..]) {
        frontier.push(leaf_hash(input));
        assert_eq!(hex(frontier.root()), *expected, "size {}", frontier.size());
    }
}

#[test]
fn every_small_proof_holds_and_no_other() {
    let all = leaves(40);
    for size in 1..=40_u64 {
        let tree = &all[..usize::try_from(size).unwrap()];
        let root = mth(tree);
        for index in 0..size {
            let path = inclusion_proof(index, size, reader(tree)).unwrap().unwrap();
            let leaf = tree[usize::try_from(index).unwrap()];
            assert_eq!(root_from_inclusion(leaf, index, size, &path), Some(root));
            for other in (0..size).filter(|other| *other != index) {
                assert_ne!(root_from_inclusion(leaf, other, size, &path), Some(root), "{index} as {other}");
            }
            let longer = [path.as_slice(), &[root]].concat();
            assert_eq!(root_from_inclusion(leaf, index, size, &longer), None);
        }
        assert_eq!(inclusion_proof(size, size, reader(tree)).unwrap(), None);
        for old in 1..=size {
            let old_root = mth(&tree[..usize::try_from(old).unwrap()]);
            let proof = consistency_proof(old, size, reader(tree)).unwrap().unwrap();
            assert!(is_consistent((old, old_root), (size, root), &proof), "{old} in {size}");
            let wrong = leaf_hash(b"another");
            assert!(!is_consistent((old, wrong), (size, root), &proof), "{old} in {size}");
            assert!(!is_consistent((old, old_root), (size, wrong), &proof), "{old} in {size}");
        }
    }
}

proptest! {
    #[test]
    fn frontier_is_the_definition(n in 0..600_u64, cut in 0..600_u64) {
        let all = leaves(n);
        let mut frontier = Frontier::new();
        for (i, leaf) in all.iter().enumerate() {
            if i as u64 == cut {
                // An edge put together from peaks goes on as if it had grown.
                let hashes = peaks(cut).into_iter().map(|node| reader(&all)(node).unwrap()).collect();
                frontier = Frontier::from_peaks(cut, hashes).unwrap();
            }
            frontier.push(*leaf);
        }
        prop_assert_eq!(frontier.root(), mth(&all));
        prop_assert_eq!(root(n, reader(&all)).unwrap(), mth(&all));
    }

    #[test]
    fn a_changed_proof_fails(size in 2..300_u64, at in any::<prop::sample::Index>(), bit in 0..256_usize, step in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let index = at.index(all.len());
        let mut path = inclusion_proof(index as u64, size, reader(&all)).unwrap().unwrap();
        let i = step.index(path.len());
        path[i].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(root_from_inclusion(all[index], index as u64, size, &path), Some(mth(&all)));
    }
}
