//! Sealed handles. A text opens if it is, to the letter, what was sealed for this purpose and this binding, and at no
//! other time; what is in a session's handle is read in one way.
//!
//! An input chooses a handle that was sealed, and then edits it: each edit is three bytes.

use narrows_mcp::handle::{HandleKeys, Purpose, SessionHandle};

const PURPOSES: [Purpose; 6] = [
    Purpose::Session,
    Purpose::EventId,
    Purpose::RequestId,
    Purpose::ProgressToken,
    Purpose::RequestState,
    Purpose::Cursor,
];

const BINDINGS: [&[&[u8]]; 5] = [
    &[b"alice", b"dev/files", b"target", b""],
    &[b"bob", b"dev/files", b"target", b""],
    &[b"alice", b"dev/files", b"target", b"session"],
    &[b"alice", b"dev/", b"filestarget", b""],
    &[],
];

pub(crate) fn check(data: &[u8]) {
    if let Ok(session) = SessionHandle::decode(data) {
        assert_eq!(session.encode(), data, "a session has one form");
    }
    let [generation, purpose, binding, length, rest @ ..] = data else { return };
    // The newest key seals; the older ones only open.
    let secrets = [[1; 32], [2; 32], [3; 32]];
    let keys = HandleKeys::new(secrets[0], &secrets[1..]).expect("a key is a key");
    let sealers = secrets.map(|secret| HandleKeys::new(secret, &[]).expect("a key is a key"));
    let sealer = usize::from(*generation) % 4;
    let (content, edits) = rest.split_at(usize::from(*length).min(rest.len()));
    let purpose = PURPOSES[usize::from(*purpose) % PURPOSES.len()];
    let binding = BINDINGS[usize::from(*binding) % BINDINGS.len()];
    let text = match sealers.get(sealer) {
        Some(sealer) => sealer.seal(purpose, binding, content),
        // Made up from nothing.
        None => String::from_utf8_lossy(content).into_owned(),
    };
    let edited = edit(&text, edits);
    let mut uses = 0;
    for opened_for in PURPOSES {
        for bound_to in BINDINGS {
            let opened = keys.open(opened_for, bound_to, &edited);
            let is_its_own = opened_for == purpose && bound_to == binding && sealer < 3;
            if edited == text && is_its_own && text.len() <= 4096 {
                assert_eq!(opened.as_deref(), Ok(content), "what was sealed opens");
            } else if edited == text && sealer < 3 {
                assert!(opened.is_err() || is_its_own, "it opened for another");
            }
            if let Ok(opened) = opened {
                // What a fuzzer makes up may be a seal: it sees the texts that are compared here.
                uses += 1;
                let seals = |sealer: &HandleKeys| sealer.seal(opened_for, bound_to, &opened) == edited;
                assert!(sealers.iter().any(seals), "what opens is the seal of what it holds");
            }
        }
    }
    assert!(uses <= 1, "a text opens for one purpose and one binding");
}

fn edit(text: &str, edits: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(edit[1]) % (bytes.len() + 1);
        let letter = LETTERS[usize::from(edit[2]) % 64];
        match edit[0] % 6 {
            0 if at < bytes.len() => bytes[at] = letter,
            1 => bytes.insert(at, letter),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => bytes.truncate(at),
            4 => bytes.extend_from_within(at..),
            5 => bytes.insert(at, edit[2]),
            _ => {}
        }
        bytes.truncate(8192);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
