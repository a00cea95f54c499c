//! Values of `Mcp-Name` and `Mcp-Param-*`: plain, or in the base64 sentinel `=?base64?…?=`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::json::{Kind, Value};

const OPENS: &str = "=?base64?";
const CLOSES: &str = "?=";
/// How many values of a call's arguments are looked at for one header.
const MOST_VALUES: usize = 4096;

/// A header's value, decoded.
pub(super) struct Decoded {
    pub(super) text: String,
}

impl Decoded {
    /// `None` where the value wears the sentinel but holds no padded, canonical base64 of UTF-8.
    pub(super) fn read(value: &str) -> Option<Self> {
        let text = match value.strip_prefix(OPENS).and_then(|rest| rest.strip_suffix(CLOSES)) {
            Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?,
            None => value.to_owned(),
        };
        Some(Self { text })
    }

    /// The first value in `arguments`, also inside of objects, that says the same; as a header is written.
    pub(super) fn find(&self, arguments: Value<'_>) -> Option<String> {
        let mut left = MOST_VALUES;
        self.find_in(arguments, &mut left)
    }

    fn find_in(&self, value: Value<'_>, left: &mut usize) -> Option<String> {
        *left = left.checked_sub(1)?;
        match value.kind() {
            Kind::Object => value.members().find_map(|(_, member)| self.find_in(member, left)),
            Kind::String => value.as_string().filter(|text| *text == self.text).map(|text| encode(&text)),
            Kind::Bool => (value.raw() == self.text).then(|| value.raw().to_owned()),
            Kind::Number => self.is_number(value.raw()).then(|| value.raw().to_owned()),
            Kind::Array | Kind::Null => None,
        }
    }

    /// Numbers are compared as numbers (`42.0` is `42`), where both are small enough to be exact.
    fn is_number(&self, raw: &str) -> bool {
        let exact = |text: &str| {
            let plain =
                text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
            let number = text.parse::<f64>().ok()?;
            (plain && number.abs() < 9_007_199_254_740_992.0).then_some(number)
        };
        self.text == raw || exact(raw).is_some_and(|number| exact(&self.text) == Some(number))
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
