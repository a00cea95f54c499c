//! Room for bodies that are under way. Each is bounded and so is the number of each principal's, but together they could
//! still be more than there is memory. What is there in one piece takes no room: it is judged and sent on in a moment.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held, and how many are.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    taken: AtomicUsize,
}

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0) }
    }

    /// A place without room yet.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { room: self, bytes: 0 }
    }
}

impl Place<'_> {
    /// Takes room for so many bytes in all, if it is there.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.room.taken.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.bytes += more;
        taken <= self.room.limit
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_have_so_much_room() {
        let room = Room::new(100);
        let (mut one, mut two) = (room.place(), room.place());
        assert!(one.grow(60) && one.grow(60) && two.grow(40));
        assert!(!two.grow(41));
        drop(two);
        assert!(one.grow(100));
        drop(one);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
