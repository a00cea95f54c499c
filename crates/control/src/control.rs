//! The owner of the desired state: takes one change after the other. Intent durable, then kept, then outcome, then in
//! force; whatever fails on the way leaves the state that was.

use std::sync::Arc;

use narrows_core::{
    change::{Accepted, Denied, Desired, Following, ObjectChange, Proposal, Refusal, Reviewed},
    decision::Revision,
    governance::{Asked, Purpose, Violation},
    policy::Snapshot,
    ports::{AppendError, AuditLog, LogIndex, Pairing, Revisions, SavedChange, SavedRevision, StateError},
    resource::ResourceSet,
};
use tokio::sync::watch;

use crate::{
    ControlError, Requester, denied,
    record::{Ending, Recorder, Stamp},
};

/// Intents that are on their way to the log at once, and their bytes: a small part of what it lets wait, for calls wait there
/// too.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 1 << 20;

/// What makes a state the one that is followed.
pub trait Live: Send + Sync + 'static {
    /// Puts the state in force: what is decided from now on is decided by it. It does not wait for anything.
    fn put_in_force(&self, snapshot: &Arc<Snapshot>);
}

/// What the control plane stands on.
pub struct Parts {
    /// Where changes are recorded.
    pub log: Arc<dyn AuditLog>,
    /// Where states are kept.
    pub revisions: Arc<dyn Revisions>,
    /// What follows them.
    pub live: Arc<dyn Live>,
    /// Whether this process follows files.
    pub following: Following,
    /// The time.
    pub clock: fn() -> jiff::Timestamp,
    /// Random bytes for ids.
    pub random: fn() -> std::io::Result<[u8; 10]>,
}

/// Whether a change is only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Say what would change, and change nothing.
    Dry,
    /// Carry it out.
    Real,
}

impl Run {
    /// As policies see it.
    pub(crate) fn purpose(self) -> Purpose {
        match self {
            Self::Dry => Purpose::Look,
            Self::Real => Purpose::Change,
        }
    }
}

/// What a proposal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The revision that it was held against.
    pub base: Revision,
    /// The one that it leads to, or would; the same if nothing changes.
    pub revision: Revision,
    /// What is different, in the order of keys; empty if nothing changes.
    pub changes: Vec<ObjectChange>,
    /// What of it does not comply with policies, and is carried out nevertheless.
    pub warnings: Vec<Violation>,
}

/// The owner of the desired state.
pub struct Control {
    parts: Parts,
    current: watch::Sender<Arc<Desired>>,
    in_doubt: Option<Doubt>,
}

/// A change of which nobody knows whether it was kept.
struct Doubt {
    id: String,
    requester: Requester,
    accepted: Box<Accepted>,
    /// One for each resource, as far as they were tried; none where the log did not take it.
    intents: Vec<Option<LogIndex>>,
}

impl Control {
    /// Begins with the newest state that was kept, which is not put in force yet.
    ///
    /// # Errors
    /// The state can't be read, or not be understood.
    pub fn load(parts: Parts) -> Result<Self, ControlError> {
        let current = latest(&*parts.revisions)?;
        Ok(Self { parts, current: watch::Sender::new(Arc::new(current)), in_doubt: None })
    }

    /// The state that is in force, now and whenever it changes.
    pub fn current(&self) -> watch::Receiver<Arc<Desired>> {
        self.current.subscribe()
    }

    /// Whether this process follows files.
    pub(crate) fn following(&self) -> Following {
        self.parts.following
    }

    /// The time.
    pub(crate) fn clock(&self) -> fn() -> jiff::Timestamp {
        self.parts.clock
    }

    /// Where states are kept.
    pub(crate) fn revisions(&self) -> Arc<dyn Revisions> {
        Arc::clone(&self.parts.revisions)
    }

    /// Puts the state that was kept last in force, as after a restart. That is no change.
    ///
    /// # Errors
    /// It can't be compiled: it was kept by a version that knew more.
    pub fn resume(&self) -> Result<(), ControlError> {
        let current = Arc::clone(&self.current.borrow());
        if current.revision.number == 0 {
            return Ok(());
        }
        let number = current.revision.number;
        let snapshot = Snapshot::compile(number, Arc::clone(&current.resources)).map_err(|problems| {
            let reason = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
            ControlError::Damaged { number, reason }
        })?;
        self.parts.live.put_in_force(&Arc::new(snapshot));
        Ok(())
    }

    /// Takes a proposal through review, and carries it out if it is to be.
    ///
    /// # Errors
    /// [`ControlError`]: nothing is changed then, but for [`ControlError::InDoubt`].
    pub async fn propose(
        &mut self,
        proposal: Proposal,
        requester: Requester,
        run: Run,
    ) -> Result<Done, ControlError> {
        self.settle().await?;
        let current = Arc::clone(&self.current.borrow());
        let asked = requester.asked(run.purpose(), (self.parts.clock)());
        let reviewed = review(current, proposal, self.parts.following, asked).await;
        if let (Run::Real, Err(ControlError::Refused(Refusal::Denied(denied)))) = (run, &reviewed) {
            self.record_denied(denied, &requester).await?;
        }
        let (done, accepted) = reviewed?;
        match (run, accepted) {
            (Run::Dry, _) | (Run::Real, None) => {}
            (Run::Real, Some(accepted)) => self.carry_out(accepted, requester).await?,
        }
        Ok(done)
    }

    /// Makes durable that policies refuse a change. A refusal that can't be recorded is not told apart from a change that
    /// can't be: nothing is changed either way.
    async fn record_denied(&self, denied: &Denied, requester: &Requester) -> Result<(), ControlError> {
        let lines = denied::records(denied, requester, self.stamp())?;
        let waiting: Vec<_> =
            lines.into_iter().map(|line| self.parts.log.append(Pairing::Event, line)).collect();
        for durable in waiting {
            durable.await.map_err(ControlError::Unrecorded)?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, accepted: Box<Accepted>, requester: Requester) -> Result<(), ControlError> {
        let stamp = self.stamp();
        let id = stamp.id()?;
        let mut doubt = Doubt { id, requester, accepted, intents: Vec::new() };
        let saved = saved(&doubt, (self.parts.clock)())?;
        if let Err(error) = self.record_intents(&mut doubt).await {
            self.record_outcomes(&doubt, Ending::Aborted("the change was not recorded whole"));
            return Err(error);
        }
        let Err(error) = self.on_disk(move |revisions| revisions.save(&saved)).await else {
            return self.applied(&doubt);
        };
        match self.is_applied(&doubt.id).await {
            Ok(true) => self.applied(&doubt),
            Ok(false) => {
                self.record_outcomes(&doubt, Ending::Aborted("the change was not saved"));
                Err(ControlError::Unsaved(error))
            }
            Err(_) => {
                self.in_doubt = Some(doubt);
                Err(ControlError::InDoubt(error))
            }
        }
    }

    /// Finds out about a change that is in doubt, before anything else is done.
    pub(crate) async fn settle(&mut self) -> Result<(), ControlError> {
        let Some(id) = self.in_doubt.as_ref().map(|doubt| doubt.id.clone()) else { return Ok(()) };
        let applied = self.is_applied(&id).await.map_err(ControlError::InDoubt)?;
        let Some(doubt) = self.in_doubt.take() else { return Ok(()) };
        if applied {
            self.applied(&doubt)
        } else {
            self.record_outcomes(&doubt, Ending::Aborted("the change was not saved"));
            Ok(())
        }
    }

    /// Makes the intents durable, all of them before anything is kept.
    async fn record_intents(&self, doubt: &mut Doubt) -> Result<(), ControlError> {
        let accepted = &doubt.accepted;
        let recorder = self.recorder(doubt);
        let mut intents = Vec::with_capacity(accepted.changes().len());
        let mut failed = None;
        let mut changes = accepted.changes().iter().peekable();
        while failed.is_none() && changes.peek().is_some() {
            let (mut waiting, mut bytes) = (Vec::new(), 0);
            while waiting.len() < TOGETHER
                && bytes < TOGETHER_BYTES
                && let Some(change) = changes.next()
            {
                match recorder.intent(change) {
                    Ok(line) => {
                        bytes += line.len();
                        waiting.push(self.parts.log.append(Pairing::Intent, line));
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            for durable in waiting {
                let recorded = durable.await.map_err(ControlError::Unrecorded);
                intents.push(recorded.map_err(|error| failed = failed.take().or(Some(error))).ok());
            }
        }
        doubt.intents = intents;
        failed.map_or(Ok(()), Err)
    }

    fn record_outcomes(&self, doubt: &Doubt, ending: Ending) {
        let recorder = self.recorder(doubt);
        for (change, intent) in doubt.accepted.changes().iter().zip(&doubt.intents) {
            let Some(intent) = *intent else { continue };
            let line = recorder.outcome(change, intent, ending);
            note(line.map(|line| self.parts.log.append_later(Pairing::Outcome(intent), line)));
        }
    }

    /// It is kept: records that, and puts it in force.
    fn applied(&self, doubt: &Doubt) -> Result<(), ControlError> {
        self.record_outcomes(doubt, Ending::Applied);
        let before = Arc::clone(&self.current.borrow());
        let desired = Arc::new(doubt.accepted.desired());
        let published = self.recorder(doubt).published(&canonical(&before)?, &canonical(&desired)?);
        // Before what follows it is recorded: how servers fare that it wants.
        note(published.map(|line| self.parts.log.append_later(Pairing::Event, line)));
        self.parts.live.put_in_force(doubt.accepted.snapshot());
        self.current.send_replace(Arc::clone(&desired));
        tracing::info!(
            revision = desired.revision.to_string(),
            origin = doubt.requester.origin(),
            changes = doubt.accepted.changes().len(),
            "in force"
        );
        Ok(())
    }

    fn recorder<'a>(&self, doubt: &'a Doubt) -> Recorder<'a> {
        Recorder {
            stamp: self.stamp(),
            id: &doubt.id,
            requester: &doubt.requester,
            accepted: &doubt.accepted,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp { clock: self.parts.clock, random: self.parts.random }
    }

    /// Whether a change is in doubt.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt.is_some()
    }

    async fn is_applied(&self, id: &str) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.on_disk(move |revisions| revisions.settle(&id)).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Revisions) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        on_disk(self.revisions(), ask).await
    }
}

/// What a proposal would come to, and the change if it is one. Of very many resources that takes seconds, so it is done on a
/// thread that nobody else waits for.
pub(crate) async fn review(
    current: Arc<Desired>,
    proposal: Proposal,
    following: Following,
    asked: Asked,
) -> Result<(Done, Option<Box<Accepted>>), ControlError> {
    let reviewed =
        tokio::task::spawn_blocking(move || held_against(&current, proposal, following, &asked)).await;
    reviewed.unwrap_or(Err(ControlError::System("thread")))
}

fn held_against(
    current: &Desired,
    proposal: Proposal,
    following: Following,
    asked: &Asked,
) -> Result<(Done, Option<Box<Accepted>>), ControlError> {
    let base = current.revision.clone();
    match current.review(proposal, following, asked).map_err(ControlError::Refused)? {
        Reviewed::Unchanged => {
            Ok((Done { revision: base.clone(), base, changes: Vec::new(), warnings: Vec::new() }, None))
        }
        Reviewed::Change(accepted) => {
            let revision = accepted.snapshot().revision().clone();
            let done = Done {
                base,
                revision,
                changes: accepted.changes().to_vec(),
                warnings: accepted.warnings().to_vec(),
            };
            Ok((done, Some(accepted)))
        }
    }
}

/// The newest state that was kept; the empty one before the first.
///
/// # Errors
/// It can't be read, or not be understood.
pub fn latest(revisions: &dyn Revisions) -> Result<Desired, ControlError> {
    let saved = revisions.latest().map_err(ControlError::Unreadable)?;
    saved.map_or_else(|| Ok(Desired::nothing()), desired)
}

/// Asks the state on a thread that may wait for the disk.
pub(crate) async fn on_disk<T: Send + 'static>(
    revisions: Arc<dyn Revisions>,
    ask: impl FnOnce(&dyn Revisions) -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    let asked = tokio::task::spawn_blocking(move || ask(&*revisions)).await;
    asked.unwrap_or_else(|_| {
        Err(StateError { message: "the thread that asked the state failed".to_owned(), hint: None })
    })
}

/// A kept state as one that is to be.
pub(crate) fn desired(saved: SavedRevision) -> Result<Desired, ControlError> {
    let SavedRevision { number, digest, resources, managers, .. } = saved;
    let resources = ResourceSet::from_json(&resources)
        .map_err(|error| ControlError::Damaged { number, reason: error.to_string() })?;
    let found = resources.digest().ok();
    if found.as_ref() != Some(&digest) {
        let reason = "its resources are not those that were saved".to_owned();
        return Err(ControlError::Damaged { number, reason });
    }
    let revision = Revision { number, digest: digest.into() };
    Ok(Desired { revision, resources: Arc::new(resources), managers })
}

fn saved(doubt: &Doubt, now: jiff::Timestamp) -> Result<SavedRevision, ControlError> {
    let desired = doubt.accepted.desired();
    let resources = canonical(&desired)?;
    let changes = doubt.accepted.changes().iter();
    Ok(SavedRevision {
        number: desired.revision.number,
        saved_at: now,
        digest: desired.revision.digest.to_string(),
        resources,
        managers: desired.managers,
        change: Some(SavedChange {
            id: doubt.id.clone(),
            actor: doubt.requester.subject.to_string(),
            origin: doubt.requester.origin().to_owned(),
            reason: doubt.requester.reason.clone(),
            objects: changes.map(|change| (change.key.clone(), change.operation())).collect(),
        }),
    })
}

fn canonical(desired: &Desired) -> Result<String, ControlError> {
    let number = desired.revision.number;
    desired
        .resources
        .to_canonical_json()
        .map_err(|error| ControlError::Damaged { number, reason: error.to_string() })
}

/// An outcome is not waited for; one that the log did not take is closed by the next start.
fn note(appended: Result<Result<(), AppendError>, ControlError>) {
    match appended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the outcome of a change is not recorded"),
        Err(error) => tracing::error!(%error, "the outcome of a change is not recorded"),
    }
}
