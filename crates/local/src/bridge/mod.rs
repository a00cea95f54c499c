//! A stdio server behind Streamable HTTP: sessions for the revisions up to 2025-11-25, single requests for
//! 2026-07-28. What client and server say to each other passes unchanged; the bridge never translates between eras.
//!
//! # Whose process
//! *Isolated*: one for each session; for requests without session one for each principal (the header
//! [`PRINCIPAL_HEADER`]), ended when idle. *Shared*: one for all sessions and one for all requests without, since a
//! server speaks one era to one process. A shared process is initialized once, by the bridge, in the revision that the
//! first client asked for and without client capabilities; its answer is given to every later session. What it asks of
//! clients is refused (-32601; `ping` is answered), its log messages are passed on only while one client alone has
//! requests in flight, its changes of lists go to every session, and updates of resources to those who subscribed.
//!
//! # Where a message of the server's goes
//! Progress and cancellations to the request or question that they name. Requests and other notifications to the
//! newest request in flight of the session, else to its GET stream, where they wait (a bounded number) until it is
//! open. Changes of lists and resources to the GET stream if it is open, else as before. In 2026-07-28, subscription
//! messages to the listening request whose id they carry, and log messages to the newest request that asked for them.
//! Never to two streams.
//!
//! # What the bridge answers itself
//! Codes -31001 (the process can't be started or has ended; HTTP 503), -31002 (too much at once; 503), -31003 (the
//! server's answer is not strict JSON-RPC), -31004 (no answer to `initialize`; 504), -31005 (no such session; 404), and
//! what the transport prescribes for requests that are none. A line of the server's that is no message is logged and
//! dropped; one of more than 16 MiB ends the process.

mod annotated;
mod answer;
mod backoff;
mod board;
mod counts;
mod endpoint;
mod exchange;
pub(crate) mod health;
mod host;
mod launch;
mod lines;
mod listener;
pub(crate) mod log;
mod outbox;
mod pool;
mod process;
mod refusal;
mod sessions;
mod watch;

use std::{
    ffi::OsString, future::Future, net::SocketAddr, os::fd::AsFd, path::PathBuf, sync::Arc, time::Duration,
};

use narrows_core::{problem::with_sources, resource::StdioServer};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch as latest,
    task::JoinSet,
};

use self::{health::Health, host::Host, listener::Listener};
pub(crate) use backoff::Backoff;
pub(crate) use launch::private_directory;
pub(crate) use lines::{Line, Lines};
pub use listener::LONGEST_SOCKET_PATH;

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
    /// How many processes share the sessions, where they are shared. Each is started when it is first needed.
    pub replicas: u32,
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
    /// How long a process goes on that there is to be no more, for those that are with it.
    pub drain: Duration,
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
            drain: Duration::from_secs(60),
            healthy: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// How many of anything there may be. What goes beyond is refused with 503, or closed and counted.
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
    /// The socket's path is too long for the kernel.
    #[error(
        "cannot listen on `{0}`: a socket's path has at most 107 bytes\nhint: use a directory with a shorter path"
    )]
    PathTooLong(PathBuf),
    /// The server's directory or log can't be made.
    #[error("cannot use the server's directory `{path}`")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Something is asked for that can't be enforced on this machine.
    #[error("{0}")]
    Unenforceable(String),
    /// Standard input did not hold a configuration.
    #[error("standard input does not hold a bridge's configuration")]
    Spec(#[source] std::io::Error),
}

/// Serves until `shutdown` resolves, then closes every process and returns when none is left.
///
/// # Errors
/// The socket or the server's directory can't be made, or something is asked for that can't be enforced here. A server
/// that does not start is no error: its requests are answered with 503 and the reason.
pub async fn run(config: BridgeConfig, shutdown: impl Future<Output = ()> + Send) -> Result<(), BridgeError> {
    let (health, _) = latest::channel(Health::Ready);
    let (_replicas, replicas) = latest::channel(config.replicas);
    serve(config, health, replicas, shutdown).await
}

/// What `narrows bridge --spec -` does: reads a [`BridgeConfig`] as one line of JSON from standard input, serves
/// until that input, which must be a pipe, ends or `shutdown` resolves, and reports its health as lines of JSON on
/// standard output.
///
/// # Errors
/// As [`run`], and when the line is not a configuration.
pub async fn run_orchestrated(shutdown: impl Future<Output = ()> + Send) -> Result<(), BridgeError> {
    // Not tokio's standard input: a thread that waits in a read can't be stopped, and would hold up the end.
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(BridgeError::Spec)?;
    let stdin = tokio::net::unix::pipe::Receiver::from_owned_fd(stdin).map_err(BridgeError::Spec)?;
    orchestrated(stdin, tokio::io::stdout(), shutdown).await
}

async fn orchestrated(
    input: impl AsyncRead + Unpin + Send,
    output: impl AsyncWrite + Unpin + Send + 'static,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BridgeError> {
    const MOST: usize = 8 * 1024 * 1024;
    let mut input = Lines::new(input, MOST);
    let config: BridgeConfig = match input.next().await.map_err(BridgeError::Spec)? {
        Some(Line::Whole(line)) => {
            serde_json::from_slice(&line).map_err(|error| BridgeError::Spec(error.into()))?
        }
        Some(Line::TooLong(_)) | None => {
            return Err(BridgeError::Spec(std::io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let (health, told) = latest::channel(Health::Ready);
    let refused = health.clone();
    let (resize, replicas) = latest::channel(config.replicas);
    let mut tasks = JoinSet::new();
    tasks.spawn(tell(told, output));
    let ended = async {
        // Whatever else comes is no order of ours; the end of it is.
        while let Ok(Some(line)) = input.next().await {
            if let Line::Whole(line) = line
                && let Ok(Order::Replicas(replicas)) = serde_json::from_slice(&line)
            {
                resize.send_replace(replicas);
            }
        }
    };
    let result = serve(config, health, replicas, async {
        tokio::select! {
            () = ended => {}
            () = shutdown => {}
        }
    })
    .await;
    if let Err(error) = &result {
        refused.send_replace(Health::Refused { reason: with_sources(error) });
    }
    // When nobody can change it any more, the last word is written and the task ends.
    drop(refused);
    while tasks.join_next().await.is_some() {}
    result
}

/// What the orchestrator says to a bridge that runs, a line of JSON each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Order {
    /// So many processes share the sessions from now on.
    Replicas(u32),
}

/// Writes each change, until there can be none.
async fn tell(mut told: latest::Receiver<Health>, mut output: impl AsyncWrite + Unpin) {
    // The first is told when the bridge listens.
    while told.changed().await.is_ok() {
        let now = told.borrow_and_update().clone();
        let Ok(mut line) = serde_json::to_vec(&now) else { return };
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

async fn serve(
    mut config: BridgeConfig,
    health: latest::Sender<Health>,
    replicas: latest::Receiver<u32>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BridgeError> {
    if let Some(refusal) = crate::supervisor::capabilities().refusal(&config.server) {
        return Err(BridgeError::Unenforceable(refusal));
    }
    // The server's working directory is another than ours.
    config.directory = std::path::absolute(&config.directory)
        .map_err(|source| BridgeError::Directory { path: config.directory.clone(), source })?;
    let directory = |source| BridgeError::Directory { path: config.directory.clone(), source };
    private_directory(&config.directory).map_err(directory)?;
    let (log, writer) = log::open(&config.directory).map_err(directory)?;
    let listener = Listener::bind(&config.listen).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(move || writer.run());

    let host = Host::new(config, log, health, replicas);
    tasks.spawn(watch::watch(Arc::clone(&host)));
    tasks.spawn(sweep(Arc::clone(&host)));
    host.tell_listening();
    listener.serve(&host, shutdown).await;
    host.close().await;
    // The log is written to its end: the last of its senders goes with the host.
    drop(host);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Ends what nobody uses, once a second or, with a short patience, more often.
async fn sweep(host: Arc<Host>) {
    let between = (host.config.timing.idle / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        tokio::select! {
            () = host.closing.cancelled() => return,
            () = tokio::time::sleep(between) => host.sweep(std::time::Instant::now()),
        }
    }
}
