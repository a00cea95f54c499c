//! How a command ends when it can't do what it was asked: one line that says what failed, a hint, an exit code.

use std::{fmt, process::ExitCode};

use narrows_core::problem::{Place, Problem};

use crate::output;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    problems: Vec<Problem>,
    /// What does not comply with policies, a line each.
    violations: Vec<String>,
    code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, problems: Vec::new(), violations: Vec::new(), code: 1 }
    }

    /// Wrong usage that the argument parser could not see: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// Files that are refused: every problem is printed before `consequence` and their number.
    pub(crate) fn problems(problems: Vec<Problem>, consequence: &str) -> Self {
        let message = match problems.len() {
            1 => format!("{consequence}: 1 problem"),
            count => format!("{consequence}: {count} problems"),
        };
        Self { problems, ..Self::new(message) }
    }

    /// An error of a library with its sources. Errors carry their hints as a last line, `hint: …`.
    pub(crate) fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let (mut messages, mut hint, mut next) = (Vec::new(), None, Some(error));
        while let Some(error) = next {
            let text = error.to_string();
            let (message, its_hint) = text.split_once("\nhint: ").unwrap_or((text.as_str(), ""));
            // Some errors repeat their source.
            if !messages.iter().any(|said: &String| said.ends_with(message)) {
                messages.push(message.to_owned());
            }
            if !its_hint.is_empty() {
                hint = Some(its_hint.to_owned());
            }
            next = error.source();
        }
        Self { hint, ..Self::new(messages.join(": ")) }
    }

    /// An error of the store, which keeps its hint beside its text.
    #[expect(clippy::needless_pass_by_value, reason = "handed to map_err by name")]
    pub(crate) fn from_store(error: narrows_store::StoreError) -> Self {
        let failure = Self::from_error(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// An error of the control plane, in the words that the API has for it.
    pub(crate) fn from_control(error: narrows_control::ControlError) -> Self {
        Self::from_api(narrows_console::Problem::from(error))
    }

    /// What the API found wrong.
    pub(crate) fn from_api(problem: narrows_console::Problem) -> Self {
        let narrows_console::Problem { title, detail, hint, problems, changes, violations, .. } = problem;
        let mut message = match (problems.len(), detail) {
            (0, Some(detail)) if !violations.is_empty() => format!("not changed: {detail}"),
            (0, Some(detail)) => detail,
            (0, None) => title,
            (1, _) => "not changed: 1 problem".to_owned(),
            (count, _) => format!("not changed: {count} problems"),
        };
        for change in changes {
            message.push_str(&format!(
                "\n  since then: {} `{}`: {}",
                change.object.kind,
                change.object.name,
                change.operation.as_str()
            ));
        }
        let problems = problems
            .into_iter()
            .map(|problem| Problem {
                place: Place { file: problem.file.into(), line: problem.line, column: problem.column },
                message: problem.message,
                hint: problem.hint,
            })
            .collect();
        let said = |violation: &narrows_console::Violation| format!("{}: {violation}", violation.outcome());
        let violations = violations.iter().map(said).collect();
        Self { hint, problems, violations, ..Self::new(message) }
    }

    /// What was being done, in front of the message.
    pub(crate) fn during(self, doing: &str) -> Self {
        Self { message: format!("{doing}: {}", self.message), ..self }
    }

    /// Wrong usage of an option: exit code 2.
    pub(crate) fn in_usage(self, option: &str) -> Self {
        Self { code: 2, ..self.during(&format!("`{option}`")) }
    }

    /// What to do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&format!("{problem}\n"));
        }
        for violation in &self.violations {
            text.push_str(&format!("{violation}\n"));
        }
        text.push_str(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        // Much of it is from files, servers and answers: it must not drive a terminal.
        let lines: Vec<String> = text.split('\n').map(output::printable).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::from_error(error.as_ref())
    }
}
