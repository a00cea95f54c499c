//! Strings: the one spelling that normalised text uses, and back. Reads only text that the scanner has accepted.

use std::borrow::Cow;

/// The byte that follows the backslash for characters with a short escape.
const fn short_escape(byte: u8) -> Option<char> {
    match byte {
        b'"' => Some('"'),
        b'\\' => Some('\\'),
        0x08 => Some('b'),
        0x09 => Some('t'),
        0x0a => Some('n'),
        0x0c => Some('f'),
        0x0d => Some('r'),
        _ => None,
    }
}

/// Whether canonical text escapes this byte.
pub(super) const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes from the start need no escape: the index of the first quote, backslash or control character,
/// or the length.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<8>().map(|word| escaped_in(*word)) {
        Some(found) if found != 0 => found.trailing_zeros() as usize / 8,
        Some(_) | None => long_run(bytes),
    }
}

fn long_run(bytes: &[u8]) -> usize {
    // Only what is longer than a few words is worth the wide steps.
    let Some(head) = bytes.get(..64) else { return run_by_words(bytes) };
    let run = run_by_words(head);
    if run < head.len() {
        return run;
    }
    let (blocks, _) = bytes.as_chunks::<64>();
    // Compiles to vector comparisons.
    let clean = |block: &&[u8; 64]| !block.iter().fold(false, |found, byte| found | is_escaped(*byte));
    let skipped = 64 * blocks.iter().take_while(clean).count();
    skipped + run_by_words(bytes.get(skipped..).unwrap_or(&[]))
}

fn run_by_words(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = escaped_in(*word);
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + tail.iter().position(|byte| is_escaped(*byte)).unwrap_or(tail.len())
}

/// Zero if no byte needs an escape; else the lowest bit set is in the first one that does.
#[inline]
const fn escaped_in(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    // Each term marks its lowest match exactly (borrows only spread upwards), so the lowest mark of all is exact.
    (word.wrapping_sub(ONES * 0x20) & !word
        | quote.wrapping_sub(ONES) & !quote
        | slash.wrapping_sub(ONES) & !slash)
        & HIGH
}

/// Appends one character as canonical text writes it inside a string.
pub(super) fn push_char(out: &mut String, character: char) {
    match u8::try_from(character) {
        Ok(byte) if is_escaped(byte) => push_escaped(out, byte),
        Ok(_) | Err(_) => out.push(character),
    }
}

fn push_escaped(out: &mut String, byte: u8) {
    out.push('\\');
    if let Some(letter) = short_escape(byte) {
        out.push(letter);
    } else {
        out.push_str("u00");
        for digit in [byte >> 4, byte & 0xf] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
}

/// Appends `text` as a JSON string: quoted, with only the quote, the backslash and control characters escaped
/// (`\b \t \n \f \r`, else `\u00xx`), everything else literal.
pub fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    push_text(out, text);
    out.push('"');
}

fn push_text(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at_checked(plain_run(rest.as_bytes())).unwrap_or((rest, ""));
        out.push_str(plain);
        let Some(byte) = after.bytes().next() else { return };
        push_escaped(out, byte);
        rest = after.get(1..).unwrap_or("");
    }
}

/// The text of a canonical string's inside (between the quotes).
pub(super) fn unescape(inside: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inside.as_bytes()) else { return Cow::Borrowed(inside) };
    let (plain, mut rest) = inside.split_at_checked(first).unwrap_or((inside, ""));
    let mut text = String::with_capacity(inside.len());
    text.push_str(plain);
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(rest.get(..at).unwrap_or(""));
        let mut after = rest.get(at + 1..).unwrap_or("").chars();
        match after.next() {
            Some('b') => text.push('\u{8}'),
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('f') => text.push('\u{c}'),
            Some('r') => text.push('\r'),
            Some('u') => {
                let code = after.by_ref().take(4).filter_map(|c| c.to_digit(16)).fold(0, |n, d| n * 16 + d);
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => text.push(other),
            None => {}
        }
        rest = after.as_str();
    }
    text.push_str(rest);
    Cow::Owned(text)
}
