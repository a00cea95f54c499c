//! `McpServer`: a server and how it is reached or run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ServerId;

/// One MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Namespace and name.
    pub id: ServerId,
    /// Labels, for people and selectors.
    pub labels: BTreeMap<String, String>,
    /// How it is reached.
    pub transport: Transport,
    /// How many processes share its sessions; none: it is stopped. More than one with shared sessions only.
    pub replicas: u32,
}

/// The most processes that share a server's sessions.
pub const MOST_REPLICAS: u32 = 64;

/// Why a server can't have so many processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReplicas {
    /// Each session has a process of its own.
    #[error("{0} makes no sense where each session has a process of its own")]
    Isolated(u32),
    /// It does not run here.
    #[error("{0} makes no sense for a server that is reached by its URL")]
    Remote(u32),
    /// There are too many.
    #[error("{0} is more than {MOST_REPLICAS}")]
    TooMany(u32),
}

impl InvalidReplicas {
    /// Whether a server that is run or reached so may have so many processes.
    ///
    /// # Errors
    /// It may not, and why.
    pub fn check(replicas: u32, transport: &Transport) -> Result<(), Self> {
        match transport {
            _ if replicas <= 1 => Ok(()),
            Transport::Http(_) => Err(Self::Remote(replicas)),
            Transport::Stdio(StdioServer { sessions: Sessions::Isolated, .. }) => {
                Err(Self::Isolated(replicas))
            }
            Transport::Stdio(_) if replicas > MOST_REPLICAS => Err(Self::TooMany(replicas)),
            Transport::Stdio(StdioServer { sessions: Sessions::Shared, .. }) => Ok(()),
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Isolated(_) => {
                "write `sessions: shared` if sessions may share processes; or 1, or 0 to stop the server"
            }
            Self::Remote(_) => "write 1, or 0 to lead nobody there",
            Self::TooMany(_) => "write fewer",
        }
    }
}

impl Server {
    /// The same with so many processes.
    ///
    /// # Errors
    /// [`InvalidReplicas`]
    pub fn scaled(&self, replicas: u32) -> Result<Self, InvalidReplicas> {
        InvalidReplicas::check(replicas, &self.transport)?;
        Ok(Self { replicas, ..self.clone() })
    }
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// A command that is run here and spoken to over its standard input and output.
    Stdio(StdioServer),
    /// A remote endpoint that speaks Streamable HTTP.
    Http(HttpServer),
}

/// A server that is run as a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StdioServer {
    /// Program and arguments; never empty. No shell is involved.
    pub command: Vec<String>,
    /// The whole environment besides what the orchestrator needs to set; names are unique.
    pub env: Vec<EnvVar>,
    /// Bounds on what it may use.
    pub limits: Limits,
    /// Whether clients share a process.
    pub sessions: Sessions,
    /// Which files it may touch.
    pub files: FileAccess,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// `[A-Za-z_][A-Za-z0-9_]*`; never one that changes what the dynamic loader loads.
    pub name: String,
    /// Without NUL.
    pub value: String,
}

/// Bounds on a process tree. None: no bound of this kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Open file descriptors of one process.
    pub open_files: Option<u32>,
}

/// Whether clients share a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// A process for each session.
    Isolated,
    /// One process for all sessions.
    Shared,
}

/// Which files a server's process may touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FileAccess {
    /// Whatever the account that runs it may touch.
    Unrestricted,
    /// Beneath these absolute paths, besides what programs need to start (the system's libraries and executables,
    /// read only) and its own working directory.
    Only {
        /// Read and execute.
        read: Vec<String>,
        /// Read, execute, write, create and remove.
        write: Vec<String>,
    },
}

/// A remote server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpServer {
    /// Absolute, `http` or `https`, with a host, without user information or fragment.
    pub url: String,
}
