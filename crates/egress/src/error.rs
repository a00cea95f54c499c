//! What can go wrong on the way out, and whether the request may have arrived.

use std::{io, net::IpAddr, time::Duration};

use crate::{address::AddressRefusal, target::TargetError};

/// Why a request was not sent or its response not received. Nothing of the request is in it.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The target can't be used at all: a fault of the configuration.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The policy does not admit an address of the target.
    #[error("`{host}` leads to {address}: {refusal}")]
    Refused {
        /// The host of the target.
        host: Box<str>,
        /// The address it has.
        address: IpAddr,
        /// Why not.
        refusal: AddressRefusal,
    },
    /// The name has no address.
    #[error("`{host}` has no address")]
    Resolve {
        /// The host of the target.
        host: Box<str>,
        /// What the resolver said; none if it said nothing and gave no address.
        source: Option<io::Error>,
    },
    /// No address accepted a connection.
    #[error("can't connect to `{host}`")]
    Connect {
        /// The host of the target.
        host: Box<str>,
        /// What the last address said.
        source: io::Error,
    },
    /// No connection within the time.
    #[error("can't connect to `{host}` within {} ms", within.as_millis())]
    ConnectTimeout {
        /// The host of the target.
        host: Box<str>,
        /// The connect timeout.
        within: Duration,
    },
    /// All connections are in use and the queue for them is full. Try again shortly.
    #[error("all connections are in use and {waiting} requests wait for one")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// The connection broke, or the peer broke HTTP, after the request may have arrived. It must not be sent again
    /// without asking.
    #[error("the exchange broke off")]
    Interrupted {
        /// What the HTTP layer said.
        source: hyper::Error,
    },
    /// The same for a request that has a connection of its own.
    #[error("the stream broke off")]
    Broken {
        /// What is wrong with it.
        source: io::Error,
    },
    /// The peer asked to switch to another protocol.
    #[error("the server switched protocols without being asked")]
    Switched,
}

impl EgressError {
    /// Whether nothing of the request was sent, because there was no connection to send it on.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Target(_)
            | Self::Refused { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Busy { .. }
            | Self::Closed => true,
            Self::Interrupted { .. } | Self::Broken { .. } | Self::Switched => false,
        }
    }

    /// Whether time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::ConnectTimeout { .. })
    }
}
