//! How a server fares, in one word and a reason.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Check, Observed, Surface, Wanted};

/// How a server fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It is wanted, and nothing was done about it yet.
    Pending,
    /// It is being asked whether it answers MCP.
    Probing,
    /// What is wanted serves.
    Running,
    /// What is wanted serves, or should, and something is wrong with it.
    Degraded,
    /// What is wanted did not come up. What was there before serves, if there was something.
    Failed,
    /// It waits for somebody's approval.
    Held,
    /// It is wanted not to run.
    Stopped,
}

impl Phase {
    /// As it is written in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Probing => "Probing",
            Self::Running => "Running",
            Self::Degraded => "Degraded",
            Self::Failed => "Failed",
            Self::Held => "Held",
            Self::Stopped => "Stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a server fares, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerState {
    /// In a word.
    pub phase: Phase,
    /// Why, for people, where there is something to say.
    pub reason: Option<Arc<str>>,
    /// From when on it is tried again, where it failed.
    pub retry: Option<Timestamp>,
    /// The revision whose version is wanted.
    pub revision: u64,
    /// The revision whose version serves.
    pub serving: Option<u64>,
    /// How many processes are wanted.
    pub replicas: u32,
    /// What the version that serves said of itself.
    pub surface: Option<Arc<Surface>>,
}

/// How a server fares that is wanted.
pub fn state(wanted: &Wanted, observed: &Observed) -> ServerState {
    let Observed { live, candidate, failed, .. } = observed;
    let serving = live.as_ref().map(|live| live.instance.version.revision);
    let surface = live.as_ref().and_then(|live| live.surface.clone());
    let (phase, reason, retry) = if wanted.replicas == 0 {
        (Phase::Stopped, None, None)
    } else if let Some(failed) = failed {
        // Also while it is tried again: it comes up or it does not.
        (Phase::Failed, Some(Arc::clone(&failed.reason)), Some(failed.retry))
    } else if candidate.is_some() {
        (Phase::Probing, None, None)
    } else {
        match live {
            None => (Phase::Pending, None, None),
            Some(live) => match (&live.check, &live.trouble) {
                (Check::Failed { reason, retry }, _) => {
                    (Phase::Degraded, Some(Arc::clone(reason)), Some(*retry))
                }
                (Check::Asked { before: Some(reason) }, _) => {
                    (Phase::Degraded, Some(Arc::clone(reason)), None)
                }
                (_, Some(trouble)) => (Phase::Degraded, Some(Arc::clone(trouble)), None),
                (Check::Unasked | Check::Asked { before: None }, None) => (Phase::Probing, None, None),
                (Check::Answered(_), None) => (Phase::Running, None, None),
            },
        }
    };
    ServerState {
        phase,
        reason,
        retry,
        revision: wanted.version.revision,
        serving,
        replicas: wanted.replicas,
        surface,
    }
}
