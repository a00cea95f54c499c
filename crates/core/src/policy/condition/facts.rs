//! What the `when` of a rule may look at: the names `principal`, `request` and `args`, resolved when asked for.

use std::sync::OnceLock;

use cel::{
    common::{
        types::{CelList, CelMap, CelString},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};

use super::{
    arguments::{self, ArgumentsError},
    check::Mentions,
    matching::Matcher,
    vocabulary::Names,
};
use crate::{
    action::{Action, Arguments},
    policy::Query,
    principal::PrincipalKind,
};

/// The prefix of the names that compiled patterns have; `@` can't be written in an expression.
pub(super) const MATCHER_PREFIX: &str = "@pattern";

/// Methods that list: what their entries will be used with is not known yet.
const LIST_METHODS: &[&str] = &["tools/list", "resources/list", "resources/templates/list", "prompts/list"];

/// The facts of one decision. Arguments are parsed at most once, and only if a condition mentions them.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    query: &'a Query<'a>,
    arguments: OnceLock<Result<CelMap<'static>, ArgumentsError>>,
    time: OnceLock<String>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(query: &'a Query<'a>) -> Self {
        Self { query, arguments: OnceLock::new(), time: OnceLock::new() }
    }

    /// The call's arguments; an empty object while they are unknown.
    pub(super) fn arguments(&self) -> Result<&CelMap<'static>, ArgumentsError> {
        let parsed = self.arguments.get_or_init(|| match self.query.action {
            Action::CallTool { arguments: Arguments::Known(text), .. }
            | Action::GetPrompt { arguments: Arguments::Known(text), .. } => arguments::read(text),
            Action::CallTool { arguments: Arguments::Unknown, .. }
            | Action::GetPrompt { arguments: Arguments::Unknown, .. }
            | Action::UseServer
            | Action::ReadResource { .. }
            | Action::UseResourceTemplate { .. }
            | Action::Method { .. } => arguments::read("{}"),
        });
        parsed.as_ref().map_err(|error| *error)
    }

    /// Whether `args` are unknown, as in a list and when the server itself is asked for.
    fn arguments_unknown(&self) -> bool {
        match self.query.action {
            Action::CallTool { arguments, .. } | Action::GetPrompt { arguments, .. } => {
                matches!(arguments, Arguments::Unknown)
            }
            Action::UseServer => true,
            Action::ReadResource { .. } | Action::UseResourceTemplate { .. } | Action::Method { .. } => false,
        }
    }

    /// Whether the method is unknown: an entry of a list will be used with another method than the list's, and when
    /// the server itself is asked for, the message is not read yet.
    fn method_unknown(&self) -> bool {
        self.arguments_unknown() || LIST_METHODS.contains(&self.query.request.method)
    }

    /// Whether the protocol revision is unknown: before a message is read.
    fn revision_unknown(&self) -> bool {
        self.query.request.revision.is_empty()
    }

    /// Whether tool, resource and prompt are unknown: when the server itself is asked for.
    fn target_unknown(&self) -> bool {
        matches!(self.query.action, Action::UseServer)
    }

    /// Whether something that a condition mentions is unknown.
    pub(super) fn leaves_open(&self, mentions: Mentions) -> bool {
        (mentions.args && self.arguments_unknown())
            || (mentions.method && self.method_unknown())
            || (mentions.revision && self.revision_unknown())
            || (mentions.target && self.target_unknown())
    }

    fn principal(&self, field: &str) -> Option<CowVal<'_, '_>> {
        let principal = self.query.principal;
        Some(match field {
            "subject" => text(&principal.subject),
            "issuer" => text(&principal.issuer),
            "provider" => text(principal.provider.as_str()),
            "kind" => text(match principal.kind {
                PrincipalKind::User => "user",
                PrincipalKind::ServiceAccount => "serviceAccount",
            }),
            "agent" => text(principal.agent.as_deref().unwrap_or_default()),
            "groups" => {
                let groups: Vec<Box<dyn Val + '_>> = principal
                    .groups
                    .iter()
                    .map(|group| Box::new(CelString::from(group.as_ref())) as Box<dyn Val + '_>)
                    .collect();
                CowVal::owned(CelList::from(groups))
            }
            _ => return None,
        })
    }

    fn request(&self, field: &str) -> Option<CowVal<'_, '_>> {
        let query = self.query;
        let (tool, resource, prompt) = match query.action {
            Action::CallTool { name, .. } => (name, "", ""),
            Action::ReadResource { uri } => ("", uri, ""),
            Action::UseResourceTemplate { uri_template } => ("", uri_template, ""),
            Action::GetPrompt { name, .. } => ("", "", name),
            Action::UseServer | Action::Method { .. } => ("", "", ""),
        };
        Some(match field {
            "namespace" => text(query.server.namespace.as_str()),
            "server" => text(query.server.name.as_str()),
            "protocolVersion" if !self.revision_unknown() => text(query.request.revision),
            "ip" => text(query.request.ip),
            "time" => text(self.time.get_or_init(|| {
                jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0)).timestamp_to_string(&query.now)
            })),
            "method" if !self.method_unknown() => text(query.request.method),
            "tool" if !self.target_unknown() => text(tool),
            "resource" if !self.target_unknown() => text(resource),
            "prompt" if !self.target_unknown() => text(prompt),
            _ => return None,
        })
    }
}

impl Names for Facts<'_> {
    fn tree(&self, root: &str) -> Option<&dyn Val> {
        match root {
            "args" => self.arguments().ok().map(|map| map as &dyn Val),
            _ => None,
        }
    }

    /// None for what is unknown.
    fn value(&self, name: &str) -> Option<CowVal<'_, '_>> {
        if name == "args" {
            return if self.arguments_unknown() {
                None
            } else {
                self.arguments().ok().map(|map| CowVal::Borrowed(map as &dyn Val))
            };
        }
        match name.split_once('.')? {
            ("principal", field) => self.principal(field),
            ("request", field) => self.request(field),
            (_, _) => None,
        }
    }
}

fn text(text: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(text))
}

/// The names of one expression.
pub(super) struct Scope<'a> {
    pub(super) names: &'a dyn Names,
    pub(super) matchers: &'a [Matcher],
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable.strip_prefix(MATCHER_PREFIX) {
            Some(number) => {
                let matcher = self.matchers.get(number.parse::<usize>().ok()?)?;
                Some(CowVal::Borrowed(matcher))
            }
            None => self.names.value(variable),
        }
    }
}
