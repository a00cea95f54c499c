//! Counters of the data plane, in the Prometheus text format. Labels come from closed sets, so that no client can
//! make new series; names of tools, servers and people are in the audit record, not here.

use std::{sync::atomic::AtomicU64, time::Duration};

use narrows_core::decision::Mode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::cuts::Cuts;

/// How a forwarded request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Error,
    Cancelled,
}

impl Outcome {
    /// As it is written, in labels as in records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of the gateway. Those on the path of each request are looked up once, at start.
pub(crate) struct Metrics {
    registry: Registry,
    completed: [Counter; 3],
    denied: [Counter; 2],
    unauthenticated: Family<ReasonLabel, Counter>,
    unrecorded: Counter,
    cuts: Cuts,
    dropped: Counter,
    record_seconds: Histogram,
    request_seconds: Histogram,
    in_flight: Gauge,
    connections: Gauge,
    snapshot: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("narrows");
        let completed = Family::<OutcomeLabel, Counter>::default();
        let denied = Family::<ModeLabel, Counter>::default();
        let unauthenticated = Family::<ReasonLabel, Counter>::default();
        let seconds = || Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0]);
        let (record_seconds, request_seconds) = (seconds(), seconds());
        let (unrecorded, dropped) = (Counter::default(), Counter::default());
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let snapshot = Gauge::default();
        registry.register("requests", "Requests forwarded to a server, by how they ended", completed.clone());
        registry.register(
            "denials",
            "Requests refused by roles, or let through in observe mode",
            denied.clone(),
        );
        registry.register(
            "unauthenticated",
            "Requests without a valid token, by reason",
            unauthenticated.clone(),
        );
        registry.register(
            "unrecorded",
            "Requests refused since they could not be recorded",
            unrecorded.clone(),
        );
        let cuts = Cuts::register(&mut registry);
        registry.register("dropped_messages", "Messages of servers that were not passed on", dropped.clone());
        registry.register("record_seconds", "Time for an intent to become durable", record_seconds.clone());
        registry.register(
            "request_seconds",
            "Time from the intent to the end of the response",
            request_seconds.clone(),
        );
        registry.register(
            "requests_in_progress",
            "Requests in progress, streams included",
            in_flight.clone(),
        );
        registry.register("connections", "Open client connections", connections.clone());
        registry.register("snapshot_revision", "Number of the published snapshot", snapshot.clone());
        let of =
            |outcome: Outcome| completed.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).clone();
        let mode = |mode: Mode| denied.get_or_create(&ModeLabel { mode: mode.as_str() }).clone();
        Self {
            completed: [of(Outcome::Ok), of(Outcome::Error), of(Outcome::Cancelled)],
            denied: [mode(Mode::Enforce), mode(Mode::Observe)],
            registry,
            unauthenticated,
            unrecorded,
            cuts,
            dropped,
            record_seconds,
            request_seconds,
            in_flight,
            connections,
            snapshot,
        }
    }
}

/// Counts something as present until dropped.
#[derive(Debug)]
pub(crate) struct Present(Gauge);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn completed(&self, outcome: Outcome, elapsed: Duration) {
        let [ok, error, cancelled] = &self.completed;
        match outcome {
            Outcome::Ok => ok.inc(),
            Outcome::Error => error.inc(),
            Outcome::Cancelled => cancelled.inc(),
        };
        self.request_seconds.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn denied(&self, mode: Mode) {
        let [enforce, observe] = &self.denied;
        match mode {
            Mode::Enforce => enforce.inc(),
            Mode::Observe => observe.inc(),
        };
    }

    pub(crate) fn unauthenticated(&self, reason: &'static str) {
        self.unauthenticated.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// What went beyond a bound.
    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    pub(crate) fn dropped_message(&self) {
        self.dropped.inc();
    }

    pub(crate) fn recorded(&self, elapsed: Duration) {
        self.record_seconds.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn request(&self) -> Present {
        self.in_flight.inc();
        Present(self.in_flight.clone())
    }

    pub(crate) fn connection(&self) -> Present {
        self.connections.inc();
        Present(self.connections.clone())
    }

    pub(crate) fn published(&self, number: u64) {
        self.snapshot.set(number);
    }

    /// Requests in progress.
    pub(crate) fn requests_in_progress(&self) -> i64 {
        self.in_flight.get()
    }

    /// The exposition, OpenMetrics text.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics could not be written");
                String::new()
            }
        }
    }

    #[cfg(test)]
    fn total(&self) -> u64 {
        self.completed.iter().map(Counter::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_names_each_outcome_from_the_start() {
        let metrics = Metrics::default();
        metrics.completed(Outcome::Error, Duration::from_millis(3));
        metrics.unauthenticated("expired");
        let text = metrics.exposition();
        for line in [
            "narrows_requests_total{outcome=\"ok\"} 0",
            "narrows_requests_total{outcome=\"error\"} 1",
            "narrows_denials_total{mode=\"enforce\"} 0",
            "narrows_unauthenticated_total{reason=\"expired\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert_eq!(metrics.total(), 1);
    }
}
