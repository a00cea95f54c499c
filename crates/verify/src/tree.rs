//! The tree of RFC 6962 section 2.1, growing leaf by leaf.

use aws_lc_rs::digest::{Context, SHA256};

/// A digest.
pub(crate) type Hash = [u8; 32];

fn digest(parts: [&[u8]; 3]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.into_iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// The roots of the complete subtrees, largest first, one for each bit of the size.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Tree {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, record: &[u8]) {
        let mut hash = digest([&[0], record, &[]]);
        let mut rest = self.size;
        while rest & 1 == 1 {
            if let Some(left) = self.subtrees.pop() {
                hash = digest([&[1], &left, &hash]);
            }
            rest >>= 1;
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The root of all records so far.
    pub(crate) fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else { return digest([&[], &[], &[]]) };
        subtrees.fold(*last, |right, left| digest([&[1], left, &right]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word.
    fn mth(records: &[Vec<u8>]) -> Hash {
        match records {
            [] => digest([&[], &[], &[]]),
            [record] => digest([&[0], record, &[]]),
            _ => {
                let k = 1 << (usize::BITS - 1 - (records.len() - 1).leading_zeros());
                digest([&[1], &mth(&records[..k]), &mth(&records[k..])])
            }
        }
    }

    #[test]
    fn grows_as_defined() {
        let records: Vec<Vec<u8>> = (0..130_u8).map(|n| vec![n; usize::from(n) % 5]).collect();
        let mut tree = Tree::default();
        for n in 0..records.len() {
            assert_eq!(tree.root(), mth(&records[..n]));
            tree.add(&records[n]);
        }
    }
}
