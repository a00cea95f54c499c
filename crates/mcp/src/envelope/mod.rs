//! JSON-RPC 2.0 envelopes, strictly: one message is exactly one of a request, a notification or a response.
//!
//! Reads and writes the envelope only; what a method means is [`crate::method`]'s. An unknown member is refused
//! here, because a member that one side ignores and the other obeys is a way past a judge.

use std::{borrow::Cow, fmt};

use crate::{
    json::{Kind, Value, write_string},
    revision::Revision,
};

#[cfg(test)]
mod tests;

/// The longest string id, in bytes of its text.
const ID_LENGTH: usize = 128;
/// The longest method name, in characters.
const METHOD_LENGTH: usize = 256;
/// The largest integer that every JSON reader keeps: 2^53 - 1.
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A request's id, as its JSON token: a string or a whole number. Never null.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The JSON token: what is sent.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// A numeric id. Numbers above 2^53 - 1 are cut to their low 53 bits, since readers would round them.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self((number & MAX_INTEGER).to_string().into())
    }

    /// A string id.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut raw = String::new();
        write_string(&mut raw, text);
        Self(raw.into())
    }

    /// Reads an id: a string of at most 128 bytes, or an integer within ±(2^53 - 1) in its plainest form.
    #[must_use]
    pub fn of(value: Value<'_>) -> Option<Self> {
        let raw = value.raw();
        let valid = match value.kind() {
            // Escaped text is longer than what it stands for, so only an escaped id needs the second look.
            Kind::String => {
                raw.len() <= ID_LENGTH + 2 || value.as_string().is_some_and(|text| text.len() <= ID_LENGTH)
            }
            Kind::Number => {
                raw != "-0" && value.as_i64().is_some_and(|number| number.unsigned_abs() <= MAX_INTEGER)
            }
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => false,
        };
        valid.then(|| Self(raw.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Has an id and a method.
    Request(Request<'a>),
    /// Has a method and no id.
    Notification(Notification<'a>),
    /// Has a result or an error.
    Response(Response<'a>),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its id.
    pub id: Id,
    /// Its method: 1 to 256 visible ASCII characters.
    pub method: Cow<'a, str>,
    /// Its parameters: an object, where there are any.
    pub params: Option<Value<'a>>,
    /// The member `_meta` of its parameters, which is looked into again and again.
    pub meta: Option<Value<'a>>,
}

/// A notification.
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// Its method, which begins with `notifications/`.
    pub method: Cow<'a, str>,
    /// Its parameters: an object, where there are any.
    pub params: Option<Value<'a>>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// The id of the request. `None` only for an error of a server that could not read the id.
    pub id: Option<Id>,
    /// What came of it.
    pub payload: Payload<'a>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// `result`, an object.
    Result(Value<'a>),
    /// `error`, an object.
    Error(Value<'a>),
}

/// Who sent a message, which decides how much is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client: nothing is forgiven.
    Client,
    /// A server: an error may have no id or a null one.
    Server,
}

/// A message that is JSON but not what it should be. Answered with [`error_bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    id: Option<Id>,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// -32600
    Invalid(&'static str),
    /// -32602
    Params(&'static str),
    /// -32022, with the version that was asked for.
    Version(String),
}

impl EnvelopeError {
    /// Not a message: -32600.
    pub(crate) const fn invalid(id: Option<Id>, message: &'static str) -> Self {
        Self { id, problem: Problem::Invalid(message) }
    }

    /// A message whose parameters are wrong: -32602.
    pub(crate) const fn params(id: Option<Id>, message: &'static str) -> Self {
        Self { id, problem: Problem::Params(message) }
    }

    /// A request in a revision that has no such requests: -32022.
    pub(crate) fn version(id: Option<Id>, requested: &str) -> Self {
        // It is echoed, so it is cut: a revision is ten characters.
        Self { id, problem: Problem::Version(requested.chars().take(32).collect()) }
    }

    /// The JSON-RPC error code: -32600 (not a message), -32602 (wrong parameters) or -32022 (unsupported
    /// revision). Bytes that are no JSON are refused earlier, by [`crate::json::ScanError::code`].
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self.problem {
            Problem::Invalid(_) => -32600,
            Problem::Params(_) => -32602,
            Problem::Version(_) => -32022,
        }
    }

    /// The id to answer with, where it could be read.
    #[must_use]
    pub const fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// What is wrong, with nothing of the message in it.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self.problem {
            Problem::Invalid(message) | Problem::Params(message) => message,
            Problem::Version(_) => "unsupported protocol version",
        }
    }

    /// JSON for the error's `data`: for an unsupported revision, those that are supported and the one requested.
    #[must_use]
    pub fn data(&self) -> Option<String> {
        match &self.problem {
            Problem::Invalid(_) | Problem::Params(_) => None,
            Problem::Version(requested) => Some(Revision::unsupported_data(requested)),
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        error_bytes(self.id(), self.code(), self.message(), self.data().as_deref())
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for EnvelopeError {}

/// Reads one message. A batch is an array: its elements are read one by one, by the caller.
///
/// # Errors
/// [`EnvelopeError`] with code -32600, and with the id if that much could be read.
pub fn parse(value: Value<'_>, sender: Sender) -> Result<Message<'_>, EnvelopeError> {
    let members = Envelope::read(value)?;
    let id = match members.id {
        Some(value) if value.is_null() && sender == Sender::Server && members.error.is_some() => None,
        Some(value) => Some(Id::of(value).ok_or(EnvelopeError::invalid(
            None,
            "id must be a string of at most 128 bytes or an integer within 2^53",
        ))?),
        None => None,
    };
    let refuse = |message| Err(EnvelopeError::invalid(id.clone(), message));
    if members.version.and_then(Value::as_string).as_deref() != Some("2.0") {
        return refuse("jsonrpc must be \"2.0\"");
    }
    let params = match members.params {
        Some(params) if params.kind() != Kind::Object => return refuse("params must be an object"),
        params => params,
    };
    match (members.method, members.result, members.error) {
        (Some(method), None, None) => {
            let Some(method) = method.as_string().filter(|method| is_method(method)) else {
                return refuse("method must be a string of 1 to 256 visible ASCII characters");
            };
            match id {
                Some(id) => {
                    let meta = params.and_then(|params| params.get("_meta"));
                    Ok(Message::Request(Request { id, method, params, meta }))
                }
                None if method.starts_with("notifications/") => {
                    Ok(Message::Notification(Notification { method, params }))
                }
                None => refuse("a request must have an id"),
            }
        }
        (None, Some(result), None) => match (id, result.kind(), params) {
            (Some(id), Kind::Object, None) => {
                Ok(Message::Response(Response { id: Some(id), payload: Payload::Result(result) }))
            }
            (None, _, _) => Err(EnvelopeError::invalid(None, "a result must have an id")),
            (id, _, Some(_)) => Err(EnvelopeError::invalid(id, "a response can't have params")),
            (id, _, None) => Err(EnvelopeError::invalid(id, "result must be an object")),
        },
        (None, None, Some(error)) => {
            if params.is_some() {
                return refuse("a response can't have params");
            }
            if !is_error(error, sender) {
                return refuse("error must be an object with a code and a message");
            }
            if id.is_none() && sender == Sender::Client {
                return refuse("an error must have an id");
            }
            Ok(Message::Response(Response { id, payload: Payload::Error(error) }))
        }
        (None, None, None) => refuse("a message must have a method, a result or an error"),
        (Some(_), _, _) | (None, Some(_), Some(_)) => {
            refuse("a message must have only one of method, result and error")
        }
    }
}

fn is_method(method: &str) -> bool {
    (1..=METHOD_LENGTH).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_error(error: Value<'_>, sender: Sender) -> bool {
    let typed = || {
        error.get("code").is_some_and(|code| code.as_i64().is_some())
            && error.get("message").is_some_and(|message| message.kind() == Kind::String)
    };
    error.kind() == Kind::Object && (sender == Sender::Server || typed())
}

#[derive(Default)]
struct Envelope<'a> {
    version: Option<Value<'a>>,
    id: Option<Value<'a>>,
    method: Option<Value<'a>>,
    params: Option<Value<'a>>,
    result: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(value: Value<'a>) -> Result<Self, EnvelopeError> {
        if value.kind() != Kind::Object {
            return Err(EnvelopeError::invalid(None, "a message must be an object"));
        }
        let mut envelope = Self::default();
        let mut unknown = false;
        for (name, value) in value.members() {
            match &*name {
                "jsonrpc" => envelope.version = Some(value),
                "id" => envelope.id = Some(value),
                "method" => envelope.method = Some(value),
                "params" => envelope.params = Some(value),
                "result" => envelope.result = Some(value),
                "error" => envelope.error = Some(value),
                _ => unknown = true,
            }
        }
        if unknown {
            let id = envelope.id.and_then(Id::of);
            return Err(EnvelopeError::invalid(id, "a message can't have other members"));
        }
        Ok(envelope)
    }
}

/// A request, as it is sent. `params` must be normalised JSON text.
#[must_use]
pub fn request_bytes(id: &Id, method: &str, params: Option<&str>) -> Vec<u8> {
    message(Some(id.raw()), Some(method), params.map(|params| ("params", params)))
}

/// A notification, as it is sent. `params` must be normalised JSON text.
#[must_use]
pub fn notification_bytes(method: &str, params: Option<&str>) -> Vec<u8> {
    message(None, Some(method), params.map(|params| ("params", params)))
}

/// A result, as it is sent. `raw` must be normalised JSON text.
#[must_use]
pub fn result_bytes(id: &Id, raw: &str) -> Vec<u8> {
    message(Some(id.raw()), None, Some(("result", raw)))
}

/// An error, as it is sent; without an id, `id` is null. `data` must be normalised JSON text.
#[must_use]
pub fn error_bytes(id: Option<&Id>, code: i64, text: &str, data: Option<&str>) -> Vec<u8> {
    let mut error = format!("{{\"code\":{code},\"message\":");
    write_string(&mut error, text);
    if let Some(data) = data {
        error.push_str(",\"data\":");
        error.push_str(data);
    }
    error.push('}');
    message(Some(id.map_or("null", Id::raw)), None, Some(("error", &error)))
}

fn message(id: Option<&str>, method: Option<&str>, last: Option<(&str, &str)>) -> Vec<u8> {
    let mut text = String::with_capacity(64 + last.map_or(0, |(_, raw)| raw.len()));
    text.push_str("{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        text.push_str(",\"id\":");
        text.push_str(id);
    }
    if let Some(method) = method {
        text.push_str(",\"method\":");
        write_string(&mut text, method);
    }
    if let Some((name, raw)) = last {
        text.push_str(",\"");
        text.push_str(name);
        text.push_str("\":");
        text.push_str(raw);
    }
    text.push('}');
    text.into_bytes()
}
