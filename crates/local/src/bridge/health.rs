//! What a bridge knows of how its server fares, for whoever runs the bridge.

use serde::{Deserialize, Serialize};

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Health {
    /// The bridge listens, and nothing is known against the server.
    Ready,
    /// The server could not be started, or ended by itself, and is not tried again before the wait is over.
    Failed {
        /// Why.
        reason: String,
        /// Milliseconds from now until it is tried again.
        wait_ms: u64,
    },
    /// The bridge itself can't run.
    Refused {
        /// Why.
        reason: String,
    },
}
