//! Which revision a message speaks, and the headers that go to the server with it.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use narrows_mcp::{
    envelope::{Notification, Request},
    headers::{self, AgreedHeaders, HeaderMismatch},
    revision::{Era, Revision},
};

use crate::{
    context::Context,
    refusal::Refusal,
    session::{SESSION_HEADER, VERSION_HEADER},
};

/// The member of `_meta` that says the revision (2026-07-28).
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What a message speaks, and its headers.
pub(super) struct Wire {
    pub(super) revision: Revision,
    pub(super) headers: HeaderMap,
}

/// Reads a request's revision. A request of the stateless era says it in its body, and its headers must agree.
pub(super) fn of_request(
    context: &Context,
    inbound: &HeaderMap,
    request: &Request<'_>,
) -> Result<Wire, Refusal> {
    if let Some(said) = inbound.get(VERSION_HEADER)
        && let Some(meant) = request.meta.and_then(|meta| meta.get(META_VERSION))
        && meant.as_string().is_none_or(|meant| meant.as_bytes() != said.as_bytes())
    {
        // Before anything is made of either: which of the two would count is what must not be a question.
        let mismatch = HeaderMismatch::Differs("MCP-Protocol-Version");
        return Err(Refusal::bad_request(Some(&request.id), mismatch.code(), mismatch.to_string()));
    }
    if let Some(revision) = headers::stateless_meta(request)? {
        let pairs = inbound.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let agreed = headers::agree(pairs, request).map_err(|mismatch| {
            Refusal::bad_request(Some(&request.id), mismatch.code(), mismatch.to_string())
        })?;
        return Ok(Wire { revision, headers: agreed_headers(&agreed) });
    }
    if request.method == "initialize" {
        if context.session.is_some() {
            let text = "a session is initialized once; for another one, send this without `Mcp-Session-Id`";
            return Err(Refusal::bad_request(Some(&request.id), -32600, text));
        }
        let asked = request
            .params
            .and_then(|params| params.get("protocolVersion"))
            .and_then(|value| value.as_string());
        let revision =
            asked.and_then(|text| text.parse::<Revision>().ok()).filter(|r| r.era() == Era::Sessions);
        let revision = revision.unwrap_or(Revision::NEWEST_WITH_SESSIONS);
        return Ok(Wire { revision, headers: content_headers() });
    }
    let wire = of_message(context, inbound)?;
    match wire.revision.era() {
        Era::Sessions => Ok(wire),
        // The body says nothing, so this is a refusal.
        Era::Stateless => headers::required_meta(request).map_err(Refusal::from).map(|_| wire),
    }
}

/// Reads the revision of a notification. In the stateless era its headers must agree with it, like a request's.
pub(super) fn of_notification(
    context: &Context,
    inbound: &HeaderMap,
    notification: &Notification<'_>,
) -> Result<Wire, Refusal> {
    let wire = of_message(context, inbound)?;
    match wire.revision.era() {
        Era::Sessions => Ok(wire),
        Era::Stateless => {
            let pairs = inbound.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let agreed = headers::agree_notification(pairs, notification)
                .map_err(|mismatch| Refusal::bad_request(None, mismatch.code(), mismatch.to_string()))?;
            Ok(Wire { revision: agreed.revision, headers: agreed_headers(&agreed) })
        }
    }
}

fn agreed_headers(agreed: &AgreedHeaders) -> HeaderMap {
    let mut outbound = content_headers();
    for (name, value) in agreed.iter() {
        let name = match name {
            "mcp-protocol-version" => Ok(VERSION_HEADER),
            "mcp-method" => Ok(HeaderName::from_static("mcp-method")),
            "mcp-name" => Ok(HeaderName::from_static("mcp-name")),
            name => HeaderName::from_bytes(name.as_bytes()),
        };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            outbound.insert(name, value);
        }
    }
    outbound
}

/// Reads the revision of a message that is no request, from its session or its header.
pub(super) fn of_message(context: &Context, inbound: &HeaderMap) -> Result<Wire, Refusal> {
    let revision = revision_of(context, inbound)?;
    Ok(Wire { revision, headers: session_headers(context, revision) })
}

fn revision_of(context: &Context, inbound: &HeaderMap) -> Result<Revision, Refusal> {
    let said = match inbound.get(VERSION_HEADER) {
        None => None,
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            Some(text.parse::<Revision>().map_err(|_| {
                let spoken = Revision::ALL.map(Revision::as_str).join(", ");
                Refusal::bad_request(None, -32600, format!("`MCP-Protocol-Version` is not one of {spoken}"))
            })?)
        }
    };
    match (&context.session, said) {
        (Some(session), Some(said)) if said != session.revision => {
            let text = "`MCP-Protocol-Version` is not what was negotiated in this session";
            Err(Refusal::bad_request(None, -32600, text))
        }
        (Some(session), _) => Ok(session.revision),
        (None, Some(said)) => Ok(said),
        (None, None) => Ok(Revision::WITHOUT_HEADER),
    }
}

fn content_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers
}

/// The headers of a message of our own within a caller's session.
pub(super) fn session_headers(context: &Context, revision: Revision) -> HeaderMap {
    let mut headers = content_headers();
    headers.insert(VERSION_HEADER, HeaderValue::from_static(revision.as_str()));
    if let Some(session) = &context.session
        && let Ok(value) = HeaderValue::from_str(&session.upstream)
    {
        headers.insert(SESSION_HEADER, value);
    }
    headers
}
