//! Session ids as the client sees them: sealed handles, good for one principal on one endpoint until they expire.
//! The gateway keeps no list of sessions; all that it needs to go on is in the handle.

use aws_lc_rs::digest;
use http::{HeaderName, HeaderValue};
use narrows_core::ids::ServerId;
use narrows_mcp::{
    handle::{HandleKeys, SessionHandle},
    revision::Revision,
};

use crate::{clock::push_hex, identity::Identity};

/// The session's header, both ways.
pub(crate) const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// The revision's header, both ways.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What every handle of a caller on an endpoint is bound to.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    subject: [u8; 16],
    endpoint: String,
    /// Where the endpoint leads: a handle of the server that was there before is not one of this.
    target: [u8; 8],
    /// The server's own session id; empty where there is no session.
    session: String,
}

/// A session that a client proved to hold.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The server's own session id.
    pub(crate) upstream: String,
    /// What was negotiated in `initialize`.
    pub(crate) revision: Revision,
    /// A digest of the handle for the record.
    pub(crate) tag: String,
}

impl Binding {
    pub(crate) fn new(identity: &Identity, server: &ServerId, target: [u8; 8]) -> Self {
        Self {
            subject: identity.subject_digest,
            endpoint: server.to_string(),
            target,
            session: String::new(),
        }
    }

    pub(crate) fn with_session(mut self, session: &Session) -> Self {
        session.upstream.clone_into(&mut self.session);
        self
    }

    /// The parts, for sealing.
    pub(crate) fn parts(&self) -> [&[u8]; 4] {
        [&self.subject, self.endpoint.as_bytes(), &self.target, self.session.as_bytes()]
    }

    /// The parts without the session: for the session's own handle, and for what is good in any session.
    pub(crate) fn outside(&self) -> [&[u8]; 4] {
        [&self.subject, self.endpoint.as_bytes(), &self.target, b""]
    }

    /// An opaque key of the subject, for the bridge of a local server.
    pub(crate) fn principal_key(&self) -> HeaderValue {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &self.subject);
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

/// Opens a client's session handle. None if any field of it is not as it must be.
pub(crate) fn open(
    keys: &HandleKeys,
    binding: &Binding,
    handle: &str,
    now: jiff::Timestamp,
) -> Option<Session> {
    let now = u64::try_from(now.as_second()).unwrap_or(u64::MAX);
    let session = SessionHandle::open(keys, &binding.outside(), handle, now).ok()?;
    Some(Session { upstream: session.upstream_session, revision: session.revision, tag: tag(handle) })
}

/// Seals a new session for the client.
pub(crate) fn seal(
    keys: &HandleKeys,
    binding: &Binding,
    upstream: &str,
    revision: Revision,
    now: jiff::Timestamp,
    lifetime: std::time::Duration,
) -> String {
    let opened_unix = u64::try_from(now.as_second()).unwrap_or(0);
    let handle = SessionHandle {
        upstream_session: upstream.to_owned(),
        revision,
        nonce_or_opened: opened_unix,
        expires_unix: opened_unix.saturating_add(lifetime.as_secs()),
    };
    handle.seal(keys, &binding.outside())
}

/// The first 16 hexadecimal digits of the handle's SHA-256: enough to tell sessions apart, useless to enter one.
pub(crate) fn tag(handle: &str) -> String {
    let digest = digest::digest(&digest::SHA256, handle.as_bytes());
    let mut text = String::with_capacity(16);
    push_hex(&mut text, digest.as_ref().get(..8).unwrap_or_default());
    text
}
