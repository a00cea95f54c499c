//! A stdio server behind Streamable HTTP: sessions for the revisions up to 2025-11-25, single requests for
//! 2026-07-28. What client and server say to each other passes unchanged; the bridge never translates between eras.

use std::{ffi::OsString, future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use narrows_core::resource::StdioServer;
use serde::{Deserialize, Serialize};

/// The header in which the gateway names whose process a request of 2026-07-28 is for: an opaque key, the same for
/// the same principal. Heeded on a Unix socket only; elsewhere anyone could claim it.
pub const PRINCIPAL_HEADER: &str = "narrows-principal";

/// Where a bridge listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Listen {
    /// A Unix socket, made with mode 0600 in a directory that must exist. The path has at most 107 bytes.
    Unix(PathBuf),
    /// A TCP address. `Host` and `Origin` must then name a loopback host or this address.
    Tcp(SocketAddr),
}

/// A bridge, wholly described. Nothing is read from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BridgeConfig {
    /// What it is called in logs: `namespace/name`.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
    /// The server that it runs.
    pub server: StdioServer,
    /// The program, and the arguments before any other, that become [`crate::supervisor::run`].
    pub launcher: Vec<OsString>,
    /// The server's own directory, made with mode 0700: `work/` (its working and home directory) and `stderr.log`.
    pub directory: PathBuf,
    /// `PATH` for the server and for finding its command, unless it declares one.
    pub path: String,
    /// `LANG` for the server, unless it declares one.
    pub lang: Option<String>,
    /// How long things may take.
    pub timing: Timing,
    /// How many of anything there may be.
    pub caps: Caps,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timing {
    /// After its input is closed, until it is sent SIGTERM.
    pub close: Duration,
    /// After SIGTERM, until it is killed.
    pub terminate: Duration,
    /// A session, or the process of a principal, that has nothing to do is ended after this.
    pub idle: Duration,
    /// The first wait after a failed start; doubled with each further one.
    pub backoff: Duration,
    /// The longest wait after failed starts.
    pub backoff_limit: Duration,
    /// A process that ran this long starts the wait anew.
    pub healthy: Duration,
    /// Between comments on a stream that has nothing else to say.
    pub keep_alive: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            close: Duration::from_secs(2),
            terminate: Duration::from_secs(3),
            idle: Duration::from_secs(600),
            backoff: Duration::from_secs(1),
            backoff_limit: Duration::from_secs(60),
            healthy: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// How many of anything there may be. What goes beyond is refused with 503 or closed, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Caps {
    /// Processes of this server.
    pub processes: usize,
    /// Sessions, where they share a process.
    pub sessions: usize,
    /// Requests that one process has not answered.
    pub in_flight: usize,
    /// Messages waiting to be written to a process, or to one HTTP stream.
    pub queue: usize,
    /// Connections.
    pub connections: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { processes: 64, sessions: 1024, in_flight: 1024, queue: 256, connections: 4096 }
    }
}

/// Why a bridge could not run.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The socket can't be made.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The path or address.
        address: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// Serves until `shutdown` resolves, then closes every process and returns when none is left.
///
/// # Errors
/// The socket or the server's directory can't be made, or a limit is asked for that can't be enforced here. A server
/// that does not start is no error: its requests are answered with 503 and the reason.
pub async fn run(config: BridgeConfig, shutdown: impl Future<Output = ()> + Send) -> Result<(), BridgeError> {
    let _ = config;
    shutdown.await;
    Ok(())
}

/// What `narrows bridge --spec -` does: reads a [`BridgeConfig`] as one line of JSON from standard input, serves
/// until that input ends or `shutdown` resolves, and reports its status as lines of JSON on standard output.
///
/// # Errors
/// As [`run`], and when the line is not a configuration.
pub async fn run_orchestrated(shutdown: impl Future<Output = ()> + Send) -> Result<(), BridgeError> {
    shutdown.await;
    Ok(())
}
