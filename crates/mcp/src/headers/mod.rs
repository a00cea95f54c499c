//! Agreement of HTTP headers and body (2026-07-28, basic/transports/streamable-http, "Request Metadata").
//!
//! The headers say again what the body says, for those on the way who don't read bodies. Whoever acts on them
//! must be able to trust them, so each is compared with the body here, and what goes on to the server is written
//! anew from the body. A header of a client must never be sent on itself.

mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use thiserror::Error;

use crate::{
    envelope::{EnvelopeError, Notification, Request},
    json::{Kind, Value},
    revision::{Era, Revision},
};
use value::{Scalars, decode, encode};

/// The revision of a request, in `params._meta`.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do, in `params._meta`.
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Names of headers, in lower case.
const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";
/// The most `Mcp-Param-*` headers of one request.
const MOST_PARAMS: usize = 64;

/// Headers to send to a server, all written from the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedHeaders {
    /// The revision that header and body agree on.
    pub revision: Revision,
    list: Vec<(Cow<'static, str>, String)>,
}

impl AgreedHeaders {
    /// Names, in lower case, and values, in visible ASCII and inner spaces.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}

/// Headers that don't agree with the body, or are missing. Answered with status 400 and code -32020.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderMismatch {
    /// A required header is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once.
    #[error("header {0} is there more than once")]
    Repeated(&'static str),
    /// A header has characters or an encoding that it can't have.
    #[error("header {0} is malformed")]
    Malformed(&'static str),
    /// A header does not say what the body says.
    #[error("header {0} does not match the body")]
    Differs(&'static str),
    /// A header has an underscore where its name has a hyphen; some servers would take it for the real one.
    #[error("header name is ambiguous")]
    Ambiguous,
    /// There are more parameter headers than we compare.
    #[error("there are too many Mcp-Param headers")]
    TooMany,
}

impl HeaderMismatch {
    /// The JSON-RPC error code, `HeaderMismatch`: -32020.
    #[must_use]
    pub const fn code(self) -> i64 {
        -32020
    }
}

/// The headers to send to a server in a session: the revision and no others (they are not validated before
/// 2026-07-28).
#[must_use]
pub const fn legacy(revision: Revision) -> [(&'static str, &'static str); 1] {
    [(VERSION, revision.as_str())]
}

/// The revision that a request claims for itself, in `params._meta`. `None` means a request of a session.
///
/// # Errors
/// -32602 where the metadata is incomplete or of the wrong type, -32022 where the revision is not one of
/// stateless requests.
pub fn stateless_meta(request: &Request<'_>) -> Result<Option<Revision>, EnvelopeError> {
    let Some(meta) = request.meta else { return Ok(None) };
    let wrong = |message| EnvelopeError::params(Some(request.id.clone()), message);
    if meta.kind() != Kind::Object {
        return Err(wrong("_meta must be an object"));
    }
    let capabilities = meta.get(META_CAPABILITIES);
    let Some(version) = meta.get(META_VERSION) else {
        return match capabilities {
            Some(_) => Err(wrong("_meta lacks io.modelcontextprotocol/protocolVersion")),
            None => Ok(None),
        };
    };
    let Some(version) = version.as_string() else {
        return Err(wrong("io.modelcontextprotocol/protocolVersion must be a string"));
    };
    let revision = match version.parse::<Revision>() {
        Ok(revision) if revision.era() == Era::Stateless => revision,
        Ok(_) | Err(_) => return Err(EnvelopeError::version(Some(request.id.clone()), &version)),
    };
    match capabilities {
        Some(capabilities) if capabilities.kind() == Kind::Object => Ok(Some(revision)),
        Some(_) => Err(wrong("io.modelcontextprotocol/clientCapabilities must be an object")),
        None => Err(wrong("_meta lacks io.modelcontextprotocol/clientCapabilities")),
    }
}

/// As [`stateless_meta`], for a request whose `MCP-Protocol-Version` header is already of the stateless era: it
/// must say so itself.
///
/// # Errors
/// As [`stateless_meta`], and -32602 where there is no such metadata.
pub fn required_meta(request: &Request<'_>) -> Result<Revision, EnvelopeError> {
    stateless_meta(request)?.ok_or(EnvelopeError::params(
        Some(request.id.clone()),
        "_meta lacks io.modelcontextprotocol/protocolVersion",
    ))
}

/// Compares all `MCP-Protocol-Version` and `Mcp-*` headers with the body, and writes those to send on.
///
/// `Mcp-Name` is required where the method has a name or URI; elsewhere it must say what the body names. Each
/// `Mcp-Param-*` must say what some string, number or boolean in `params.arguments` says (which one, only the
/// tool's schema knows). Other `Mcp-*` headers are left out.
///
/// # Errors
/// [`HeaderMismatch`] with the first difference.
pub fn agree<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    request: &Request<'_>,
) -> Result<AgreedHeaders, HeaderMismatch> {
    let body = Body { method: &request.method, params: request.params, meta: request.meta, is_request: true };
    body.agree(Received::read(headers)?)
}

/// As [`agree`], for a notification, whose body need not say its revision nor have a name; where it does and a header
/// does too, they must say the same.
///
/// # Errors
/// [`HeaderMismatch`] with the first difference.
pub fn agree_notification<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    notification: &Notification<'_>,
) -> Result<AgreedHeaders, HeaderMismatch> {
    let meta = notification.params.and_then(|params| params.get("_meta"));
    let body = Body { method: &notification.method, params: notification.params, meta, is_request: false };
    body.agree(Received::read(headers)?)
}

/// What headers are compared with.
struct Body<'a> {
    method: &'a str,
    params: Option<Value<'a>>,
    meta: Option<Value<'a>>,
    is_request: bool,
}

impl Body<'_> {
    fn agree(&self, received: Received<'_>) -> Result<AgreedHeaders, HeaderMismatch> {
        let revision = self.revision(received.version)?;
        match received.method {
            None => return Err(HeaderMismatch::Missing("Mcp-Method")),
            Some(method) if method == self.method => {}
            Some(_) => return Err(HeaderMismatch::Differs("Mcp-Method")),
        }
        let mut list = vec![
            (Cow::Borrowed(VERSION), Revision::as_str(revision).to_owned()),
            (Cow::Borrowed(METHOD), self.method.to_owned()),
        ];
        if let Some(name) = self.name(received.name)? {
            list.push((Cow::Borrowed(NAME), name));
        }
        if !received.params.is_empty() {
            let scalars = Scalars::of(self.params.and_then(|params| params.get("arguments")));
            for (header, text) in received.params {
                let text = decode(text).ok_or(HeaderMismatch::Malformed("Mcp-Param"))?;
                let written = scalars.written(&text).ok_or(HeaderMismatch::Differs("Mcp-Param"))?;
                list.push((header.into(), written));
            }
        }
        Ok(AgreedHeaders { revision, list })
    }

    fn revision(&self, received: Option<&str>) -> Result<Revision, HeaderMismatch> {
        let received = received.ok_or(HeaderMismatch::Missing("MCP-Protocol-Version"))?;
        let agrees = match self.meta.and_then(|meta| meta.get(META_VERSION)) {
            Some(said) => said.as_string().is_some_and(|said| said == received),
            None => !self.is_request,
        };
        if !agrees {
            return Err(HeaderMismatch::Differs("MCP-Protocol-Version"));
        }
        match received.parse::<Revision>() {
            Ok(revision) if revision.era() == Era::Stateless => Ok(revision),
            Ok(_) | Err(_) => Err(HeaderMismatch::Malformed("MCP-Protocol-Version")),
        }
    }

    /// The `Mcp-Name` to send on, once the one received (if any) agrees with the body.
    fn name(&self, received: Option<&str>) -> Result<Option<String>, HeaderMismatch> {
        let of_body = |member| self.params?.get(member)?.as_string();
        let (candidates, required): (&[&str], bool) = match self.method {
            "tools/call" | "prompts/get" => (&["name"], self.is_request),
            "resources/read" => (&["uri"], self.is_request),
            // Extensions name their subject too (tasks, by `taskId`).
            _ => (&["name", "uri", "taskId"], false),
        };
        let Some(received) = received else {
            return if required { Err(HeaderMismatch::Missing("Mcp-Name")) } else { Ok(None) };
        };
        let decoded = decode(received).ok_or(HeaderMismatch::Malformed("Mcp-Name"))?;
        candidates
            .iter()
            .filter_map(|member| of_body(member))
            .find(|name| *name == decoded)
            .map(|name| Some(encode(&name)))
            .ok_or(HeaderMismatch::Differs("Mcp-Name"))
    }
}

/// The headers that say something of the body, each at most once.
#[derive(Default)]
struct Received<'h> {
    version: Option<&'h str>,
    method: Option<&'h str>,
    name: Option<&'h str>,
    params: Vec<(String, &'h str)>,
}

impl<'h> Received<'h> {
    fn read(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Self, HeaderMismatch> {
        let mut received = Self::default();
        for (name, value) in headers {
            if !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("mcp")) {
                continue;
            }
            let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(name)
            };
            let (slot, shown) = match &*name {
                VERSION => (&mut received.version, "MCP-Protocol-Version"),
                METHOD => (&mut received.method, "Mcp-Method"),
                NAME => (&mut received.name, "Mcp-Name"),
                _ if name.starts_with(PARAM) => {
                    let text = text(value).ok_or(HeaderMismatch::Malformed("Mcp-Param"))?;
                    received.param(name.into_owned(), text)?;
                    continue;
                }
                _ if is_ambiguous(&name) => return Err(HeaderMismatch::Ambiguous),
                _ => continue,
            };
            if slot.replace(text(value).ok_or(HeaderMismatch::Malformed(shown))?).is_some() {
                return Err(HeaderMismatch::Repeated(shown));
            }
        }
        Ok(received)
    }

    fn param(&mut self, name: String, text: &'h str) -> Result<(), HeaderMismatch> {
        if name.len() == PARAM.len() {
            return Err(HeaderMismatch::Malformed("Mcp-Param"));
        }
        if self.params.iter().any(|(earlier, _)| *earlier == name) {
            return Err(HeaderMismatch::Repeated("Mcp-Param"));
        }
        if self.params.len() == MOST_PARAMS {
            return Err(HeaderMismatch::TooMany);
        }
        self.params.push((name, text));
        Ok(())
    }
}

/// A header's text without white space at its ends, if it is visible ASCII, spaces and tabs.
fn text(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let valid = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t');
    valid.then(|| text.trim_matches([' ', '\t']))
}

/// Whether a server that reads `_` as `-` would take this for one of the headers compared here.
fn is_ambiguous(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let hyphens = name.replace('_', "-");
    [VERSION, METHOD, NAME].contains(&hyphens.as_str()) || hyphens.starts_with(PARAM)
}
