//! What is wrong with one document, gathered while it is read.

use std::sync::Arc;

use super::{ResourceKind, document::Node};
use crate::problem::{Place, Problem};

/// The problems of one document.
pub(super) struct Report<'a> {
    file: Arc<str>,
    document: &'a Node,
    kind: ResourceKind,
    name: Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &Arc<str>, document: &'a Node, kind: ResourceKind, name: Option<String>) -> Self {
        Self { file: Arc::clone(file), document, kind, name, problems: Vec::new() }
    }

    pub(super) fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// A problem at a part of the document.
    pub(super) fn at(&mut self, node: &Node, message: String, hint: Option<String>) {
        let message = match &self.name {
            Some(name) => format!("{} `{name}`: {message}", self.kind),
            None => format!("{}: {message}", self.kind),
        };
        self.problems.push(Problem { place: place(&self.file, node), message, hint });
    }

    /// A problem with the field at a path; the message begins with the path.
    pub(super) fn field(&mut self, path: &str, message: &str, hint: &str) {
        let hint = if hint.is_empty() { None } else { Some(hint.to_owned()) };
        let document = self.document;
        self.at(document.nearest(path), format!("`{path}`{message}"), hint);
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

pub(super) fn place(file: &Arc<str>, node: &Node) -> Place {
    Place { file: Arc::clone(file), line: node.line, column: node.column }
}
