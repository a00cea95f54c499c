//! The report as JUnit XML, in the form that CI systems read: a suite for each resource, a case for each rule. What is denied
//! has failed; what is exempted was skipped; a warning is in the output of a case that passed.

use std::fmt::Write as _;

use narrows_console::Violation;
use narrows_core::governance::Effect;

use super::Tested;

/// Writes the report.
pub(super) fn report(tested: &[Tested]) -> String {
    let mut suites: Vec<(String, Vec<&Tested>)> = Vec::new();
    for one in tested {
        let name = one.object();
        match suites.last_mut() {
            Some((last, cases)) if *last == name => cases.push(one),
            _ => suites.push((name, vec![one])),
        }
    }
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let all: Vec<&Tested> = tested.iter().collect();
    // Writing to a text does not fail.
    let _ = writeln!(text, "<testsuites name=\"narrows policy test\" {}>", counts(&all));
    for (name, cases) in &suites {
        let _ = writeln!(text, "  <testsuite name=\"{}\" {}>", escaped(name), counts(cases));
        for case in cases {
            write_case(&mut text, name, case);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn counts(cases: &[&Tested]) -> String {
    let (mut failures, mut skipped) = (0, 0);
    for case in cases {
        match case.effect() {
            Some(Effect::Deny) => failures += 1,
            Some(Effect::Exempted { .. }) => skipped += 1,
            Some(Effect::Warn) | None => {}
        }
    }
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"0\"", cases.len())
}

fn write_case(text: &mut String, suite: &str, case: &Tested) {
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"0\"",
        escaped(suite),
        escaped(&case.rule_id()),
        escaped(&case.place.file),
        case.place.line
    );
    let Some(violation) = &case.examined.violation else {
        text.push_str("/>\n");
        return;
    };
    let said = escaped(&format!("{}: {}", case.place, Violation::from(violation)));
    let message = escaped(&violation.message);
    let _ = match violation.effect {
        Effect::Deny => {
            writeln!(text, ">\n      <failure message=\"{message}\" type=\"deny\">{said}</failure>")
        }
        Effect::Exempted { .. } => writeln!(text, ">\n      <skipped message=\"{said}\"/>"),
        Effect::Warn => writeln!(text, ">\n      <system-out>warning: {said}</system-out>"),
    };
    text.push_str("    </testcase>\n");
}

/// A text as it may stand in XML 1.0, also between quotes: what no document may hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn texts_can_stand_in_xml() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("plain ü", "plain ü");
        check("]]><x a='1' b=\"2\">&", "]]&gt;&lt;x a=&apos;1&apos; b=&quot;2&quot;&gt;&amp;");
        check("a\nb\tc\u{0}\u{1b}[31m\u{ffff}", "a&#10;b&#9;c\u{fffd}\u{fffd}[31m\u{fffd}");
    }
}
