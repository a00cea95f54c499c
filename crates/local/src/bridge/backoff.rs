//! How long to wait before a server that keeps failing is started again.

use std::time::{Duration, Instant};

use super::Timing;

/// A wait that has been over for this long is forgotten.
const STALE: Duration = Duration::from_secs(300);

/// The wait of one thing that can fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// How long it must still be waited; none: it may be tried.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// It failed: twice the wait of the last time.
    pub(crate) fn failed(&mut self, now: Instant, timing: &Timing) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(31));
        let wait = timing.backoff.saturating_mul(factor).min(timing.backoff_limit);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + wait);
        wait
    }

    /// Whether its last failure is so long ago that it counts no more.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now.saturating_duration_since(until) > STALE)
    }

    /// It was well for long enough: the next failure is a first one.
    pub(crate) fn recovered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_its_limit_and_starts_anew() {
        let timing = Timing::default();
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(now), None);
        let waits: Vec<u64> = (0..9).map(|_| backoff.failed(now, &timing).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.wait(now + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(backoff.wait(now + Duration::from_secs(60)), None);
        backoff.recovered();
        assert_eq!(backoff.wait(now), None);
        assert_eq!(backoff.failed(now, &timing), Duration::from_secs(1));
    }
}
