//! What the index keeps of a value: 64 bits of it. Two values with the same bits cost a look into a block, no more.

/// Which member of a record a value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Kind,
    Subject,
    Namespace,
    Server,
    Tool,
    Method,
    Status,
    Effect,
}

impl Field {
    /// All of them.
    pub(crate) const ALL: [Field; 8] = [
        Field::Kind,
        Field::Subject,
        Field::Namespace,
        Field::Server,
        Field::Tool,
        Field::Method,
        Field::Status,
        Field::Effect,
    ];
}

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Term(pub(crate) i64);

impl Term {
    /// The field has this value.
    pub(crate) fn of(field: Field, value: &str) -> Self {
        Self(hash(field as u8, value.as_bytes()).cast_signed())
    }

    /// An intent in this block is closed.
    pub(crate) fn closes(block: u64) -> Self {
        Self(hash(0xff, &block.to_le_bytes()).cast_signed())
    }
}

/// FNV-1a, with a final mix, since its low bits alone are used below.
fn hash(tag: u8, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.iter().fold(step(0xcbf2_9ce4_8422_2325, &tag), step);
    let mixed = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ mixed >> 33
}

/// Bits of a filter: sixteen for each of the ids of a block.
const BITS: u64 = 8192;
/// Bits set for an id.
const MARKS: u32 = 4;

/// A Bloom filter of the ids of records and requests in a block: about one foreign id in four hundred seems to be in
/// it.
#[derive(Debug, Clone)]
pub(crate) struct Ids(Vec<u8>);

impl Default for Ids {
    fn default() -> Self {
        Self(vec![0; (BITS / 8) as usize])
    }
}

impl Ids {
    /// Puts an id in.
    pub(crate) fn add(&mut self, id: &str) {
        for (byte, bit) in marks(id) {
            if let Some(byte) = self.0.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Whether it may be in a filter that was kept.
    pub(crate) fn may_hold(filter: &[u8], id: &str) -> bool {
        marks(id).all(|(byte, bit)| filter.get(byte).is_some_and(|found| found & bit != 0))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn marks(id: &str) -> impl Iterator<Item = (usize, u8)> {
    let hash = hash(0xfe, id.as_bytes());
    (0..MARKS).map(move |n| {
        let bit = hash >> (16 * n) & (BITS - 1);
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_hold_what_was_added_and_little_else() {
        let mut ids = Ids::default();
        (0..512).for_each(|n| ids.add(&format!("id-{n}")));
        let held = |range: std::ops::Range<u32>| {
            range.filter(|n| Ids::may_hold(ids.as_bytes(), &format!("id-{n}"))).count()
        };
        assert_eq!(held(0..512), 512);
        assert!(held(1_000..11_000) < 60, "{} false", held(1_000..11_000));
    }
}
