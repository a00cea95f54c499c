//! A record as JSON text, written out member by member. Each call writes two records, and a serialiser that is told of
//! each member and each string's pieces one by one took a tenth of the processor's time for a call. What this writes
//! is, byte for byte, what serde_json writes of the same record; a property test holds it to that.

use serde::Serialize;

use super::record::{Actor, DecisionRecord, Object, OutcomeRecord, Record, RequestRecord, Source};

/// The record's line. Only numbers and whole objects, which serde_json writes, can fail.
pub(super) fn line(record: &Record<'_>) -> Result<Vec<u8>, serde_json::Error> {
    // All members by name, here and below: one that is added must be written too.
    let Record {
        id,
        time,
        kind,
        intent,
        actor,
        source,
        object,
        request,
        decision,
        change,
        before,
        after,
        outcome,
        trace,
    } = record;
    let mut text = Text(Vec::with_capacity(1024));
    text.raw("{\"id\":").string(id);
    text.raw(",\"time\":").string(time);
    text.raw(",\"kind\":").json(kind)?;
    if let Some(intent) = intent {
        text.raw(",\"intent\":").json(intent)?;
    }
    if let Some(actor) = actor {
        text.raw(",\"actor\":").actor(actor);
    }
    if let Some(source) = source {
        text.raw(",\"source\":").source(source);
    }
    if let Some(object) = object {
        text.raw(",\"object\":").object(object);
    }
    if let Some(request) = request {
        text.raw(",\"request\":").request(request);
    }
    if let Some(decision) = decision {
        text.raw(",\"decision\":").decision(decision);
    }
    if let Some(change) = change {
        text.raw(",\"change\":").json(change)?;
    }
    if let Some(before) = before {
        text.raw(",\"before\":").json(before)?;
    }
    if let Some(after) = after {
        text.raw(",\"after\":").json(after)?;
    }
    if let Some(outcome) = outcome {
        text.raw(",\"outcome\":").outcome(outcome)?;
    }
    text.optional(",\"trace\":", *trace).raw("}");
    Ok(text.0)
}

struct Text(Vec<u8>);

impl Text {
    /// Text that is JSON as it is.
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A string with its quotes, escaped where RFC 8259 section 7 asks for it.
    fn string(&mut self, text: &str) -> &mut Self {
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = first_escaped(rest) {
            let (plain, escaped) = rest.split_at(at);
            self.0.extend_from_slice(plain);
            let Some((byte, after)) = escaped.split_first() else { break };
            self.escape(*byte);
            rest = after;
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
        self
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
            0x08 => self.0.extend_from_slice(b"\\b"),
            0x09 => self.0.extend_from_slice(b"\\t"),
            0x0a => self.0.extend_from_slice(b"\\n"),
            0x0c => self.0.extend_from_slice(b"\\f"),
            0x0d => self.0.extend_from_slice(b"\\r"),
            _ => {
                self.0.extend_from_slice(b"\\u00");
                self.0.extend(
                    [byte >> 4, byte & 0x0f].iter().filter_map(|nibble| HEX.get(usize::from(*nibble))),
                );
            }
        }
    }

    /// A member that may be absent; `name` begins with its comma.
    fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.raw(name).string(value);
        }
        self
    }

    /// Whatever it is, by serde_json.
    fn json(&mut self, value: &impl Serialize) -> Result<&mut Self, serde_json::Error> {
        serde_json::to_writer(&mut self.0, value)?;
        Ok(self)
    }

    fn actor(&mut self, actor: &Actor<'_>) {
        let Actor { kind, issuer, subject, on_behalf_of, groups } = actor;
        self.raw("{\"kind\":").string(kind);
        self.raw(",\"issuer\":").string(issuer);
        self.raw(",\"subject\":").string(subject);
        self.optional(",\"onBehalfOf\":", *on_behalf_of).raw(",\"groups\":[");
        for (index, group) in groups.iter().enumerate() {
            self.raw(if index == 0 { "" } else { "," }).string(group);
        }
        self.raw("]}");
    }

    fn source(&mut self, source: &Source<'_>) {
        let Source { ip, user_agent } = source;
        self.raw("{\"ip\":").string(ip);
        self.raw(",\"userAgent\":").string(user_agent).raw("}");
    }

    fn object(&mut self, object: &Object<'_>) {
        let Object { kind, namespace, name } = object;
        self.raw("{\"kind\":").string(kind);
        self.optional(",\"namespace\":", Some(*namespace).filter(|namespace| !namespace.is_empty()));
        self.raw(",\"name\":").string(name).raw("}");
    }

    fn request(&mut self, request: &RequestRecord<'_>) {
        let RequestRecord { id, session, method, tool, resource, prompt, revision, args_digest } = request;
        self.raw("{\"id\":").string(id);
        self.optional(",\"session\":", *session);
        self.raw(",\"method\":").string(method);
        self.optional(",\"tool\":", *tool);
        self.optional(",\"resource\":", *resource);
        self.optional(",\"prompt\":", *prompt);
        self.optional(",\"revision\":", *revision);
        self.optional(",\"argsDigest\":", *args_digest).raw("}");
    }

    fn decision(&mut self, decision: &DecisionRecord<'_>) {
        let DecisionRecord { effect, rule, snapshot_revision, mode } = decision;
        self.raw("{\"effect\":").string(effect);
        self.raw(",\"rule\":").string(rule);
        self.raw(",\"snapshotRevision\":").string(snapshot_revision);
        self.raw(",\"mode\":").string(mode).raw("}");
    }

    fn outcome(&mut self, outcome: &OutcomeRecord<'_>) -> Result<(), serde_json::Error> {
        let OutcomeRecord { status, error, duration_ms, bytes } = outcome;
        self.raw("{\"status\":").string(status);
        self.optional(",\"error\":", *error);
        self.raw(",\"durationMs\":").json(duration_ms)?;
        self.raw(",\"bytes\":").json(bytes)?.raw("}");
        Ok(())
    }
}

/// Where the first byte stands that can't stand in a string as it is. Eight bytes at a time where there are as many.
fn first_escaped(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte that is zero, and perhaps of some after it (Hacker's Delight, section 6-1).
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let found = control | quote | backslash;
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|byte| needs_escape(*byte)).map(|at| words.len() * 8 + at)
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        audit::{ChangeRecord, RecordKind},
        ports::LogIndex,
    };

    /// Text with all that is escaped, and what is not.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[ -~]{0,40}", "[\\x00-\\x24\\\\\u{7f}é\u{2028}😀]{0,24}"]
    }

    proptest! {
        #[test]
        fn it_writes_what_serde_json_writes(
            texts in proptest::collection::vec(text(), 22),
            present in proptest::collection::vec(any::<bool>(), 16),
            number in any::<u64>(),
            duration in 0.0_f64..1e12,
        ) {
            let text = |index: usize| texts[index].as_str();
            let some = |index: usize, value: &'static str| present[index].then_some(value);
            let maybe = |index: usize| present[index].then(|| text(index));
            let groups: Vec<Arc<str>> = texts.iter().skip(20).map(|text| text.as_str().into()).collect();
            let value = serde_json::json!({ "a": [texts[0], number], "b": null });
            let record = Record {
                id: text(0),
                time: text(1),
                kind: if present[0] { RecordKind::RequestAdmitted } else { RecordKind::LogOpened },
                intent: present[1].then_some(LogIndex(number)),
                actor: present[2].then(|| Actor {
                    kind: text(2), issuer: text(3), subject: text(4), on_behalf_of: maybe(5),
                    groups: &groups[..usize::from(present[6]) * 2],
                }),
                source: present[7].then(|| Source { ip: text(6), user_agent: text(7) }),
                object: present[8].then(|| Object { kind: text(8), namespace: text(9), name: text(10) }),
                request: present[9].then(|| RequestRecord {
                    id: text(11), session: maybe(10), method: text(12), tool: maybe(11), resource: maybe(12),
                    prompt: maybe(13), revision: maybe(15), args_digest: maybe(14),
                }),
                decision: present[10].then(|| DecisionRecord {
                    effect: text(14), rule: text(15), snapshot_revision: text(16), mode: text(17),
                }),
                change: present[11].then(|| ChangeRecord {
                    id: text(0), operation: text(1), base: text(2), revision: text(3), objects: number,
                    file: maybe(4), reason: maybe(5),
                }),
                before: present[11].then_some(&value),
                after: present[12].then_some(&value),
                outcome: present[13].then(|| OutcomeRecord {
                    status: text(18), error: some(14, "why"), duration_ms: duration, bytes: number,
                }),
                trace: maybe(15),
            };
            prop_assert_eq!(line(&record).unwrap(), serde_json::to_vec(&record).unwrap());
        }
    }
}
