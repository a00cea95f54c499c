//! What is different, for people: a line for each resource, or each line of it.

use narrows_console::{ObjectDifference, Violation};
use narrows_control::Run;
use narrows_core::change::Operation;
use serde_json::Value;
use similar::TextDiff;

use crate::output::{self, Table};

/// Lines that stay around those that are different.
const AROUND: usize = 3;

/// Warnings that are printed; the rest is counted.
const MOST_WARNINGS: usize = 50;

/// What does not comply with policies and is carried out, on standard error.
pub(super) fn warn(warnings: &[Violation]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        eprintln!("{}: {}", warning.outcome(), output::printable(&warning.to_string()));
    }
    if warnings.len() > MOST_WARNINGS {
        eprintln!("and {} more: `--output json` has them all", warnings.len() - MOST_WARNINGS);
    }
}

/// One line for each resource.
pub(super) fn list(changes: &[ObjectDifference], run: Run) -> String {
    let mut table = Table::new(&[]);
    for change in changes {
        let file = change.file.as_ref().map(|file| format!("follows {file}")).unwrap_or_default();
        let done = match run {
            Run::Dry => format!("would be {}", done(change.operation)),
            Run::Real => done(change.operation).to_owned(),
        };
        table.row(vec![change.object.kind.clone(), change.object.name.clone(), done, file]);
    }
    table.render_rows()
}

pub(super) fn done(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "created",
        Operation::Update => "updated",
        Operation::Delete => "deleted",
        Operation::Adopt => "adopted",
    }
}

/// Each resource as a unified difference of its YAML.
pub(super) fn text(changes: &[ObjectDifference]) -> String {
    let mut text = String::new();
    for change in changes {
        let (before, after) = (yaml(change.before.as_ref()), yaml(change.after.as_ref()));
        let name = format!("{} {}", change.object.kind, change.object.name);
        let named = |there: bool| if there { name.as_str() } else { "/dev/null" };
        let difference = TextDiff::from_lines(&before, &after);
        let mut unified = difference.unified_diff();
        unified.context_radius(AROUND).header(named(change.before.is_some()), named(change.after.is_some()));
        text.push_str(&unified.to_string());
        if before == after {
            let file = change.file.as_deref().unwrap_or("no file");
            text.push_str(&format!("{name}: the same, and follows {file}\n"));
        }
    }
    text.lines().map(|line| output::printable(line) + "\n").collect()
}

fn yaml(resource: Option<&Value>) -> String {
    resource.map(|resource| output::yaml(resource).unwrap_or_default()).unwrap_or_default()
}
