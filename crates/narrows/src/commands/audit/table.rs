//! Records as lines for people: when, who, what, decided how, ended how. Not all of a record is in it.

use narrows_store::audit::Entry;
use serde_json::Value;

use crate::output::Table;

/// Of the addresses that failed authentications came from, so many are named.
const ADDRESSES: usize = 3;

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
    let kind = text("/kind");
    let what = match (text("/before/state"), text("/after/state")) {
        (before, after) if before.is_empty() && after.is_empty() => {
            format!("{}{} {subject}", text("/request/method"), text("/change/operation"))
        }
        (before, after) => format!(
            "{} -> {}",
            if before.is_empty() { "-" } else { &before },
            if after.is_empty() { "-" } else { &after }
        ),
    };
    let (who, outcome) = match kind.as_str() {
        "authentication.failed" => failures(record),
        _ => (text("/actor/subject"), outcome.trim().to_owned()),
    };
    vec![
        entry.index.0.to_string(),
        text("/time"),
        kind,
        who,
        object,
        what.trim().to_owned(),
        decision.trim().to_owned(),
        outcome,
    ]
}

/// From where requests without a valid token came, and why: such a record counts them, and has no subject.
fn failures(record: &Value) -> (String, String) {
    let counts = |pointer| record.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let mut addresses: Vec<_> =
        counts("/after/addresses").map(|(ip, count)| (ip, count.as_u64().unwrap_or(0))).collect();
    addresses.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut who: Vec<String> =
        addresses.iter().take(ADDRESSES).map(|(ip, count)| format!("{ip} ({count})")).collect();
    let unnamed = record.pointer("/after/otherAddresses").and_then(Value::as_u64).unwrap_or(0);
    if addresses.len() > ADDRESSES || unnamed > 0 {
        who.push("others".to_owned());
    }
    let reasons: Vec<String> =
        counts("/after/reasons").map(|(reason, count)| format!("{reason} ({count})")).collect();
    (who.join(", "), reasons.join(", "))
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

    #[test]
    fn failed_authentications_say_from_where_and_why() {
        let check = |after: &str, expected: (&str, &str)| {
            let record = serde_json::from_str(&format!(
                r#"{{"kind":"authentication.failed","actor":{{"kind":"anonymous","subject":""}},"after":{after}}}"#
            ));
            let entry = Entry { writer: "local".into(), index: LogIndex(3), line: String::new() };
            let row = row(&entry, &record.unwrap());
            assert_eq!((row[3].as_str(), row[7].as_str()), expected, "{after}");
        };
        check(
            r#"{"reasons":{"token_expired":2,"token_missing":1},"addresses":{"192.0.2.1":3},"otherAddresses":0}"#,
            ("192.0.2.1 (3)", "token_expired (2), token_missing (1)"),
        );
        check(
            r#"{"reasons":{"not_bearer":21},"addresses":{"192.0.2.1":1,"192.0.2.2":7,"192.0.2.3":2,"192.0.2.4":9},"otherAddresses":2}"#,
            ("192.0.2.4 (9), 192.0.2.2 (7), 192.0.2.3 (2), others", "not_bearer (21)"),
        );
        check("7", ("", ""));
    }
}
