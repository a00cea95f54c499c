//! The way to the owner: proposals wait in a short queue; what is in force and what was is read without it.

use std::{sync::Arc, time::Duration};

use narrows_core::{
    change::{Desired, Following, Proposal},
    ports::{RevisionEntry, Revisions},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Control, ControlError, Done, Requester, Run,
    control::{desired, latest, on_disk, review},
};

/// Proposals that may wait.
const WAITING: usize = 64;
/// How soon it is found out what became of a change that is in doubt, and how often that is tried.
const SETTLE: Duration = Duration::from_secs(2);

/// A proposal and who waits for what it comes to.
struct Asked {
    proposal: Proposal,
    requester: Requester,
    answer: oneshot::Sender<Result<Done, ControlError>>,
}

/// Asks the owner. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    to: mpsc::Sender<Asked>,
    current: watch::Receiver<Arc<Desired>>,
    revisions: Arc<dyn Revisions>,
    following: Following,
    clock: fn() -> jiff::Timestamp,
}

/// Takes one proposal after the other until told to end; those that wait then are answered with
/// [`ControlError::Closed`].
pub fn serve(
    mut control: Control,
    end: CancellationToken,
) -> (Controller, impl Future<Output = ()> + Send + 'static) {
    let (to, mut asked) = mpsc::channel::<Asked>(WAITING);
    let controller = Controller {
        to,
        current: control.current(),
        revisions: control.revisions(),
        following: control.following(),
        clock: control.clock(),
    };
    let run = async move {
        loop {
            let in_doubt = control.is_in_doubt();
            let next = tokio::select! {
                biased;
                () = end.cancelled() => break,
                next = asked.recv() => next,
                // Nobody may come who would have it found out.
                () = tokio::time::sleep(SETTLE), if in_doubt => {
                    if let Err(error) = control.settle().await {
                        tracing::error!(%error, "a change is in doubt");
                    }
                    continue;
                }
            };
            let Some(Asked { proposal, requester, answer }) = next else { break };
            let done = control.propose(proposal, requester, Run::Real).await;
            // Who asked may have gone; it is done nevertheless.
            let _ = answer.send(done);
        }
        asked.close();
        while let Some(left) = asked.recv().await {
            let _ = left.answer.send(Err(ControlError::Closed));
        }
    };
    (controller, run)
}

impl Controller {
    /// One that reads what is kept, and changes nothing: [`Run::Real`] is answered with [`ControlError::Closed`].
    ///
    /// # Errors
    /// The state can't be read.
    pub fn reading(
        revisions: Arc<dyn Revisions>,
        clock: fn() -> jiff::Timestamp,
    ) -> Result<Self, ControlError> {
        let current = watch::Sender::new(Arc::new(latest(&*revisions)?)).subscribe();
        let (to, _) = mpsc::channel(1);
        Ok(Self { to, current, revisions, following: Following::Nothing, clock })
    }

    /// Has a proposal reviewed, and carried out if it is to be. A proposal that was taken is seen to its end, also if this
    /// future is dropped. A dry run is held against what is in force now, whatever waits.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn propose(
        &self,
        proposal: Proposal,
        requester: Requester,
        run: Run,
    ) -> Result<Done, ControlError> {
        match run {
            Run::Dry => {
                let asked = requester.asked(run.purpose(), (self.clock)());
                let reviewed = review(self.current(), proposal, self.following, asked).await;
                return reviewed.map(|(done, _)| done);
            }
            Run::Real => {}
        }
        let (answer, answered) = oneshot::channel();
        self.to.try_send(Asked { proposal, requester, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ControlError::Busy,
            mpsc::error::TrySendError::Closed(_) => ControlError::Closed,
        })?;
        answered.await.unwrap_or(Err(ControlError::Closed))
    }

    /// What is in force, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Desired>> {
        self.current.clone()
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Desired> {
        Arc::clone(&self.current.borrow())
    }

    /// The newest revisions below `before`, newest first.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn revisions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RevisionEntry>, ControlError> {
        let listed =
            on_disk(Arc::clone(&self.revisions), move |revisions| revisions.list(before, limit)).await;
        listed.map_err(ControlError::Unreadable)
    }

    /// One revision.
    ///
    /// # Errors
    /// There is none of this number, or it can't be read.
    pub async fn revision(&self, number: u64) -> Result<Desired, ControlError> {
        if number == 0 {
            return Ok(Desired::nothing());
        }
        // Reading a state of very many resources takes a while, too.
        let found = on_disk(Arc::clone(&self.revisions), move |revisions| {
            Ok(revisions.numbered(number)?.map(desired))
        });
        found.await.map_err(ControlError::Unreadable)?.unwrap_or(Err(ControlError::NoRevision(number)))
    }
}
