//! Room for bodies that are under way, until their server begins to answer. Each is bounded and so is the number of each
//! principal's, but together they could still be more than there is memory. One principal has a share, so that calls of
//! one to a server that hangs leave room for others. A body that is there in one piece takes none: it is as large as one
//! read at most, of which each connection has one anyway.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::concurrency::InProgress;

/// Of the room, one principal may have one in so many parts.
const PARTS: usize = 4;

/// Bytes that may be held, and how many are.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    /// Of one principal.
    share: usize,
    taken: AtomicUsize,
}

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    room: &'a Room,
    principal: Option<Arc<InProgress>>,
    bytes: usize,
}

impl Room {
    /// Room for so many bytes. `body` is the size of the largest body, which always has room in an empty one.
    pub(crate) fn new(limit: usize, body: usize) -> Self {
        Self { limit, share: (limit / PARTS).max(body).min(limit), taken: AtomicUsize::new(0) }
    }

    /// A place without room yet.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { room: self, principal: None, bytes: 0 }
    }
}

impl Place<'_> {
    /// Takes room for so many bytes in all, if it is there.
    #[must_use]
    pub(crate) fn grow(&mut self, principal: &Arc<InProgress>, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let principal = self.principal.get_or_insert_with(|| Arc::clone(principal));
        let own = principal.bytes.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let all = self.room.taken.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.bytes += more;
        own <= self.room.share && all <= self.room.limit
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(principal) = &self.principal {
            principal.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_have_so_much_room_and_those_of_one_principal_a_share() {
        let principals: Vec<_> = (0..6).map(|_| Arc::new(InProgress::default())).collect();
        let room = Room::new(100, 10);
        let (mut one, mut two) = (room.place(), room.place());
        assert!(one.grow(&principals[0], 20) && one.grow(&principals[0], 20) && two.grow(&principals[0], 5));
        assert!(!two.grow(&principals[0], 6), "a quarter is its share");
        drop(two);
        let mut others: Vec<_> = principals.iter().skip(1).map(|other| (other, room.place())).collect();
        let let_in: Vec<_> = others.iter_mut().map(|(other, place)| place.grow(other, 20)).collect();
        assert_eq!(let_in, [true, true, true, true, false]);
        drop(others);
        assert!(one.grow(&principals[0], 25));
        drop(one);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
        assert_eq!(principals[0].bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_largest_body_has_room() {
        for (limit, body) in [(100, 60), (50, 60)] {
            let room = Room::new(limit, body);
            assert_eq!(room.place().grow(&Arc::default(), 60), limit >= body);
        }
    }
}
