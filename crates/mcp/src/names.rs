//! Which names of tools and prompts, and which URIs, are let through to be judged. A name that looks like
//! another, or that a log or a terminal would not show as it is, is refused: the judge compares bytes, people
//! compare what they see.

/// The longest name, in characters.
const NAME_LENGTH: usize = 256;
/// The longest URI, in bytes.
const URI_LENGTH: usize = 8 * 1024;

/// Whether this can be a tool's or a prompt's name: 1 to 256 characters, all of them visible or plain spaces,
/// none at either end a space.
pub(crate) fn is_name(name: &str) -> bool {
    let mut length = 0;
    for character in name.chars() {
        length += 1;
        if length > NAME_LENGTH || character.is_control() || is_invisible(character) {
            return false;
        }
    }
    length > 0 && name.trim() == name
}

/// Whether this can be a URI or a URI template: 1 byte to 8 KiB, without white space and characters that don't
/// show.
pub(crate) fn is_uri(uri: &str) -> bool {
    (1..=URI_LENGTH).contains(&uri.len())
        && !uri
            .chars()
            .any(|character| character.is_control() || character.is_whitespace() || is_invisible(character))
}

/// Characters that take no place, or that change the place of others: directional marks, joiners, fillers,
/// variation selectors, tags.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
