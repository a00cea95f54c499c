//! The way to the owner of the servers' lives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use narrows_core::{
    decision::Revision,
    ids::ServerId,
    policy::Snapshot,
    resource::{Object, Server},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Lifecycle, ServerError, ServerStatus, Statuses, owner::Asked, record::Restarting};
use crate::{Requester, record::Stamp};

/// Requests that may wait.
const WAITING: usize = 64;

/// What is wanted: the servers of one revision.
#[derive(Debug, Clone, Default)]
pub(super) struct Desired {
    pub(super) revision: Option<Revision>,
    pub(super) servers: Arc<BTreeMap<ServerId, Server>>,
}

/// How the servers fare, for whoever would like to know.
#[derive(Debug, Default)]
pub(super) struct Board {
    statuses: Mutex<Statuses>,
    /// The revision whose wishes that is the answer to.
    answered: watch::Sender<u64>,
    changes: watch::Sender<u64>,
}

impl Board {
    fn statuses(&self) -> MutexGuard<'_, Statuses> {
        // A map is valid after every statement.
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts up how a server fares; none: it is not wanted. Says whether that is new.
    pub(super) fn put(&self, id: &ServerId, status: Option<ServerStatus>) -> bool {
        let mut statuses = self.statuses();
        match status {
            Some(status) if statuses.get(id) == Some(&status) => false,
            Some(status) => {
                statuses.insert(id.clone(), status);
                true
            }
            None => statuses.remove(id).is_some(),
        }
    }

    /// What this revision wants has been looked at.
    pub(super) fn answers(&self, revision: u64) {
        self.answered.send_if_modified(|answered| std::mem::replace(answered, revision) != revision);
    }

    /// Tells whoever waits that something is new.
    pub(super) fn tell(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Asks the owner. Cheap to clone.
#[derive(Clone)]
pub struct Servers {
    desired: watch::Sender<Desired>,
    asked: mpsc::Sender<Asked>,
    board: Arc<Board>,
    stamp: Stamp,
}

/// The owner, to be run until told to end, and the way to it.
pub fn serve(
    mut lifecycle: Lifecycle,
    end: CancellationToken,
) -> (Servers, impl Future<Output = ()> + Send + 'static) {
    let (asked, questions) = mpsc::channel(WAITING);
    let desired = watch::Sender::new(Desired::default());
    let servers =
        Servers { desired: desired.clone(), asked, board: lifecycle.board(), stamp: lifecycle.stamp() };
    let wanted = desired.subscribe();
    (servers, async move { lifecycle.run(wanted, questions, end).await })
}

impl Servers {
    /// Wants the servers of this state from now on. Waits for nothing.
    pub fn want(&self, snapshot: &Snapshot) {
        let servers = snapshot.resources().servers.iter();
        let servers = servers.map(|server| (server.id.clone(), server.clone())).collect();
        let revision = Some(snapshot.revision().clone());
        self.desired.send_replace(Desired { revision, servers: Arc::new(servers) });
    }

    /// Changes whenever one of them fares otherwise.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes.subscribe()
    }

    /// How those fare that `wanted` says yes to.
    pub fn statuses(&self, wanted: impl Fn(&ServerId) -> bool) -> Statuses {
        let statuses = self.board.statuses();
        statuses
            .iter()
            .filter(|(id, _)| wanted(id))
            .map(|(id, status)| (id.clone(), status.clone()))
            .collect()
    }

    /// How one fares; none if it is not wanted, or nothing was done about it yet.
    pub fn status(&self, id: &ServerId) -> Option<ServerStatus> {
        self.board.statuses().get(id).cloned()
    }

    /// Resolves when what this revision wants has been looked at: from then on, [`Self::status`] is no answer to an older one.
    pub async fn answered(&self, revision: u64) {
        // The board lives as long as this.
        let _ = self.board.answered.subscribe().wait_for(|answered| *answered >= revision).await;
    }

    /// Has a server started anew, as it is: what runs goes on until the new one answers. Returns when that is recorded and
    /// under way.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is done then.
    pub async fn restart(&self, id: &ServerId, requester: Requester) -> Result<(), ServerError> {
        let Desired { revision, servers } = self.desired.borrow().clone();
        let server = servers.get(id).ok_or_else(|| ServerError::NoServer(id.clone()))?;
        if server.replicas == 0 {
            return Err(ServerError::Stopped(id.clone()));
        }
        let revision = revision.map(|revision| revision.to_string()).unwrap_or_default();
        let manifest = Object::Server(server.clone()).manifest();
        let change = self.stamp.id().map_err(|_| ServerError::System("random bytes"))?;
        let restarting = Restarting { server: id.clone(), requester, change, revision };
        let (answer, under_way) = oneshot::channel();
        let asked = self.asked.send(Asked::Restart { restarting, manifest, answer }).await;
        asked.map_err(|_| ServerError::NotRunning)?;
        under_way.await.unwrap_or(Err(ServerError::NotRunning))
    }
}
