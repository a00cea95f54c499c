//! Records as lines for people: when, who, what, decided how, ended how. Not all of a record is in it.

use narrows_store::audit::Entry;
use serde_json::Value;

use crate::output::Table;

/// Whether the line of headings is still to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heading {
    Wanted,
    Said,
}

/// One line for each entry.
pub(super) fn render(entries: &[Entry], heading: Heading) -> String {
    if entries.is_empty() && heading == Heading::Said {
        return String::new();
    }
    let mut table = Table::new(&["INDEX", "TIME", "KIND", "WHO", "ON", "WHAT", "DECISION", "OUTCOME"]);
    for entry in entries {
        let record: Value = serde_json::from_str(&entry.line).unwrap_or(Value::Null);
        table.row(row(entry, &record));
    }
    match heading {
        Heading::Wanted => table.render(),
        Heading::Said => table.render_rows(),
    }
}

fn row(entry: &Entry, record: &Value) -> Vec<String> {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = match (text("/object/namespace"), text("/object/name")) {
        (namespace, name) if namespace.is_empty() => name,
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let subject = ["/request/tool", "/request/resource", "/request/prompt"]
        .iter()
        .map(|pointer| text(pointer))
        .find(|found| !found.is_empty())
        .unwrap_or_default();
    let decision = match (text("/decision/effect"), text("/decision/mode").as_str()) {
        (effect, "observe") => format!("{effect} {} (observe)", text("/decision/rule")),
        (effect, _) => format!("{effect} {}", text("/decision/rule")),
    };
    let error = text("/outcome/error");
    let outcome = match record.pointer("/intent").and_then(Value::as_u64) {
        Some(intent) => format!("{} of {intent} {error}", text("/outcome/status")),
        None => format!("{} {error}", text("/outcome/status")),
    };
    vec![
        entry.index.0.to_string(),
        text("/time"),
        text("/kind"),
        text("/actor/subject"),
        object,
        format!("{} {subject}", text("/request/method")).trim().to_owned(),
        decision.trim().to_owned(),
        outcome.trim().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use narrows_core::ports::LogIndex;

    use super::*;

    #[test]
    fn a_record_is_a_line() {
        let entry =
            |index, line: &str| Entry { writer: "local".into(), index: LogIndex(index), line: line.into() };
        let entries = [
            entry(
                7,
                r#"{"time":"T","kind":"request.denied","actor":{"subject":"bob"},"object":{"namespace":"dev","name":"demo"},"request":{"method":"tools/call","tool":"write_file"},"decision":{"effect":"deny","rule":"no grant","mode":"enforce"}}"#,
            ),
            entry(8, r#"{"time":"T","kind":"request.completed","intent":6,"outcome":{"status":"ok"}}"#),
            entry(9, "broken"),
        ];
        assert_eq!(
            render(&entries, Heading::Wanted),
            "INDEX  TIME  KIND               WHO  ON        WHAT                   DECISION       OUTCOME\n\
             7      T     request.denied     bob  dev/demo  tools/call write_file  deny no grant\n\
             8      T     request.completed                                                       ok of 6\n\
             9\n"
        );
    }
}
