//! What to look for.

use jiff::Timestamp;
use narrows_core::audit::record_time;

use crate::{
    index::{Field, Term, Wanted},
    log::line::View,
};

/// What to look for. All that is given must hold; an empty filter matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Earliest time.
    pub since: Option<Timestamp>,
    /// Latest time.
    pub until: Option<Timestamp>,
    /// `kind`, such as `request.denied`.
    pub kind: Option<String>,
    /// `actor.subject`.
    pub subject: Option<String>,
    /// `object.namespace`.
    pub namespace: Option<String>,
    /// `object.name`.
    pub server: Option<String>,
    /// `request.tool`.
    pub tool: Option<String>,
    /// `request.method`.
    pub method: Option<String>,
    /// `outcome.status`.
    pub status: Option<String>,
    /// `decision.effect`.
    pub effect: Option<String>,
    /// `request.id`.
    pub request: Option<String>,
    /// A text that occurs anywhere in the record, as JSON writes it.
    pub text: Option<String>,
}

/// A filter, ready to be held against records.
pub(super) struct Matcher<'a> {
    fields: Vec<(Field, &'a str)>,
    since: Option<String>,
    until: Option<String>,
    request: Option<&'a str>,
    text: Option<&'a str>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let field = |field| match field {
            Field::Kind => &filter.kind,
            Field::Subject => &filter.subject,
            Field::Namespace => &filter.namespace,
            Field::Server => &filter.server,
            Field::Tool => &filter.tool,
            Field::Method => &filter.method,
            Field::Status => &filter.status,
            Field::Effect => &filter.effect,
        };
        Self {
            // The most telling field first: it leads the way through the index.
            fields: Field::ALL
                .into_iter()
                .rev()
                .filter_map(|which| Some((which, field(which).as_deref()?)))
                .collect(),
            since: filter.since.map(record_time),
            until: filter.until.map(record_time),
            request: filter.request.as_deref(),
            text: filter.text.as_deref(),
        }
    }

    /// Whether a record is looked for. What is no record is not.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let Some(view) = View::parse(line) else { return false };
        self.fields.iter().all(|(field, value)| view.values(*field).any(|held| held == *value))
            && self.since.as_deref().is_none_or(|since| *view.time >= *since)
            && self.until.as_deref().is_none_or(|until| *view.time <= *until)
            && self.request.is_none_or(|request| view.request.id == request)
            && self.text.is_none_or(|text| std::str::from_utf8(line).is_ok_and(|line| line.contains(text)))
    }

    /// The request's id, where it is asked for.
    pub(super) fn request(&self) -> Option<&'a str> {
        self.request
    }

    /// What a block must have.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            terms: self.fields.iter().map(|(field, value)| Term::of(*field, value)).collect(),
            since: self.since.clone(),
            until: self.until.clone(),
        }
    }
}
