//! What a client's request claims, in the terms of roles: from the wire's subject to the core's action.

use aws_lc_rs::digest;
use narrows_core::action::{Action, Arguments};
use narrows_mcp::{
    envelope::{EnvelopeError, Request},
    method::{self, ListKind, Subject},
    revision::Era,
};

use crate::{clock::push_hex, enforcer::Facts};

/// Methods of the protocol itself, which any grant on a server includes. All other requests, in either direction, and
/// all other notifications of a client need a grant by name.
const BASE_METHODS: [&str; 8] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "ping",
    "server/discover",
];

/// Methods that revision 2026-07-28 has no more. What their parameters would mean there nobody says, so they are
/// methods like any other that is not known: for the server to refuse.
const REMOVED_METHODS: [&str; 2] = ["resources/subscribe", "resources/unsubscribe"];

/// What is claimed, kept for as long as the request goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    Server,
    Tool { name: String, arguments: String },
    Resource { uri: String },
    Template { uri_template: String },
    Prompt { name: String, arguments: String },
    Method { name: String },
}

/// What the answer to a request has to be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Passed on with its id restored.
    Plain,
    /// Filtered by the same decision that calls are made by.
    List(ListKind),
    /// Read for the negotiated revision; may open a session.
    Initialize,
    /// A stream of notifications that ends with its result.
    Listen,
}

/// Reads a request's claim and the shape of its answer.
pub(crate) fn claim(request: &Request<'_>, era: Era) -> Result<(Claim, Shape), EnvelopeError> {
    if era == Era::Stateless && REMOVED_METHODS.contains(&request.method.as_ref()) {
        return Ok((Claim::Method { name: request.method.clone().into_owned() }, Shape::Plain));
    }
    let raw = |arguments: Option<narrows_mcp::json::Value<'_>>| {
        arguments.map_or("{}", |value| value.raw()).to_owned()
    };
    Ok(match method::subject(request)? {
        Subject::List(kind) => (Claim::Server, Shape::List(kind)),
        Subject::Tool { name, arguments } => {
            (Claim::Tool { name: name.into_owned(), arguments: raw(arguments) }, Shape::Plain)
        }
        Subject::Resource { uri } => (Claim::Resource { uri: uri.into_owned() }, Shape::Plain),
        Subject::Template { uri_template } => {
            (Claim::Template { uri_template: uri_template.into_owned() }, Shape::Plain)
        }
        Subject::Prompt { name, arguments } => {
            (Claim::Prompt { name: name.into_owned(), arguments: raw(arguments) }, Shape::Plain)
        }
        Subject::Listen(_) => (Claim::Server, Shape::Listen),
        Subject::Server if request.method == "initialize" => (Claim::Server, Shape::Initialize),
        Subject::Server | Subject::Other => (by_method(&request.method), Shape::Plain),
    })
}

/// The claim of a method that has no subject of its own.
pub(crate) fn by_method(method: &str) -> Claim {
    if BASE_METHODS.binary_search(&method).is_ok() {
        Claim::Server
    } else {
        Claim::Method { name: method.to_owned() }
    }
}

impl Claim {
    /// The action to decide.
    pub(crate) fn action(&self) -> Action<'_> {
        match self {
            Self::Server => Action::UseServer,
            Self::Tool { name, arguments } => {
                Action::CallTool { name, arguments: Arguments::Known(arguments) }
            }
            Self::Resource { uri } => Action::ReadResource { uri },
            Self::Template { uri_template } => Action::UseResourceTemplate { uri_template },
            Self::Prompt { name, arguments } => {
                Action::GetPrompt { name, arguments: Arguments::Known(arguments) }
            }
            Self::Method { name } => Action::Method { name },
        }
    }

    /// The thing that is asked for, for a refusal's words.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Server => "the server".to_owned(),
            Self::Tool { name, .. } => format!("tool `{name}`"),
            Self::Resource { uri } => format!("resource `{uri}`"),
            Self::Template { uri_template } => format!("resource template `{uri_template}`"),
            Self::Prompt { name, .. } => format!("prompt `{name}`"),
            Self::Method { name } => format!("method `{name}`"),
        }
    }

    /// What is written of it.
    pub(crate) fn facts<'a>(&'a self, method: &'a str, revision: &'a str) -> Facts<'a> {
        let facts = Facts { method, revision, ..Facts::default() };
        match self {
            Self::Server | Self::Method { .. } => facts,
            Self::Tool { name, arguments } => Facts { tool: Some(name), arguments: Some(arguments), ..facts },
            Self::Resource { uri } => Facts { resource: Some(uri), ..facts },
            Self::Template { uri_template } => Facts { resource: Some(uri_template), ..facts },
            Self::Prompt { name, arguments } => {
                Facts { prompt: Some(name), arguments: Some(arguments), ..facts }
            }
        }
    }

    /// What a `requestState` is bound to: the thing that was called, and with what.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Server => String::new(),
            Self::Tool { name, arguments } | Self::Prompt { name, arguments } => {
                let digest = digest::digest(&digest::SHA256, arguments.as_bytes());
                let mut text = format!("{name}\n");
                push_hex(&mut text, digest.as_ref());
                text
            }
            Self::Method { name } => name.clone(),
            Self::Resource { uri } => uri.clone(),
            Self::Template { uri_template } => uri_template.clone(),
        }
    }
}
