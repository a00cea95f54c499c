//! Intents and their outcomes: an outcome closes an intent before it, and none is closed twice.

use std::borrow::Cow;

use serde::Deserialize;

/// Kinds of records that announce something, and have an outcome.
const INTENTS: [&str; 13] = [
    "request.admitted",
    "server.deployed",
    "server.updated",
    "server.removed",
    "server.scaled",
    "server.restarted",
    "server.rolled_back",
    "namespace.changed",
    "role.changed",
    "binding.changed",
    "provider.changed",
    "policy.changed",
    "exemption.changed",
];

/// What is read in a record; the rest must be JSON.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    intent: Option<u64>,
}

/// Which records are intents, and which of these are closed: a bit of each for each record.
#[derive(Default)]
pub(crate) struct Pairs {
    intents: Vec<u64>,
    closed: Vec<u64>,
    /// Intents without outcome so far.
    pub(crate) open: u64,
}

impl Pairs {
    /// Takes the next record, or says what is wrong with it.
    pub(crate) fn add(&mut self, index: u64, line: &[u8]) -> Result<(), String> {
        if index.is_multiple_of(64) {
            self.intents.push(0);
            self.closed.push(0);
        }
        let text = std::str::from_utf8(line).ok().filter(|text| text.starts_with('{'));
        let record = text.and_then(|text| serde_json::from_str::<Record<'_>>(text).ok());
        let Some(record) = record else { return Err("not a JSON object".to_owned()) };
        match record.intent {
            None if INTENTS.contains(&&*record.kind) => {
                mark(&mut self.intents, index);
                self.open += 1;
                Ok(())
            }
            None => Ok(()),
            Some(intent) if !marked(&self.intents, intent) => {
                Err(format!("closes {intent}, which is no intent before it"))
            }
            Some(intent) if marked(&self.closed, intent) => {
                Err(format!("closes {intent}, which was closed before"))
            }
            Some(intent) => {
                mark(&mut self.closed, intent);
                self.open -= 1;
                Ok(())
            }
        }
    }
}

fn mark(bits: &mut [u64], index: u64) {
    if let Some(word) = usize::try_from(index / 64).ok().and_then(|word| bits.get_mut(word)) {
        *word |= 1 << (index % 64);
    }
}

fn marked(bits: &[u64], index: u64) -> bool {
    usize::try_from(index / 64)
        .ok()
        .and_then(|word| bits.get(word))
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_close_an_intent_before_them_once() {
        let check = |lines: &[&str], expected: Result<u64, &str>| {
            let mut pairs = Pairs::default();
            let added = (0..).zip(lines).try_for_each(|(index, line)| pairs.add(index, line.as_bytes()));
            match (added, expected) {
                (Ok(()), Ok(open)) => assert_eq!(pairs.open, open, "{lines:?}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{lines:?}: {found}"),
                (found, expected) => panic!("{lines:?}: {found:?}, not {expected:?}"),
            }
        };
        let intent = r#"{"kind":"request.admitted","more":[1,{"kind":2}]}"#;
        let outcome = r#"{"kind":"request.completed","intent":0}"#;
        check(&["{}", r#"{"kind":"log.opened"}"#], Ok(0));
        check(&[intent, intent], Ok(2));
        check(&[intent, "{}", outcome], Ok(0));
        check(&[intent, outcome, outcome], Err("closed before"));
        check(&["{}", outcome], Err("no intent before it"));
        check(&[outcome], Err("no intent before it"));
        check(&[r#"{"intent":1}"#, intent], Err("no intent before it"));
        check(&[intent, r#"{"intent":18446744073709551615}"#], Err("no intent before it"));
        for line in [
            "",
            "[]",
            "1",
            r#"["request.admitted",0]"#,
            "{",
            "{}}",
            "{} {}",
            r#"{"kind":1}"#,
            r#"{"intent":-1}"#,
        ] {
            check(&[line], Err("not a JSON object"));
        }
        check(&[r#"{"kind":"a","kind":"b"}"#], Err("not a JSON object"));
    }
}
