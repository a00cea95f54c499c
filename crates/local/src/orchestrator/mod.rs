//! Keeps one bridge process running for each server that is wanted, and none for any other.

use std::path::PathBuf;

use narrows_core::{ids::ServerId, ports::ServerHealth, resource::Server};

/// What the orchestrator needs to know.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Our own binary: run as `EXECUTABLE bridge --name NS/NAME --spec -`, and by the bridge as
    /// `EXECUTABLE bridge-supervise`.
    pub executable: PathBuf,
    /// Where the sockets are made, mode 0700. Kept short: a socket's path has at most 107 bytes.
    pub run_dir: PathBuf,
    /// Each server has `<servers_dir>/<namespace>/<name>`, mode 0700, for its log and working directory.
    pub servers_dir: PathBuf,
    /// `PATH` for servers that declare none.
    pub path: String,
    /// `LANG` for servers that declare none.
    pub lang: Option<String>,
}

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStatus {
    /// Its bridge has not said yet that it listens.
    Starting,
    /// Its bridge listens, and the last process that was started lived.
    Ready,
    /// It can't be reached.
    Failed {
        /// Why, for people.
        reason: String,
        /// Since when.
        since: jiff::Timestamp,
    },
}

/// Why the orchestrator can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A directory can't be made or is not ours alone.
    #[error("cannot use the directory `{path}`")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Socket paths in this directory would be too long.
    #[error(
        "the directory `{path}` is too long for sockets: a socket's path has at most 107 bytes\nhint: use a data directory with a shorter path"
    )]
    PathTooLong {
        /// The directory.
        path: PathBuf,
    },
}

/// The servers of this machine.
pub struct LocalServers {
    config: LocalConfig,
}

impl LocalServers {
    /// Makes the directories and starts nothing yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A directory can't be used, or is too long for sockets.
    pub fn new(config: LocalConfig) -> Result<Self, LocalError> {
        Ok(Self { config })
    }

    /// Makes the running bridges those of the stdio servers among `servers`: starts, replaces what changed, ends what
    /// is gone. Returns at once; the work goes on behind.
    pub fn apply(&self, servers: &[Server]) {
        let _ = servers;
    }

    /// The socket of a server's bridge, whether or not it runs.
    pub fn socket(&self, id: &ServerId) -> PathBuf {
        self.config.run_dir.join(id.to_string())
    }

    /// The file that holds what a server's processes wrote to standard error; before it, the same with `.1`.
    pub fn logs(&self, id: &ServerId) -> PathBuf {
        self.config.servers_dir.join(id.namespace.as_str()).join(id.name.as_str()).join("stderr.log")
    }

    /// How a server fares; none if it is not wanted.
    pub fn status(&self, id: &ServerId) -> Option<ServerStatus> {
        let _ = id;
        None
    }

    /// Ends every bridge and its processes, at most within a deadline of ten seconds, and returns when none is left.
    pub async fn shutdown(&self) {}
}

impl ServerHealth for LocalServers {
    fn unavailable(&self, server: &ServerId) -> Option<String> {
        let _ = server;
        None
    }
}
