//! What was thrown away, and why. Nothing is dropped without being counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a bridge threw away since it started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Lines of standard output that were no messages.
    pub(crate) noise: Count,
    /// Answers, progress and cancellations for which nobody waited any more.
    pub(crate) late: Count,
    /// Connections given up because they did not keep up.
    pub(crate) slow: Count,
    /// Events that nobody had seen, forgotten to make room.
    pub(crate) overflown: Count,
    /// Messages of a shared process that could have been anyone's.
    pub(crate) unplaced: Count,
}

impl Counts {
    /// Name and number of each that is not zero.
    pub(crate) fn nonzero(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("noise", self.noise.get()),
            ("late", self.late.get()),
            ("slow", self.slow.get()),
            ("overflown", self.overflown.get()),
            ("unplaced", self.unplaced.get()),
        ];
        all.into_iter().filter(|(_, number)| *number > 0).collect()
    }
}
