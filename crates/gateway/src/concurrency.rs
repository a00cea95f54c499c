//! How many requests of one principal are in progress. The count is reached through the verified token, so requests
//! of different principals share nothing here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

/// Counters of all principals that have requests in progress or a verified token.
#[derive(Debug, Default)]
pub(crate) struct Concurrency {
    counters: Mutex<HashMap<[u8; 16], Weak<AtomicU32>>>,
}

/// One request in progress; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicU32>);

impl Concurrency {
    /// The counter of a principal. Locks for a moment; callers keep the counter beside the verified token.
    pub(crate) fn counter(&self, subject: [u8; 16]) -> Arc<AtomicU32> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(&subject).and_then(Weak::upgrade) {
            return counter;
        }
        if counters.len() >= 1024 && counters.len().is_power_of_two() {
            counters.retain(|_, counter| counter.strong_count() > 0);
        }
        let counter = Arc::new(AtomicU32::new(0));
        counters.insert(subject, Arc::downgrade(&counter));
        counter
    }
}

/// Takes a place, if one is free.
pub(crate) fn enter(counter: &Arc<AtomicU32>, limit: u32) -> Option<Slot> {
    let entered =
        counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < limit).then(|| count + 1));
    entered.ok().map(|_| Slot(Arc::clone(counter)))
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_as_many_places_as_the_limit_over_all_its_tokens() {
        let concurrency = Concurrency::default();
        let (one, same, other) =
            (concurrency.counter([1; 16]), concurrency.counter([1; 16]), concurrency.counter([2; 16]));
        let first = enter(&one, 2);
        let second = enter(&same, 2);
        assert!(first.is_some() && second.is_some());
        assert!(enter(&one, 2).is_none());
        assert!(enter(&other, 2).is_some());
        drop(first);
        assert!(enter(&same, 2).is_some());
    }
}
