use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{collection::vec, prelude::*};

use super::{HandleKeys, InvalidHandle, Purpose, SessionHandle};
use crate::{envelope::Id, revision::Revision};

const PURPOSES: [Purpose; 6] = [
    Purpose::Session,
    Purpose::EventId,
    Purpose::RequestId,
    Purpose::ProgressToken,
    Purpose::RequestState,
    Purpose::Cursor,
];

fn keys(current: u8, previous: &[u8]) -> HandleKeys {
    let previous: Vec<[u8; 32]> = previous.iter().map(|byte| [*byte; 32]).collect();
    HandleKeys::new([current; 32], &previous).unwrap()
}

/// Alice on one server.
const ALICE: &[&[u8]] = &[b"alice", b"dev/files"];

#[test]
fn a_handle_opens_only_as_it_was_sealed() {
    let keys = keys(1, &[]);
    for purpose in PURPOSES {
        let handle = keys.seal(purpose, ALICE, b"state");
        assert_eq!(keys.open(purpose, ALICE, &handle), Ok(b"state".to_vec()));
        assert_eq!(keys.seal(purpose, ALICE, b"state"), handle, "the same content, the same handle");
        for other in PURPOSES {
            assert_eq!(keys.open(other, ALICE, &handle).is_ok(), other == purpose);
        }
        let others: [&[&[u8]]; 8] = [
            &[b"bob", b"dev/files"],
            &[b"alice", b"dev/other"],
            &[b"dev/files", b"alice"],
            &[b"alice"],
            &[b"alice", b"dev/files", b""],
            &[b"alicedev/files"],
            &[b"alic", b"edev/files"],
            &[],
        ];
        for other in others {
            assert_eq!(keys.open(purpose, other, &handle), Err(InvalidHandle), "{other:?}");
        }
    }
}

#[test]
fn keys_are_rotated() {
    let old = keys(1, &[]).seal(Purpose::Session, ALICE, b"x");
    let opened = |keys: HandleKeys| keys.open(Purpose::Session, ALICE, &old).is_ok();
    assert!(opened(keys(1, &[])));
    assert!(opened(keys(2, &[1])));
    assert!(opened(keys(3, &[2, 1])));
    assert!(!opened(keys(2, &[])));
    assert!(!opened(keys(2, &[3])));
    assert_ne!(keys(2, &[1]).seal(Purpose::Session, ALICE, b"x"), old);
}

#[test]
fn handles_never_issued() {
    let keys = keys(1, &[]);
    let handle = keys.seal(Purpose::Session, ALICE, b"x");
    let long = "A".repeat(4097);
    let made_up = [
        "",
        "A",
        "AA",
        "session",
        "00000000-0000-0000-0000-000000000000",
        "é",
        "....",
        &"A".repeat(38),
        &"A".repeat(39),
        &"A".repeat(4096),
        &long,
        &format!("{handle}="),
        &format!("{handle}A"),
        &format!(" {handle}"),
        &format!("{handle}\n"),
        &handle.to_lowercase(),
        &handle.replace(['-', '_'], "+"),
    ];
    for text in made_up {
        assert_eq!(keys.open(Purpose::Session, ALICE, text), Err(InvalidHandle), "{text}");
    }
}

#[test]
fn sizes() {
    let keys = keys(1, &[]);
    for (purpose, most) in PURPOSES.map(|purpose| (purpose, purpose.longest() / 4 * 3 - 29)) {
        let handle = keys.seal(purpose, ALICE, &vec![0; most]);
        assert_eq!((handle.len(), keys.open(purpose, ALICE, &handle).is_ok()), (purpose.longest(), true));
        let handle = keys.seal(purpose, ALICE, &vec![0; most + 1]);
        assert_eq!(keys.open(purpose, ALICE, &handle), Err(InvalidHandle));
    }
}

#[test]
fn every_changed_bit_is_found() {
    let keys = keys(1, &[]);
    let handle = keys.seal(Purpose::RequestState, ALICE, b"some state");
    let bytes = URL_SAFE_NO_PAD.decode(&handle).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert_eq!(keys.open(Purpose::RequestState, ALICE, &changed), Err(InvalidHandle), "bit {bit}");
    }
    for length in 0..bytes.len() {
        let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
        assert_eq!(keys.open(Purpose::RequestState, ALICE, &cut), Err(InvalidHandle), "{length} bytes");
    }
}

/// Known answers (made by another implementation), so that a change of the form does not go unseen: handles outlive the process.
#[test]
fn the_form_is_stable() {
    let keys = keys(7, &[]);
    assert_eq!(
        keys.seal(Purpose::Session, ALICE, b"state"),
        "jL1RdmOyvJW8AuR6mTQOT37uyj4elI4yT019N9EeYQQL4g"
    );
    assert_eq!(keys.request_number(ALICE, &Id::number(1)), 193_333_339_024_660);
}

#[test]
fn request_numbers() {
    let one = keys(1, &[]);
    let number = |bound: &[&[u8]], id: Id| one.request_number(bound, &id);
    let first = number(ALICE, Id::number(1));
    assert_eq!(number(ALICE, Id::number(1)), first);
    assert_ne!(number(ALICE, Id::string("1")), first);
    assert_ne!(number(ALICE, Id::number(2)), first);
    assert_ne!(number(&[b"bob", b"dev/files"], Id::number(1)), first);
    assert_ne!(number(&[b"alicedev/files"], Id::number(1)), first);
    assert_ne!(keys(2, &[1]).request_number(ALICE, &Id::number(1)), first);
    let mut all: Vec<u64> = (0..20_000).map(|n| number(ALICE, Id::number(n))).collect();
    assert!(all.iter().all(|number| (1..1 << 53).contains(number)));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20_000);
}

#[test]
fn sessions() {
    let keys = keys(1, &[]);
    let session = SessionHandle {
        upstream_session: "up-é".into(),
        revision: Revision::V2025_11_25,
        expires_unix: 1000,
        nonce_or_opened: 42,
    };
    let handle = session.seal(&keys, ALICE);
    assert!(handle.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(SessionHandle::open(&keys, ALICE, &handle, 999), Ok(session.clone()));
    assert_eq!(SessionHandle::open(&keys, ALICE, &handle, 1000), Err(InvalidHandle));
    assert_eq!(SessionHandle::open(&keys, &[b"bob", b"dev/files"], &handle, 0), Err(InvalidHandle));
    let cursor = keys.seal(Purpose::Cursor, ALICE, &session.encode());
    assert_eq!(SessionHandle::open(&keys, ALICE, &cursor, 0), Err(InvalidHandle));
    for revision in Revision::ALL {
        let session = SessionHandle { revision, upstream_session: String::new(), ..session.clone() };
        assert_eq!(SessionHandle::decode(&session.encode()), Ok(session));
    }
    let bytes = session.encode();
    for wrong in [&bytes[..17], &[], &[2; 18], &[1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(SessionHandle::decode(wrong), Err(InvalidHandle));
    }
    assert_eq!(SessionHandle::decode(&[&bytes[..], b"\xff"].concat()), Err(InvalidHandle));
}

#[test]
fn keys_are_not_shown() {
    assert_eq!(format!("{:?}", keys(1, &[2])), "HandleKeys { previous: 1, .. }");
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        content in vec(any::<u8>(), 0..300),
        bound in vec(vec(any::<u8>(), 0..20), 0..4),
        other in vec(vec(any::<u8>(), 0..20), 0..4),
    ) {
        let keys = keys(1, &[]);
        let bound: Vec<&[u8]> = bound.iter().map(Vec::as_slice).collect();
        let other: Vec<&[u8]> = other.iter().map(Vec::as_slice).collect();
        let handle = keys.seal(Purpose::Cursor, &bound, &content);
        prop_assert_eq!(keys.open(Purpose::Cursor, &bound, &handle), Ok(content));
        prop_assert_eq!(keys.open(Purpose::Cursor, &other, &handle).is_ok(), bound == other);
    }

    #[test]
    fn nothing_made_up_opens(text in "[A-Za-z0-9_-]{0,120}") {
        prop_assert_eq!(keys(1, &[]).open(Purpose::Session, ALICE, &text), Err(InvalidHandle));
    }
}
