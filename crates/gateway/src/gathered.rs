//! A body's pieces put together. One piece, which is the usual case, is not copied.

use bytes::Bytes;

/// Pieces so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    first: Bytes,
    all: Vec<u8>,
}

impl Gathered {
    /// Adds a piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    /// All of it.
    pub(crate) fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&'static str]) {
        let mut gathered = Gathered::default();
        for piece in pieces {
            gathered.push(Bytes::from_static(piece.as_bytes()));
        }
        let whole = pieces.concat();
        assert_eq!((gathered.len(), gathered.finish()), (whole.len(), Bytes::from(whole)));
    }

    #[test]
    fn pieces_make_the_whole() {
        check(&[]);
        check(&[""]);
        check(&["a"]);
        check(&["a", "bc", "", "d"]);
        check(&["", "a", "b"]);
    }
}
