//! Changes inputs as JSON. The fuzzer's own changes break brackets most of the time; these keep them, and do what
//! parsers are known to disagree on: members twice or in another case, escapes, numbers at the edges, deep nesting.

use serde_json::{Map, Value};

/// A small generator of numbers (splitmix64); the fuzzer gives the seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides.max(1) as u64) as usize
    }
}

const WORDS: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "params",
    "name",
    "arguments",
    "_meta",
    "uri",
    "cursor",
    "requestState",
    "result",
    "error",
    "tools",
    "nextCursor",
    "isError",
    "resultType",
    "input_required",
    "inputRequests",
    "cacheScope",
    "code",
    "message",
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "completion/complete",
    "initialize",
    "ping",
    "notifications/cancelled",
    "read_file",
    "admin_delete",
    "progressToken",
    "requestId",
    "path",
    "/secret/x",
    "2.0",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientCapabilities",
    "2026-07-28",
    "2025-03-26",
    "$serde_json::private::RawValue",
    "__proto__",
    "",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "param\u{17f}",
    "to\u{212a}en",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "7",
    "1.0",
    "1e0",
    "-1",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e400",
    "0.1",
    "0.30000000000000004",
    "1E-400",
    "4.9e-324",
];

pub(crate) fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let mut dice = Dice(u64::from(seed));
    if dice.roll(2) == 0
        && let Some(changed) = as_json(data.get(..size).unwrap_or_default(), &mut dice)
        && changed.len() <= max.min(data.len())
        && !changed.is_empty()
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max)
}

/// Changes one JSON object of the input, which may have other text around it.
fn as_json(data: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let starts: Vec<usize> =
        data.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at).collect();
    // The outer ones come first, and a change inside of one is likely anyway.
    let pick = dice.roll(starts.len());
    let pick = dice.roll(pick + 1);
    let start = *starts.get(pick)?;
    let mut values = serde_json::Deserializer::from_slice(&data[start..]).into_iter::<Value>();
    let mut value = values.next()?.ok()?;
    let end = start + values.byte_offset();
    for _ in 0..1 + dice.roll(3) {
        change(&mut value, dice);
    }
    let mut text = String::new();
    write(&value, dice, &mut text);
    Some([&data[..start], text.as_bytes(), &data[end..]].concat())
}

fn change(value: &mut Value, dice: &mut Dice) {
    // Down, most of the time.
    if dice.roll(4) != 0 {
        match value {
            Value::Object(members) if !members.is_empty() => {
                let at = dice.roll(members.len());
                if let Some(member) = members.values_mut().nth(at) {
                    return change(member, dice);
                }
            }
            Value::Array(list) if !list.is_empty() => {
                let at = dice.roll(list.len());
                return change(&mut list[at], dice);
            }
            _ => {}
        }
    }
    let word = WORDS[dice.roll(WORDS.len())];
    match (dice.roll(8), &mut *value) {
        (0, Value::Object(members)) => {
            let key = members.keys().nth(dice.roll(members.len())).cloned();
            members.remove(&key.unwrap_or_default());
        }
        (1..=3, Value::Object(members)) => {
            let mut new = leaf(dice);
            if let Some(other) = members.values().nth(dice.roll(members.len())) {
                if dice.roll(2) == 0 {
                    new = other.clone();
                }
            }
            members.insert(word.to_owned(), new);
        }
        (4, Value::Object(members)) => {
            let member =
                members.iter().nth(dice.roll(members.len())).map(|(key, value)| (key.clone(), value.clone()));
            if let Some((key, value)) = member {
                let cased = if dice.roll(2) == 0 { key.to_uppercase() } else { key.replace('s', "\u{17f}") };
                members.insert(cased, value);
            }
        }
        (5, inner) => {
            let inner = inner.take();
            *value = if dice.roll(2) == 0 {
                Value::Array(vec![inner])
            } else {
                Value::Object(Map::from_iter([(word.to_owned(), inner)]))
            };
        }
        (6, Value::Array(list)) if !list.is_empty() => {
            let again = list[dice.roll(list.len())].clone();
            list.push(again);
        }
        (_, value) => *value = leaf(dice),
    }
}

fn leaf(dice: &mut Dice) -> Value {
    match dice.roll(8) {
        0 => Value::Null,
        1 => Value::Bool(dice.roll(2) == 0),
        2 => Value::Object(Map::new()),
        3 => Value::Array(Vec::new()),
        4 => Value::from(dice.roll(10)),
        _ => Value::from(WORDS[dice.roll(WORDS.len())]),
    }
}

/// Writes a value as senders might: now and then a member twice, an escape that need not be, a number at an edge.
fn write(value: &Value, dice: &mut Dice, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                let times = if dice.roll(60) == 0 { 2 } else { 1 };
                for time in 0..times {
                    if at + time > 0 {
                        out.push(',');
                    }
                    string(key, dice, out);
                    out.push_str(if dice.roll(20) == 0 { " :\t" } else { ":" });
                    write(value, dice, out);
                }
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, dice, out);
            }
            out.push(']');
        }
        Value::String(text) => string(text, dice, out),
        Value::Number(_) if dice.roll(10) == 0 => out.push_str(NUMBERS[dice.roll(NUMBERS.len())]),
        other => out.push_str(&other.to_string()),
    }
}

fn string(text: &str, dice: &mut Dice, out: &mut String) {
    if dice.roll(12) != 0 {
        out.push_str(&Value::from(text).to_string());
        return;
    }
    out.push('"');
    for character in text.chars() {
        let mut units = [0; 2];
        match (dice.roll(4), character) {
            (0, '/') => out.push_str("\\/"),
            (0 | 1, _) => {
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            (_, '"' | '\\' | '\0'..='\u{1f}') => {
                out.push_str(Value::from(character.to_string()).to_string().trim_matches('"'))
            }
            (_, other) => out.push(other),
        }
    }
    out.push('"');
}
