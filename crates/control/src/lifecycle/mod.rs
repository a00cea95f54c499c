//! The life of the servers: follows what is wanted of them, has the steps carried out that lead there
//! ([`narrows_core::lifecycle`]), and says how they fare. Each change of that is recorded.
//!
//! One owner, behind a short queue. What runs processes, asks servers and leads requests to them are ports.

mod handle;
mod owner;
mod record;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use jiff::Timestamp;
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, InstanceId, Route, ServerState, Surface},
    ports::{AppendError, AuditLog, Deployments, StateError},
    resource::StdioServer,
};
use tokio::sync::watch;

pub use handle::{Servers, serve};
pub use owner::Lifecycle;

/// What runs servers here. Each call is done at once or behind, and doing it again changes nothing.
pub trait Orchestrator: Send + Sync + 'static {
    /// Has this instance run, with so many processes.
    fn start(&self, instance: &InstanceId, server: &StdioServer, replicas: u32);

    /// Has it run so many processes.
    fn resize(&self, instance: &InstanceId, replicas: u32);

    /// Has it end, and everything behind it.
    fn stop(&self, instance: &InstanceId);

    /// What is to be said against it, for people.
    fn trouble(&self, instance: &InstanceId) -> Option<Arc<str>>;

    /// Changes whenever something is to be said, or is no more.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What a server answered, or why it did not, for people.
pub type Probed = Pin<Box<dyn Future<Output = Result<Surface, String>> + Send>>;

/// What asks servers whether they answer MCP.
pub trait Prober: Send + Sync + 'static {
    /// Asks the one there: a handshake, and its tools. It bounds the time that this takes.
    fn probe(&self, endpoint: &Endpoint) -> Probed;
}

/// What leads requests to servers.
pub trait Routing: Send + Sync + 'static {
    /// Leads those to this server so from now on.
    fn lead(&self, server: &ServerId, route: Route);
}

/// What the life of servers stands on.
pub struct LifecycleParts {
    /// Where it is recorded.
    pub log: Arc<dyn AuditLog>,
    /// Where it is kept what serves.
    pub deployments: Arc<dyn Deployments>,
    /// What runs servers here.
    pub orchestrator: Arc<dyn Orchestrator>,
    /// What asks them.
    pub prober: Arc<dyn Prober>,
    /// What leads requests to them.
    pub routing: Arc<dyn Routing>,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// Random bytes for ids.
    pub random: fn() -> std::io::Result<[u8; 10]>,
}

/// How a server fares, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// How.
    pub state: ServerState,
    /// Since when it fares so.
    pub since: Timestamp,
    /// How often it was started anew since Narrows was.
    pub restarts: u64,
}

/// How all servers fare that are wanted.
pub type Statuses = BTreeMap<ServerId, ServerStatus>;

/// Why something was not done to a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is none of this name.
    #[error("there is no server `{0}`")]
    NoServer(ServerId),
    /// It is stopped, so there is nothing to start anew.
    #[error("server `{0}` is stopped")]
    Stopped(ServerId),
    /// No process of Narrows runs that runs servers.
    #[error("no `narrows up` runs")]
    NotRunning,
    /// That it is asked for can't be recorded.
    #[error("it can't be recorded")]
    Unrecorded(#[source] AppendError),
    /// What serves can't be read.
    #[error("it can't be read which versions of servers serve")]
    Unreadable(#[source] StateError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no {0}")]
    System(&'static str),
}
