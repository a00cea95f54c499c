//! Checkpoints as C2SP signed notes: three lines, an empty one, one signature line. What has any other form is not
//! one of this log's.

use std::io::{self, BufRead};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{key, tree::Hash};

/// Longest note.
const NOTE: usize = 4096;

/// What a note says, after its signature was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// The origin that a note names, not yet believed.
pub(crate) fn origin(note: &str) -> Option<&str> {
    note.split_once('\n').map(|(origin, _)| origin).filter(|origin| !origin.is_empty())
}

/// The checkpoint in a note, if this key signed it under this name.
pub(crate) fn open(note: &str, name: &str, public: &[u8; 32]) -> Option<Checkpoint> {
    let (body, signature) = note.split_once("\n\n")?;
    let text = format!("{body}\n");
    let line = signature.strip_suffix('\n')?.strip_prefix("\u{2014} ")?;
    let signature = STANDARD.decode(line.strip_prefix(name)?.strip_prefix(' ')?).ok()?;
    let (id, signature) = signature.split_first_chunk::<4>()?;
    if *id != key::id(name, public) {
        return None;
    }
    UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), signature).ok()?;

    let mut lines = body.split('\n');
    let (origin, size, root, None) = (lines.next()?, lines.next()?, lines.next()?, lines.next()) else {
        return None;
    };
    let parsed = size.parse::<u64>().ok().filter(|parsed| parsed.to_string() == size)?;
    let root = STANDARD.decode(root).ok()?.try_into().ok()?;
    (origin == name).then_some(Checkpoint { size: parsed, root })
}

/// The next note of a file in which each is followed by an empty line; none at its end. The text may be anything.
pub(crate) fn next(file: &mut impl BufRead) -> io::Result<Option<String>> {
    let (mut text, mut empty) = (Vec::new(), 0);
    while empty < 2 && text.len() < NOTE {
        let before = text.len();
        if file.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        empty += usize::from(text.get(before..) == Some(b"\n"));
    }
    if text.is_empty() {
        return Ok(None);
    }
    // The last empty line separates; without it, the note's own last line is missing or the next one lost it.
    let whole = empty == 2 && text.pop() == Some(b'\n');
    Ok(Some(if whole { String::from_utf8_lossy(&text).into_owned() } else { String::new() }))
}
