//! The way of a change: recorded durably, then saved, then put in force. A change that can't be recorded or saved is
//! not put in force, and the last good state stays.

use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::Timestamp;
use narrows_core::{
    audit::{Actor, Object, OutcomeRecord, Record, RecordKind, record_id, record_time},
    decision::Revision,
    policy::Snapshot,
    ports::{AppendError, AuditLog as _, Pairing},
    resource::ResourceSet,
};
use narrows_gateway::{Gateway, identity::Authenticator};
use narrows_local::LocalServers;
use narrows_store::{
    Log, StoreError,
    state::{SavedSnapshot, State},
};
use serde_json::{Value, json};

use crate::{commands::check, failure::Failure, keys};

/// Puts states of the resources in force, one at a time.
pub(super) struct Publisher {
    pub(super) state: Arc<State>,
    pub(super) log: Arc<Log>,
    pub(super) local: Arc<LocalServers>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) gateway: Arc<Gateway>,
    /// What is in force.
    pub(super) current: InForce,
}

/// What is in force now, for telling whether something is a change.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    revision: Revision,
    canonical: String,
    /// Whether that is nothing at all.
    empty: bool,
}

impl InForce {
    /// Nothing: the empty state before the first.
    pub(super) fn nothing() -> Self {
        Self { revision: Snapshot::empty().revision().clone(), canonical: String::new(), empty: true }
    }
}

impl Publisher {
    /// Begins: with the first state of the files, or without files with what was published last. What was in force
    /// when the last run ended is no change.
    pub(super) async fn begin(&mut self, first: Option<ResourceSet>, origin: &str) -> Result<(), Failure> {
        let saved = self.state.latest_snapshot().map_err(Failure::from_store)?;
        match (saved, first) {
            (None, None) => Ok(()),
            (Some(saved), None) => self.resume(saved, "what was published last"),
            (None, Some(set)) => self.publish(set, origin).await,
            (Some(saved), Some(set)) => {
                let canonical = set.to_canonical_json().map_err(|error| Failure::from_error(&error))?;
                if canonical == saved.resources {
                    return self.resume(saved, origin);
                }
                let revision = Revision { number: saved.number, digest: saved.digest.into() };
                // That the first state is empty is said at start.
                self.current = InForce { revision, canonical: saved.resources, empty: true };
                self.publish(set, origin).await
            }
        }
    }

    fn resume(&mut self, saved: SavedSnapshot, origin: &str) -> Result<(), Failure> {
        let set = ResourceSet::from_json(&saved.resources).map_err(|error| {
            Failure::from_error(&error)
                .during(&format!("revision {} in the database can't be read", saved.number))
                .hint("give the resources with `-f`")
        })?;
        let snapshot = compile(saved.number, set)?;
        let revision = snapshot.revision().to_string();
        self.put_in_force(Arc::new(snapshot), saved.resources);
        tracing::info!(revision, origin, "in force");
        Ok(())
    }

    /// Records, saves and puts in force. What is in force already is no change. `origin` says where it came from.
    pub(super) async fn publish(&mut self, set: ResourceSet, origin: &str) -> Result<(), Failure> {
        let canonical = set.to_canonical_json().map_err(|error| Failure::from_error(&error))?;
        if canonical == self.current.canonical {
            return Ok(());
        }
        let snapshot = compile(self.current.revision.number + 1, set)?;
        let after = json!({
            "revision": snapshot.revision().to_string(),
            "digest": sha256(&canonical),
            "origin": origin,
        });
        self.record(&snapshot, &after, None).await?;
        if let Err(error) = self.save(&snapshot, canonical.clone()).await {
            let failure = Failure::from_store(error);
            let outcome = OutcomeRecord {
                status: "error",
                error: Some("the state was not saved"),
                duration_ms: 0.0,
                bytes: 0,
            };
            self.record(&snapshot, &after, Some(outcome)).await?;
            return Err(failure.during("the change was not put in force"));
        }
        let revision = snapshot.revision().to_string();
        let was_empty = self.current.empty;
        self.put_in_force(Arc::new(snapshot), canonical);
        tracing::info!(revision, origin, "in force");
        if self.current.empty && !was_empty {
            tracing::warn!("nothing is configured any more: every request is denied");
        }
        Ok(())
    }

    /// Whether nothing is configured, for what is said at start.
    pub(super) fn is_empty(&self) -> bool {
        self.current.empty
    }

    fn put_in_force(&mut self, snapshot: Arc<Snapshot>, canonical: String) {
        let empty = check::is_empty(snapshot.resources());
        self.current = InForce { revision: snapshot.revision().clone(), canonical, empty };
        self.local.apply(&snapshot.resources().servers);
        self.authenticator.reload(snapshot.resources());
        self.gateway.publish(snapshot);
    }

    async fn record(
        &self,
        snapshot: &Snapshot,
        after: &Value,
        outcome: Option<OutcomeRecord<'_>>,
    ) -> Result<(), Failure> {
        let now = Timestamp::now();
        let before = json!({
            "revision": self.current.revision.to_string(),
            "digest": sha256(&self.current.canonical),
        });
        let (id, time, name) =
            (record_id(now, keys::random()?), record_time(now), snapshot.revision().to_string());
        let actor =
            Actor { kind: "system", issuer: "", subject: "narrows up", on_behalf_of: None, groups: &[] };
        let record = Record {
            id: &id,
            time: &time,
            kind: RecordKind::SnapshotPublished,
            intent: None,
            actor: Some(actor),
            source: None,
            object: Some(Object { kind: "Snapshot", namespace: "", name: &name }),
            request: None,
            decision: None,
            before: Some(&before),
            after: Some(after),
            outcome,
            trace: None,
        };
        let line = record.encode().map_err(|error| Failure::from_error(&error))?;
        self.log.append(Pairing::Event, line).await.map(drop).map_err(|error| unrecorded(&error))
    }

    async fn save(&self, snapshot: &Snapshot, resources: String) -> Result<(), StoreError> {
        let saved = SavedSnapshot {
            number: snapshot.revision().number,
            published_at: Timestamp::now(),
            digest: snapshot.revision().digest.to_string(),
            resources,
        };
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || state.save_snapshot(&saved))
            .await
            .unwrap_or(Err(StoreError::System("thread")))
    }
}

fn compile(number: u64, set: ResourceSet) -> Result<Snapshot, Failure> {
    Snapshot::compile(number, Arc::new(set))
        .map_err(|problems| Failure::problems(problems, "not put in force"))
}

fn unrecorded(error: &AppendError) -> Failure {
    Failure::from_error(error)
        .during("the change was not put in force, since it can't be recorded")
        .hint("free space on the disk of the data directory: it is tried again by itself")
}

fn sha256(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
