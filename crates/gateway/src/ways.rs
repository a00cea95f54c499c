//! The ways to the servers. Each server has one place for its way, which is swapped whole: leading one server elsewhere costs
//! the others nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, Route},
};

use crate::upstream::{Reach, Upstream};

/// The way to one server.
pub(crate) struct Way {
    /// For what begins now.
    pub(crate) live: Arc<Upstream>,
    /// For sessions that began before, newest first.
    pub(crate) draining: Vec<Arc<Upstream>>,
}

/// Where a way is found, whichever it is at the moment.
pub(crate) type Place = Arc<ArcSwap<Way>>;

/// The places of all servers.
#[derive(Default)]
pub(crate) struct Ways {
    places: Mutex<HashMap<ServerId, Place>>,
}

impl Way {
    /// All that it leads to.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        std::iter::once(&self.live).chain(&self.draining)
    }

    /// Whether it still leads there.
    pub(crate) fn leads_to(&self, upstream: &Arc<Upstream>) -> bool {
        self.all().any(|other| Arc::ptr_eq(other, upstream))
    }

    /// There is none yet.
    fn nowhere(server: &ServerId, reach: &Reach) -> Self {
        Self { live: Arc::new(Upstream::nowhere(server, reach)), draining: Vec::new() }
    }

    /// A new way; what it has in common with the old one is kept, connections and all.
    fn along(server: &ServerId, route: &Route, old: &Self, reach: &Reach) -> Self {
        let known = |endpoint: &Endpoint| old.all().find(|upstream| upstream.is_at(endpoint)).cloned();
        let upstream = |endpoint: &Endpoint| {
            known(endpoint).or_else(|| match Upstream::new(server, endpoint, reach) {
                Ok(upstream) => Some(Arc::new(upstream)),
                Err(error) => {
                    tracing::error!(server = %server, %error, "the server's address can't be used");
                    None
                }
            })
        };
        let live = route.live.as_ref().and_then(upstream);
        Self {
            live: live.unwrap_or_else(|| Arc::new(Upstream::nowhere(server, reach))),
            draining: route.draining.iter().filter_map(upstream).collect(),
        }
    }
}

impl Ways {
    fn places(&self) -> MutexGuard<'_, HashMap<ServerId, Place>> {
        // A map is valid after every statement.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of these servers; those of others are forgotten if they lead nowhere.
    pub(crate) fn of<'a>(
        &self,
        servers: impl Iterator<Item = &'a ServerId>,
        reach: &Reach,
    ) -> HashMap<ServerId, Place> {
        let mut places = self.places();
        let wanted: HashMap<ServerId, Place> =
            servers.map(|server| (server.clone(), Arc::clone(place(&mut places, server, reach)))).collect();
        places.retain(|server, place| wanted.contains_key(server) || !place.load().live.is_nowhere());
        wanted
    }

    /// Leads requests to this server so from now on.
    pub(crate) fn lead(&self, server: &ServerId, route: &Route, reach: &Reach) {
        let mut places = self.places();
        let place = place(&mut places, server, reach);
        let way = Way::along(server, route, &place.load(), reach);
        place.store(Arc::new(way));
    }
}

fn place<'a>(places: &'a mut HashMap<ServerId, Place>, server: &ServerId, reach: &Reach) -> &'a Place {
    places
        .entry(server.clone())
        .or_insert_with(|| Arc::new(ArcSwap::from_pointee(Way::nowhere(server, reach))))
}
