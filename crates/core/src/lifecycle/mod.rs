//! The life of one server's deployment: what is wanted, what runs, and the steps from one to the other. Pure: time is an
//! argument, and whoever carries out the steps says what came of them. A deployment goes live only after its server has
//! answered MCP; until then, what was live before goes on. Nothing here decides who may use a server.

mod plan;
mod state;
mod version;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

pub use plan::{Step, plan};
pub use state::{Phase, ServerState, state};
pub use version::{InstanceId, Version};

use crate::resource::Server;

/// How long what was replaced goes on serving the sessions that it has.
pub const DRAIN: Duration = Duration::from_secs(60);
/// The wait after a deployment that failed; doubled with each further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const BACKOFF_LIMIT: Duration = Duration::from_secs(300);

/// Where requests to a server go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// To a bridge that runs here.
    Local(InstanceId),
    /// To an absolute `http` or `https` URL.
    Remote(Arc<str>),
}

/// The ways to one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// For what begins now; none while no version of it has answered yet.
    pub live: Option<Endpoint>,
    /// For sessions that began before, newest first.
    pub draining: Vec<Endpoint>,
}

/// What should run of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is.
    pub version: Arc<Version>,
    /// How many processes; none: it is stopped.
    pub replicas: u32,
    /// How often it was asked to be started anew.
    pub restarts: u64,
}

/// What a server said of itself when it was asked last.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Surface {
    /// The revision of MCP that it speaks.
    pub revision: String,
    /// Its name and version, as it calls itself.
    pub server: String,
    /// Its tools, by name.
    pub tools: Vec<String>,
}

/// What runs of one server, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// What serves.
    pub live: Option<Live>,
    /// What is to take its place.
    pub candidate: Option<Candidate>,
    /// What was replaced and still has sessions, newest first.
    pub draining: Vec<Draining>,
    /// Attempts that failed since the last that did not, and the last one's reason.
    pub failed: Option<Failed>,
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which instance.
    pub instance: Instance,
    /// As [`Wanted::restarts`] when it was started.
    pub restarts: u64,
    /// How many processes it has been told to have.
    pub replicas: u32,
    /// Whether it answers.
    pub check: Check,
    /// How often in a row it did not.
    pub misses: u32,
    /// What it said when it answered last.
    pub surface: Option<Arc<Surface>>,
    /// What the processes behind it say against it.
    pub trouble: Option<Arc<str>>,
}

/// What is to take the place of what serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which instance.
    pub instance: Instance,
    /// As [`Wanted::restarts`] when it was started.
    pub restarts: u64,
    /// How many processes it has been told to have.
    pub replicas: u32,
    /// Whether it answers.
    pub check: Check,
}

/// What was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draining {
    /// Which instance.
    pub instance: Instance,
    /// When it ends.
    pub until: Timestamp,
}

/// Whether an instance answers MCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nobody has asked it yet.
    Unasked,
    /// It is being asked.
    Asked {
        /// Why it did not when it was asked before; none if it did, or was not.
        before: Option<Arc<str>>,
    },
    /// It did.
    Answered(Arc<Surface>),
    /// It did not.
    Failed {
        /// Why, for people.
        reason: Arc<str>,
        /// From when on it is asked again.
        retry: Timestamp,
    },
}

impl Check {
    fn is_asked(&self) -> bool {
        match self {
            Self::Asked { .. } => true,
            Self::Unasked | Self::Answered(_) | Self::Failed { .. } => false,
        }
    }
}

/// One version of a server that runs, or is reached somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What it is.
    pub version: Arc<Version>,
    /// Tells it from others of the same version that run at the same time.
    pub turn: u16,
}

/// Attempts that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was tried.
    pub version: Arc<Version>,
    /// As [`Wanted::restarts`] when it was tried.
    pub restarts: u64,
    /// How often in a row.
    pub times: u32,
    /// Why the last one did.
    pub reason: Arc<str>,
    /// From when on it is tried again.
    pub retry: Timestamp,
}

impl Wanted {
    /// What a revision wants of a server, given what was wanted before: a version that stays as it was is the same one.
    pub fn next(server: &Server, revision: u64, before: Option<&Self>) -> Self {
        let version = Version::of(server, revision);
        let version = match before.map(|before| &before.version).filter(|before| before.is_like(&version)) {
            Some(same) => Arc::clone(same),
            None => Arc::new(version),
        };
        Self { version, replicas: server.replicas, restarts: before.map_or(0, |before| before.restarts) }
    }
}

impl Instance {
    /// Where requests to it go.
    pub fn endpoint(&self) -> Endpoint {
        self.version.endpoint(self.turn)
    }
}

impl Observed {
    /// What served when the process ended, as far as was kept: it serves again, and is asked whether it answers.
    pub fn resumed(version: Arc<Version>, replicas: u32) -> Self {
        let live = Live {
            instance: Instance { version, turn: 0 },
            restarts: 0,
            replicas,
            check: Check::Unasked,
            misses: 0,
            surface: None,
            trouble: None,
        };
        Self { live: Some(live), ..Self::default() }
    }

    /// The ways to it.
    pub fn route(&self) -> Route {
        Route {
            live: self.live.as_ref().map(|live| live.instance.endpoint()),
            draining: self.draining.iter().map(|draining| draining.instance.endpoint()).collect(),
        }
    }

    /// When something is to be done though nothing else happens.
    pub fn wake(&self) -> Option<Timestamp> {
        let drained = self.draining.iter().map(|draining| draining.until);
        // While it is tried again, the time for that has come and gone.
        let waits = self.failed.iter().filter(|_| self.candidate.is_none());
        let again = waits.map(|failed| failed.retry);
        let asked = self.live.iter().filter_map(|live| match &live.check {
            Check::Failed { retry, .. } => Some(*retry),
            Check::Unasked | Check::Asked { .. } | Check::Answered(_) => None,
        });
        drained.chain(again).chain(asked).min()
    }

    /// What came of asking an instance. An answer that nobody waits for any more changes nothing.
    pub fn answered(&mut self, endpoint: &Endpoint, answer: Result<Arc<Surface>, Arc<str>>, now: Timestamp) {
        if let Some(candidate) = &mut self.candidate
            && candidate.check.is_asked()
            && candidate.instance.endpoint() == *endpoint
        {
            candidate.check = match answer {
                Ok(surface) => Check::Answered(surface),
                Err(reason) => Check::Failed { reason, retry: now },
            };
        } else if let Some(live) = &mut self.live
            && live.check.is_asked()
            && live.instance.endpoint() == *endpoint
        {
            live.check = match answer {
                Ok(surface) => {
                    live.misses = 0;
                    live.surface = Some(Arc::clone(&surface));
                    Check::Answered(surface)
                }
                Err(reason) => {
                    live.misses = live.misses.saturating_add(1);
                    Check::Failed { reason, retry: after(now, backoff(live.misses)) }
                }
            };
        }
    }

    /// What the processes behind an instance say against it, or that they say nothing any more.
    pub fn troubled(&mut self, endpoint: &Endpoint, trouble: Option<Arc<str>>) {
        if let Some(live) = &mut self.live
            && live.instance.endpoint() == *endpoint
        {
            live.trouble = trouble;
        }
    }

    /// Every instance, whatever it is there for.
    fn instances(&self) -> impl Iterator<Item = &Instance> {
        let live = self.live.iter().map(|live| &live.instance);
        let candidate = self.candidate.iter().map(|candidate| &candidate.instance);
        live.chain(candidate).chain(self.draining.iter().map(|draining| &draining.instance))
    }
}

/// How long to wait after so many failures in a row.
fn backoff(times: u32) -> Duration {
    let doubled = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    BACKOFF.saturating_mul(doubled).min(BACKOFF_LIMIT)
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
