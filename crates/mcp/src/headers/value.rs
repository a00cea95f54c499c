//! Values of `Mcp-Name` and `Mcp-Param-*`: plain, or in the base64 sentinel `=?base64?…?=`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::json::{Kind, Value, write_string};

const OPENS: &str = "=?base64?";
const CLOSES: &str = "?=";
/// How many values of a call's arguments are looked at.
const MOST_VALUES: usize = 4096;
/// The longest value that a header could say, as JSON.
const LONGEST_VALUE: usize = 64 * 1024;

/// The text that a header's value stands for. `None` where the value wears the sentinel but holds no padded,
/// canonical base64 of UTF-8.
pub(super) fn decode(value: &str) -> Option<String> {
    match value.strip_prefix(OPENS).and_then(|rest| rest.strip_suffix(CLOSES)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// How a text is written in a header: as it is, or in the sentinel where it can't be or where it looks like one.
pub(super) fn encode(text: &str) -> String {
    let ends_plain = !text.starts_with(' ') && !text.ends_with(' ');
    let is_sentinel = text.starts_with(OPENS) && text.ends_with(CLOSES);
    let plain =
        ends_plain && !is_sentinel && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if plain { text.to_owned() } else { format!("{OPENS}{}{CLOSES}", STANDARD.encode(text)) }
}

/// The strings, numbers and booleans of a call's arguments, also those inside of objects (the path to an
/// annotated parameter may lead through objects, never through arrays).
pub(super) struct Scalars<'a>(Vec<Value<'a>>);

impl<'a> Scalars<'a> {
    pub(super) fn of(arguments: Option<Value<'a>>) -> Self {
        let mut found = Self(Vec::new());
        if let Some(arguments) = arguments {
            found.collect(arguments);
        }
        found
    }

    fn collect(&mut self, value: Value<'a>) {
        match value.kind() {
            Kind::Object => value.members().for_each(|(_, member)| self.collect(member)),
            Kind::String | Kind::Bool | Kind::Number => {
                if self.0.len() < MOST_VALUES && value.raw().len() <= LONGEST_VALUE {
                    self.0.push(value);
                }
            }
            Kind::Array | Kind::Null => {}
        }
    }

    /// The first value that says the same as `text`, as a header is written.
    pub(super) fn written(&self, text: &str) -> Option<String> {
        let mut string = String::new();
        write_string(&mut string, text);
        self.0.iter().find_map(|value| match value.kind() {
            Kind::String => (value.raw() == string).then(|| encode(text)),
            Kind::Bool => (value.raw() == text).then(|| text.to_owned()),
            Kind::Number => is_number(value.raw(), text).then(|| value.raw().to_owned()),
            Kind::Object | Kind::Array | Kind::Null => None,
        })
    }
}

/// Numbers are compared as numbers (`42.0` is `42`), where both are small enough to be exact.
fn is_number(raw: &str, text: &str) -> bool {
    let exact = |text: &str| {
        let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let number = text.parse::<f64>().ok()?;
        (plain && number.abs() < 9_007_199_254_740_992.0).then_some(number)
    };
    raw == text || exact(raw).is_some_and(|number| exact(text) == Some(number))
}
