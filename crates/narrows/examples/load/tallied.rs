//! What was seen, counted: latencies and why things failed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

/// Latencies of what went well, and a count for each reason of what did not.
#[derive(Default)]
pub(crate) struct Tallied {
    micros: Vec<u64>,
    pub(crate) failed: BTreeMap<String, u64>,
    /// Things that are worth a number and no failures.
    pub(crate) noted: BTreeMap<&'static str, u64>,
}

impl Tallied {
    pub(crate) fn took(&mut self, time: Duration) {
        self.micros.push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn fail(&mut self, reason: impl std::fmt::Display) {
        *self.failed.entry(reason.to_string()).or_default() += 1;
    }

    pub(crate) fn note(&mut self, what: &'static str) {
        *self.noted.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        for (what, count) in other.noted {
            *self.noted.entry(what).or_default() += count;
        }
    }

    /// Milliseconds at the given share of all, and the longest.
    pub(crate) fn said(mut self) -> Value {
        self.micros.sort_unstable();
        let last = self.micros.len().saturating_sub(1);
        let at = |share: usize| {
            let micros = self.micros.get(last * share / 1000).copied().unwrap_or(0);
            f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0
        };
        json!({
            "ok": self.micros.len(), "p50": at(500), "p99": at(990), "p999": at(999), "max": at(1000),
            "failed": self.failed, "noted": self.noted,
        })
    }
}
