//! What one principal has in progress: requests, and bytes of bodies that are under way. It is reached through the
//! verified token, so requests of different principals share nothing here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

/// What one principal has in progress, over all its tokens.
#[derive(Debug, Default)]
pub struct InProgress {
    requests: AtomicU32,
    /// Bytes of bodies; see [`crate::room`].
    pub(crate) bytes: AtomicUsize,
}

/// All principals that have requests in progress or a verified token.
#[derive(Debug, Default)]
pub(crate) struct Concurrency {
    all: Mutex<HashMap<[u8; 16], Weak<InProgress>>>,
}

/// One request in progress; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Slot(Arc<InProgress>);

impl Concurrency {
    /// What a principal has in progress. Locks for a moment; callers keep it beside the verified token.
    pub(crate) fn of(&self, subject: [u8; 16]) -> Arc<InProgress> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&subject).and_then(Weak::upgrade) {
            return known;
        }
        if all.len() >= 1024 && all.len().is_power_of_two() {
            all.retain(|_, known| known.strong_count() > 0);
        }
        let new = Arc::new(InProgress::default());
        all.insert(subject, Arc::downgrade(&new));
        new
    }
}

/// Takes a place, if one is free.
pub(crate) fn enter(principal: &Arc<InProgress>, limit: u32) -> Option<Slot> {
    let entered = principal
        .requests
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < limit).then(|| count + 1));
    entered.ok().map(|_| Slot(Arc::clone(principal)))
}

impl Slot {
    /// Whose it is.
    pub(crate) fn principal(&self) -> &Arc<InProgress> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_as_many_places_as_the_limit_over_all_its_tokens() {
        let concurrency = Concurrency::default();
        let (one, same, other) = (concurrency.of([1; 16]), concurrency.of([1; 16]), concurrency.of([2; 16]));
        let first = enter(&one, 2);
        let second = enter(&same, 2);
        assert!(first.is_some() && second.is_some());
        assert!(enter(&one, 2).is_none());
        assert!(enter(&other, 2).is_some());
        drop(first);
        assert!(enter(&same, 2).is_some());
    }
}
