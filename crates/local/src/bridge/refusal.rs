//! Everything that a bridge answers by itself instead of the server, and the one place that turns it into a status, a
//! JSON-RPC code and a sentence.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use narrows_mcp::{
    envelope::{EnvelopeError, Id, error_bytes},
    headers::HeaderMismatch,
    json::{ScanError, write_string},
};

/// Why a request is not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No session is named, and the request needs one.
    SessionMissing,
    /// The session that is named is not here (any more).
    NoSession,
    /// The session has its GET stream already.
    AlreadyListening,
    /// `MCP-Protocol-Version` names a revision that this session does not speak.
    Version(String),
    /// Headers and body differ.
    Headers(HeaderMismatch),
    /// The body is not JSON.
    Json(ScanError),
    /// The body is no message.
    Envelope(EnvelopeError),
    /// A batch outside of 2025-03-26, or one that is empty or holds `initialize`.
    Batch,
    /// The HTTP request is not one of this transport.
    Http(StatusCode, &'static str),
    /// A queue is full, or there are too many of something.
    Busy(&'static str),
    /// The server can't be started, or not yet again.
    Unavailable {
        /// Why.
        reason: Arc<str>,
        /// When to try again.
        retry: Duration,
    },
    /// The server's process ended.
    Ended(Arc<str>),
    /// The server did not answer in time.
    Slow(&'static str),
}

impl Refusal {
    // JSON-RPC leaves -32768 to -32000 to itself, and MCP -32020 to -32099 within; ours stand outside (2026-07-28,
    // basic/index, "Error Codes").
    /// The server can't be started, or its process ended.
    pub(crate) const UNAVAILABLE: i64 = -31001;
    /// Too much at once.
    pub(crate) const BUSY: i64 = -31002;
    /// The server answered with what can't be read.
    pub(crate) const UNREADABLE: i64 = -31003;
    /// The server did not answer in time.
    pub(crate) const SLOW: i64 = -31004;
    /// There is no such session.
    pub(crate) const NO_SESSION: i64 = -31005;

    /// Its HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SessionMissing
            | Self::Version(_)
            | Self::Headers(_)
            | Self::Json(_)
            | Self::Envelope(_)
            | Self::Batch => StatusCode::BAD_REQUEST,
            Self::NoSession => StatusCode::NOT_FOUND,
            Self::AlreadyListening => StatusCode::CONFLICT,
            Self::Http(status, _) => *status,
            Self::Busy(_) | Self::Unavailable { .. } | Self::Ended(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// When the client may try again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(_) | Self::Ended(_) => Some(Duration::from_secs(1)),
            Self::Unavailable { retry, .. } => Some(*retry),
            Self::SessionMissing
            | Self::NoSession
            | Self::AlreadyListening
            | Self::Version(_)
            | Self::Headers(_)
            | Self::Json(_)
            | Self::Envelope(_)
            | Self::Batch
            | Self::Http(..)
            | Self::Slow(_) => None,
        }
    }

    /// The JSON-RPC error, in answer to `id`.
    pub(crate) fn body(&self, id: Option<&Id>) -> Vec<u8> {
        let error = |code, text: &str| error_bytes(id, code, text, None);
        match self {
            Self::SessionMissing => error(-32600, "header Mcp-Session-Id is missing"),
            Self::NoSession => error(Self::NO_SESSION, "there is no such session; initialize a new one"),
            Self::AlreadyListening => error(-32600, "the session has its GET stream already"),
            Self::Version(named) => {
                let cut: String = named.chars().take(32).collect();
                error(-32600, &format!("MCP-Protocol-Version `{cut}` is not spoken in this session"))
            }
            Self::Headers(mismatch) => error(mismatch.code(), &mismatch.to_string()),
            Self::Json(fault) => error(fault.code(), &fault.to_string()),
            Self::Envelope(fault) => fault.to_bytes(),
            Self::Batch => error(-32600, "a batch is not accepted here"),
            Self::Http(_, text) => error(-32600, text),
            Self::Busy(text) => error(Self::BUSY, text),
            Self::Unavailable { reason, .. } => {
                let mut data = String::from("{\"reason\":");
                write_string(&mut data, reason);
                data.push('}');
                error_bytes(id, Self::UNAVAILABLE, "the server can't be started", Some(&data))
            }
            Self::Ended(reason) => error(Self::UNAVAILABLE, reason),
            Self::Slow(text) => error(Self::SLOW, text),
        }
    }
}
