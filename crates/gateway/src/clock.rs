//! Time and request ids. The clock is a function handed in, so that a test can hold it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Tells the time.
pub type Clock = fn() -> jiff::Timestamp;

/// Makes UUIDs version 7 (RFC 9562 section 5.7) with a counter in `rand_a` (section 6.2, method 1) and a keyed hash
/// of a counter in `rand_b`: unique and in order, without a lock or a call to the system. They are not secrets.
#[derive(Clone, Default)]
pub(crate) struct RequestIds(Arc<IdState>);

#[derive(Default)]
struct IdState {
    counter: AtomicU64,
    hash: RandomState,
}

impl RequestIds {
    pub(crate) fn next(&self, clock: Clock) -> String {
        let count = self.0.counter.fetch_add(1, Ordering::Relaxed);
        let hash = self.0.hash.hash_one(count);
        let millis = u64::try_from(clock().as_millisecond()).unwrap_or(0) & 0xffff_ffff_ffff;
        let high = (millis << 16) | 0x7000 | (count & 0x0fff);
        let low = (hash & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let mut text = String::with_capacity(36);
        let mut bytes = [0_u8; 16];
        let (first, second) = bytes.split_at_mut(8);
        first.copy_from_slice(&high.to_be_bytes());
        second.copy_from_slice(&low.to_be_bytes());
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            push_hex(&mut text, &[*byte]);
        }
        text
    }
}

/// Appends bytes in lower-case hexadecimal.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const PAIRS: [[u8; 2]; 256] = hex_pairs();
    text.reserve(bytes.len() * 2);
    for pair in bytes.iter().filter_map(|byte| PAIRS.get(usize::from(*byte))) {
        text.push_str(std::str::from_utf8(pair).unwrap_or_default());
    }
}

const fn hex_pairs() -> [[u8; 2]; 256] {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
    }
    let mut pairs = [[0; 2]; 256];
    let mut byte: u8 = 0;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is an index of 256 pairs")]
        {
            pairs[byte as usize] = [digit(byte >> 4), digit(byte & 0x0f)];
        }
        if byte == u8::MAX {
            return pairs;
        }
        byte += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_7_unique_and_in_order() {
        let ids = RequestIds::default();
        let clock: Clock = || jiff::Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let made: Vec<String> = (0..3000).map(|_| ids.next(clock)).collect();
        let unique: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!(unique.len(), made.len());
        let bytes: Vec<&[u8]> = made.iter().map(String::as_bytes).collect();
        assert!(bytes.iter().all(|id| id.len() == 36 && id[14] == b'7' && b"89ab".contains(&id[19])));
        assert!(bytes.windows(2).all(|pair| pair[0][..18] < pair[1][..18]));
    }
}
