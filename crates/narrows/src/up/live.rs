//! What makes a state the one that is followed: issuers are trusted or not, the snapshot is swapped, after which requests in
//! progress and open streams are judged again, and the servers that it wants are brought up, each in its own time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use narrows_control::{Live, lifecycle::Servers};
use narrows_core::policy::Snapshot;
use narrows_gateway::{Gateway, identity::Authenticator};

/// The parts that follow the state.
pub(super) struct Followers {
    servers: Servers,
    authenticator: Arc<Authenticator>,
    gateway: Arc<Gateway>,
    /// Whether nothing at all is configured.
    empty: AtomicBool,
}

impl Followers {
    /// They follow nothing yet.
    pub(super) fn new(servers: Servers, authenticator: Arc<Authenticator>, gateway: Arc<Gateway>) -> Self {
        Self { servers, authenticator, gateway, empty: AtomicBool::new(true) }
    }
}

impl Live for Followers {
    fn put_in_force(&self, snapshot: &Arc<Snapshot>) {
        self.authenticator.reload(snapshot.resources());
        self.gateway.publish(Arc::clone(snapshot));
        self.servers.want(snapshot);
        let empty = snapshot.resources().is_empty();
        // That the first state is empty is said at start.
        if empty && !self.empty.swap(empty, Ordering::Relaxed) {
            tracing::warn!("nothing is configured any more: every request is denied");
        }
        self.empty.store(empty, Ordering::Relaxed);
    }
}
