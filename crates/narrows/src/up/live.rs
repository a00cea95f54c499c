//! What makes a state the one that is followed: local servers are started and stopped, issuers are trusted or not, and
//! the snapshot is swapped, after which requests in progress and open streams are judged again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use narrows_control::Live;
use narrows_core::policy::Snapshot;
use narrows_gateway::{Gateway, identity::Authenticator};
use narrows_local::LocalServers;

/// The parts that follow the state.
pub(super) struct Followers {
    local: Arc<LocalServers>,
    authenticator: Arc<Authenticator>,
    gateway: Arc<Gateway>,
    /// Whether nothing at all is configured.
    empty: AtomicBool,
}

impl Followers {
    /// They follow nothing yet.
    pub(super) fn new(
        local: Arc<LocalServers>,
        authenticator: Arc<Authenticator>,
        gateway: Arc<Gateway>,
    ) -> Self {
        Self { local, authenticator, gateway, empty: AtomicBool::new(true) }
    }
}

impl Live for Followers {
    fn put_in_force(&self, snapshot: &Arc<Snapshot>) {
        self.local.apply(&snapshot.resources().servers);
        self.authenticator.reload(snapshot.resources());
        self.gateway.publish(Arc::clone(snapshot));
        let empty = snapshot.resources().is_empty();
        // That the first state is empty is said at start.
        if empty && !self.empty.swap(empty, Ordering::Relaxed) {
            tracing::warn!("nothing is configured any more: every request is denied");
        }
        self.empty.store(empty, Ordering::Relaxed);
    }
}
