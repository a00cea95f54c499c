//! What runs of a server: its declaration without the number of processes, and the name of one that runs.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Endpoint;
use crate::{
    ids::ServerId,
    resource::{Server, Transport},
};

/// A server as it was declared in one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Version {
    /// Which server.
    pub server: ServerId,
    /// How it is reached or run.
    pub transport: Transport,
    /// The revision from which on it was wanted so.
    pub revision: u64,
}

/// A version that runs here: the same for the same declaration, so that what was bound to it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// Which server.
    pub server: ServerId,
    digest: [u8; 8],
    turn: u16,
}

impl Version {
    /// What a revision wants of a server.
    pub fn of(server: &Server, revision: u64) -> Self {
        Self { server: server.id.clone(), transport: server.transport.clone(), revision }
    }

    /// Whether both are run or reached in the same way.
    pub fn is_like(&self, other: &Self) -> bool {
        self.server == other.server && self.transport == other.transport
    }

    pub(super) fn endpoint(&self, turn: u16) -> Endpoint {
        match &self.transport {
            Transport::Http(http) => Endpoint::Remote(http.url.as_str().into()),
            Transport::Stdio(_) => {
                Endpoint::Local(InstanceId { server: self.server.clone(), digest: self.digest(), turn })
            }
        }
    }

    /// The first bytes of the SHA-256 of how it is run.
    fn digest(&self) -> [u8; 8] {
        // Nothing in a transport can't be written.
        let text = serde_json::to_vec(&self.transport).unwrap_or_default();
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(Sha256::digest(text)) {
            *to = from;
        }
        short
    }
}

impl InstanceId {
    /// A short text that no other instance of the server has.
    pub fn tag(&self) -> String {
        let mut tag: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.turn > 0 {
            tag.push_str(&format!("-{}", self.turn));
        }
        tag
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.server, self.tag())
    }
}

impl Endpoint {
    /// Where a server is reached if it is taken at its word, without being asked first: for what has no life of its own.
    pub fn declared(server: &Server) -> Self {
        Version::of(server, 0).endpoint(0)
    }
}

impl super::Route {
    /// The way to a server that is taken at its word.
    pub fn declared(server: &Server) -> Self {
        Self { live: Some(Endpoint::declared(server)), draining: Vec::new() }
    }
}
