//! Which names of tools and prompts, and which URIs, are let through to be judged. What a log or a terminal would
//! not show as it is, is refused: the judge compares bytes, people compare what they see. (Letters that look alike
//! are still different names.)

/// The longest name, in characters.
const NAME_LENGTH: usize = 256;
/// The longest URI, in bytes.
const URI_LENGTH: usize = 8 * 1024;

/// Whether this can be a tool's or a prompt's name: 1 to 256 characters, all of them visible or plain spaces,
/// and no space at either end.
pub(crate) fn is_name(name: &str) -> bool {
    let mut length = 0;
    for character in name.chars() {
        length += 1;
        let blank = character.is_control() || character.is_whitespace() && character != ' ';
        if length > NAME_LENGTH || blank || is_directional(character) || is_invisible(character) {
            return false;
        }
    }
    length > 0 && !name.starts_with(' ') && !name.ends_with(' ')
}

/// Whether this can be a URI or a URI template: 1 byte to 8 KiB, without white space, control characters and
/// directional marks (which RFC 3987, 4.1, forbids in IRIs). Joiners and variation selectors are let through:
/// file names have them.
pub(crate) fn is_uri(uri: &str) -> bool {
    (1..=URI_LENGTH).contains(&uri.len())
        && !uri
            .chars()
            .any(|character| character.is_control() || character.is_whitespace() || is_directional(character))
}

/// Characters that change the order in which others are shown, and the byte order mark.
const fn is_directional(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// Characters that take no place: joiners, fillers, variation selectors, tags, and what is reserved for such.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
