//! What passes between a bridge and its supervisor: one order on standard input, before anything that is meant for
//! the server, and reports on standard output, before anything that the server writes. An order travels by pipe
//! because arguments and environment can be read by every process of the account.

use std::{io, path::PathBuf, time::Duration};

use narrows_core::resource::FileAccess;
use serde::{Deserialize, Serialize};

/// Longest order in bytes. Arguments and environment of a process are bounded by the kernel well below.
const MAX_ORDER: usize = 4 * 1024 * 1024;

/// How a server is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The bridge's process id. When it is gone, the server is killed.
    pub(crate) bridge: u32,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// Bound on open file descriptors.
    pub(crate) open_files: Option<u32>,
    /// Which files it may touch.
    pub(crate) files: FileAccess,
    /// After its input is closed, until SIGTERM.
    pub(crate) close: Duration,
    /// After SIGTERM, until SIGKILL.
    pub(crate) terminate: Duration,
}

/// What a supervisor says before the server's own output begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Report {
    /// The walls are up and the server is about to start.
    Prepared {
        /// The kernel's Landlock ABI, where it has one.
        landlock: Option<u32>,
        /// What could not be enforced and was not asked for, for people.
        missing: Vec<String>,
    },
    /// The server was not started.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl Order {
    /// The order with its length before it.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let text = serde_json::to_vec(self)?;
        let mut out = format!("{}\n", text.len()).into_bytes();
        out.extend_from_slice(&text);
        Ok(out)
    }

    /// Reads an order and not one byte more: what follows is the server's. None when the input ends before it begins.
    pub(super) fn read(mut input: impl io::Read) -> io::Result<Option<Self>> {
        let mut length: usize = 0;
        let mut begun = false;
        loop {
            let mut byte = [0_u8];
            if input.read(&mut byte)? == 0 {
                return if begun { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
            begun = true;
            match byte {
                [b'\n'] => break,
                [digit @ b'0'..=b'9'] if length <= MAX_ORDER => {
                    length = length * 10 + usize::from(digit - b'0')
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        if length > MAX_ORDER {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut text = vec![0; length];
        input.read_exact(&mut text)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }
}
