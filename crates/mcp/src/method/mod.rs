//! What a client's request is about: the server itself, a list, or one tool, resource or prompt.
//!
//! One request has one subject, read from the same text that is sent on. Lists are filtered by the same names
//! as calls are judged by, so that what is listed can be called and nothing else.

use std::borrow::Cow;

use crate::{
    envelope::{EnvelopeError, Request},
    json::{Kind, Value, is_misspelt, replace},
    names,
};

#[cfg(test)]
mod tests;

/// What a request is about.
#[derive(Debug, Clone)]
pub enum Subject<'a> {
    /// The server itself: `initialize`, `ping`, `server/discover`, `logging/setLevel`.
    Server,
    /// One of the lists.
    List(ListKind),
    /// A tool.
    Tool {
        /// Its name.
        name: Cow<'a, str>,
        /// Its arguments: an object, where there are any.
        arguments: Option<Value<'a>>,
    },
    /// A resource.
    Resource {
        /// Its URI.
        uri: Cow<'a, str>,
    },
    /// A resource template.
    Template {
        /// Its URI template.
        uri_template: Cow<'a, str>,
    },
    /// A prompt.
    Prompt {
        /// Its name.
        name: Cow<'a, str>,
        /// Its arguments: an object, where there are any.
        arguments: Option<Value<'a>>,
    },
    /// A subscription (`subscriptions/listen`), with its `notifications` filter: an object.
    Listen(Value<'a>),
    /// Any other method; its name is what can be judged.
    Other,
}

/// The lists of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
    /// `prompts/list`
    Prompts,
}

impl ListKind {
    /// The member of the result that holds the entries.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The member of an entry that names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }

    fn accepts(self, key: &str) -> bool {
        match self {
            Self::Tools | Self::Prompts => names::is_name(key),
            Self::Resources | Self::ResourceTemplates => names::is_uri(key),
        }
    }
}

/// What a client's request is about.
///
/// # Errors
/// -32602 where what names the subject is missing, is no string, or has characters that don't show.
pub fn subject<'a>(request: &Request<'a>) -> Result<Subject<'a>, EnvelopeError> {
    let asked = Asked(request);
    Ok(match &*request.method {
        "initialize" | "ping" | "server/discover" | "logging/setLevel" => Subject::Server,
        "tools/list" => Subject::List(ListKind::Tools),
        "resources/list" => Subject::List(ListKind::Resources),
        "resources/templates/list" => Subject::List(ListKind::ResourceTemplates),
        "prompts/list" => Subject::List(ListKind::Prompts),
        "tools/call" => Subject::Tool { name: asked.name(&["name"])?, arguments: asked.object("arguments")? },
        "prompts/get" => {
            Subject::Prompt { name: asked.name(&["name"])?, arguments: asked.object("arguments")? }
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            Subject::Resource { uri: asked.uri(&["uri"])? }
        }
        "completion/complete" => {
            let kind = asked.string(&["ref", "type"]);
            match kind.as_deref() {
                Some("ref/prompt") => {
                    Subject::Prompt { name: asked.name(&["ref", "name"])?, arguments: None }
                }
                Some("ref/resource") => Subject::Template { uri_template: asked.uri(&["ref", "uri"])? },
                Some(_) | None => return asked.refuse("ref.type must be ref/prompt or ref/resource"),
            }
        }
        "subscriptions/listen" => match asked.object("notifications")? {
            Some(filter) => Subject::Listen(filter),
            None => return asked.refuse("notifications must be an object"),
        },
        _ => Subject::Other,
    })
}

struct Asked<'r, 'a>(&'r Request<'a>);

impl<'a> Asked<'_, 'a> {
    fn refuse<T>(&self, message: &'static str) -> Result<T, EnvelopeError> {
        Err(EnvelopeError::params(Some(self.0.id.clone()), message))
    }

    fn string(&self, path: &[&str]) -> Option<Cow<'a, str>> {
        self.0.params?.at(path)?.as_string()
    }

    fn name(&self, path: &[&str]) -> Result<Cow<'a, str>, EnvelopeError> {
        match self.string(path) {
            Some(name) if names::is_name(&name) => Ok(name),
            Some(_) => self.refuse("name must be 1 to 256 visible characters"),
            None => self.refuse("name must be a string"),
        }
    }

    fn uri(&self, path: &[&str]) -> Result<Cow<'a, str>, EnvelopeError> {
        match self.string(path) {
            Some(uri) if names::is_uri(&uri) => Ok(uri),
            Some(_) => self.refuse("uri must be at most 8 KiB without white space or control characters"),
            None => self.refuse("uri must be a string"),
        }
    }

    fn object(&self, name: &str) -> Result<Option<Value<'a>>, EnvelopeError> {
        match self.0.params.and_then(|params| params.get(name)) {
            Some(value) if value.kind() == Kind::Object => Ok(Some(value)),
            Some(_) if name == "arguments" => self.refuse("arguments must be an object"),
            Some(_) => self.refuse("notifications must be an object"),
            None => Ok(None),
        }
    }
}

/// Members of a `result` that are judged, rewritten or recorded.
const JUDGED: &[&str] = &[
    "requestState",
    "inputRequests",
    "cacheScope",
    "resultType",
    "isError",
    "tools",
    "resources",
    "resourceTemplates",
    "prompts",
    "nextCursor",
];

/// Whether a member of a result has a name that is one of those judged here but for case. A client that ignores case
/// would take it for that one, and nobody has judged it.
pub(crate) fn is_lookalike(name: &str) -> bool {
    is_misspelt(name, JUDGED)
}

/// Whether `result` has a member whose name is one of those judged here but for case (Unicode case folding). What has
/// one must not reach a client.
#[must_use]
pub fn has_lookalike(result: Value<'_>) -> bool {
    result.members().any(|(name, _)| is_lookalike(&name))
}

/// The text of a list's `result` with only the entries that `keep` accepts; all other members, `nextCursor`
/// among them, stay as they are. `keep` is given each entry and its name. An entry whose name could not be asked
/// for (no string, or refused by [`subject`]) is dropped. With `restamp_private`, `cacheScope` is set to
/// `private`: a filtered list is one person's.
///
/// # Errors
/// -32602 where `result` has no such list, a `nextCursor` that is neither a string nor null, or a member that [`has_lookalike`] finds.
pub fn filter_list(
    kind: ListKind,
    result: Value<'_>,
    mut keep: impl FnMut(Value<'_>, &str) -> bool,
    restamp_private: bool,
) -> Result<String, EnvelopeError> {
    let Some(list) = result.get(kind.member()).filter(|list| list.kind() == Kind::Array) else {
        return Err(EnvelopeError::params(None, "result holds no list of this kind"));
    };
    let wrong = |message| Err(EnvelopeError::params(None, message));
    if has_lookalike(result) {
        return wrong("result has a member that differs from a known one only by case");
    }
    if result.get("nextCursor").is_some_and(|cursor| !matches!(cursor.kind(), Kind::String | Kind::Null)) {
        return wrong("nextCursor must be a string");
    }
    let mut kept = String::with_capacity(list.raw().len());
    kept.push('[');
    for entry in list.elements() {
        let Some(key) = entry.get(kind.key()).and_then(Value::as_string) else { continue };
        if kind.accepts(&key) && keep(entry, &key) {
            if kept.len() > 1 {
                kept.push(',');
            }
            kept.push_str(entry.raw());
        }
    }
    kept.push(']');
    let filtered = replace(result, &[kind.member()], Some(&kept));
    Ok(if restamp_private {
        replace(Value::of(&filtered), &["cacheScope"], Some("\"private\""))
    } else {
        filtered
    })
}
