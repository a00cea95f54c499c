//! Requests without a valid token. They are counted, not recorded one by one, so that a sender without a name can't
//! fill the disk: one record an interval says how many there were, why, and from which addresses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use narrows_core::{
    audit::{Actor, Record, RecordKind, record_time},
    ports::{AuditLog, Pairing},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, RequestIds};

/// Addresses that one record names; the rest are counted together.
const ADDRESSES: usize = 64;

/// How often a record is written, if there is anything to say.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts since the last record.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    reasons: BTreeMap<&'static str, u64>,
    addresses: BTreeMap<String, u64>,
    other_addresses: u64,
}

impl Failures {
    /// Counts one. `reason` is from a closed set.
    pub(crate) fn count(&self, reason: &'static str, ip: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.reasons.entry(reason).or_default() += 1;
        if let Some(count) = counts.addresses.get_mut(ip) {
            *count += 1;
        } else if counts.addresses.len() < ADDRESSES {
            counts.addresses.insert(ip.to_owned(), 1);
        } else {
            counts.other_addresses += 1;
        }
    }

    /// Writes a record each interval, and a last one when stopped.
    pub(crate) async fn report(
        &self,
        audit: Arc<dyn AuditLog>,
        ids: RequestIds,
        clock: Clock,
        stop: CancellationToken,
    ) {
        loop {
            let stopped = tokio::select! {
                () = tokio::time::sleep(INTERVAL) => false,
                () = stop.cancelled() => true,
            };
            self.write(&audit, &ids, clock);
            if stopped {
                return;
            }
        }
    }

    fn write(&self, audit: &Arc<dyn AuditLog>, ids: &RequestIds, clock: Clock) {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.reasons.is_empty() {
            return;
        }
        let after = json!({
            "reasons": counts.reasons,
            "addresses": counts.addresses,
            "otherAddresses": counts.other_addresses,
            "intervalSeconds": INTERVAL.as_secs(),
        });
        let (id, time) = (ids.next(clock), record_time(clock()));
        let record = Record {
            actor: Some(Actor {
                kind: "anonymous",
                issuer: "",
                subject: "",
                on_behalf_of: None,
                groups: &[],
            }),
            after: Some(&after),
            ..Record::new(RecordKind::AuthenticationFailed, &id, &time)
        };
        let written = record
            .encode()
            .map_err(|error| error.to_string())
            .and_then(|line| audit.append_later(Pairing::Event, line).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::error!(error, "failed authentications could not be recorded");
        }
    }
}
