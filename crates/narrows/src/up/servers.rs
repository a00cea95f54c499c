//! The life of the servers, on what it stands on here: processes behind bridges, and the gateway, which asks them and leads
//! requests to them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use narrows_control::lifecycle::{
    self, Lifecycle, LifecycleParts, Orchestrator, Probed, Prober, Routing, Servers,
};
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, InstanceId, Phase, Route, ServerState},
    ports::{AuditLog, Deployments, ServerHealth},
    problem::with_sources,
    resource::StdioServer,
};
use narrows_gateway::{Gateway, probe::ProbeFailure};
use narrows_local::LocalServers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, keys};

/// How long a bridge may take to listen.
const LISTENING: Duration = Duration::from_secs(30);
/// How long a bridge may take to tell what it has refused a request for.
const TELLING: Duration = Duration::from_secs(1);

/// What is known of servers, for the gateway.
pub(super) struct Health {
    local: Arc<LocalServers>,
    /// Set once the lives of servers have begun, which need the gateway.
    servers: OnceLock<Servers>,
}

impl Health {
    pub(super) fn new(local: Arc<LocalServers>) -> Self {
        Self { local, servers: OnceLock::new() }
    }
}

impl ServerHealth for Health {
    fn unavailable(&self, server: &ServerId, endpoint: Option<&Endpoint>) -> Option<String> {
        match endpoint {
            Some(Endpoint::Local(instance)) => self.local.unavailable(instance),
            Some(Endpoint::Remote(_)) => None,
            None => {
                let state = self.servers.get()?.status(server)?.state;
                // Why it did not is for those who run it.
                let said = match state.phase {
                    Phase::Stopped => "it is stopped",
                    Phase::Held => "it waits for approval",
                    Phase::Failed => "it did not come up",
                    Phase::Pending | Phase::Probing | Phase::Running | Phase::Degraded => "it is coming up",
                };
                Some(said.to_owned())
            }
        }
    }
}

/// Begins the lives of the servers: the way to them, and what is to be run until told to end.
pub(super) fn begin(
    log: Arc<dyn AuditLog>,
    deployments: Arc<dyn Deployments>,
    local: Arc<LocalServers>,
    gateway: Arc<Gateway>,
    health: &Health,
    end: CancellationToken,
) -> Result<(Servers, impl Future<Output = ()> + Send + 'static), Failure> {
    let lifecycle = Lifecycle::load(LifecycleParts {
        log,
        deployments,
        orchestrator: Arc::new(Processes(Arc::clone(&local))),
        prober: Arc::new(Asks { local, gateway: Arc::clone(&gateway) }),
        routing: Arc::new(Leads(gateway)),
        clock: Timestamp::now,
        random: || keys::random().map_err(|_| std::io::Error::other("no random bytes")),
    });
    let lifecycle = lifecycle.map_err(|error| Failure::from_error(&error))?;
    let (servers, run) = lifecycle::serve(lifecycle, end);
    // It was not set before: there is one system for each `Health`.
    let _ = health.servers.set(servers.clone());
    Ok((servers, run))
}

/// Whether it serves or it is known why not. What served before the process ended serves again once it has answered: its
/// processes are new, and those that are let in before would find nobody there.
fn is_settled(state: &ServerState) -> bool {
    match state.phase {
        Phase::Pending | Phase::Probing => state.surface.is_some(),
        Phase::Failed => state.serving.is_none() || state.surface.is_some(),
        Phase::Running | Phase::Degraded | Phase::Held | Phase::Stopped => true,
    }
}

/// Resolves when each server serves or it is known why not, or after `within`.
pub(super) async fn settled(servers: &Servers, wanted: usize, within: Duration) {
    let mut changes = servers.changes();
    let all = async {
        loop {
            changes.mark_unchanged();
            let statuses = servers.statuses(|_| true);
            let settled = statuses.values().filter(|status| is_settled(&status.state));
            if settled.count() >= wanted || changes.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(within, all).await;
}

struct Processes(Arc<LocalServers>);

impl Orchestrator for Processes {
    fn start(&self, instance: &InstanceId, server: &StdioServer, replicas: u32) {
        self.0.start(instance, server, replicas);
    }

    fn resize(&self, instance: &InstanceId, replicas: u32) {
        self.0.resize(instance, replicas);
    }

    fn stop(&self, instance: &InstanceId) {
        self.0.stop(instance);
    }

    fn trouble(&self, instance: &InstanceId) -> Option<Arc<str>> {
        match self.0.status(instance)? {
            narrows_local::ServerStatus::Starting | narrows_local::ServerStatus::Ready => None,
            narrows_local::ServerStatus::Failed { reason, .. } => Some(in_a_line(&reason).into()),
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }
}

struct Asks {
    local: Arc<LocalServers>,
    gateway: Arc<Gateway>,
}

impl Prober for Asks {
    fn probe(&self, endpoint: &Endpoint) -> Probed {
        let (local, gateway, endpoint) =
            (Arc::clone(&self.local), Arc::clone(&self.gateway), endpoint.clone());
        Box::pin(async move {
            match &endpoint {
                Endpoint::Local(instance) => {
                    let started = tokio::time::timeout(LISTENING, local.started(instance)).await;
                    let started = started.unwrap_or_else(|_| Err("its bridge does not listen".to_owned()));
                    started.map_err(|reason| in_a_line(&reason))?;
                }
                Endpoint::Remote(_) => {}
            }
            let failure = match gateway.probe(&endpoint).await {
                Ok(surface) => return Ok(surface),
                Err(failure) => failure,
            };
            let known = match (&failure, &endpoint) {
                // The bridge knows more than it tells whoever asks.
                (ProbeFailure::Unavailable(_), Endpoint::Local(instance)) => {
                    local.failure(instance, TELLING).await
                }
                (_, _) => None,
            };
            Err(in_a_line(&known.unwrap_or_else(|| with_sources(&failure))))
        })
    }
}

/// A reason with its hint, in one line.
fn in_a_line(reason: &str) -> String {
    reason.replace("\nhint: ", "; ").replace('\n', "; ")
}

struct Leads(Arc<Gateway>);

impl Routing for Leads {
    fn lead(&self, server: &ServerId, route: Route) {
        self.0.lead(server, &route);
    }
}
