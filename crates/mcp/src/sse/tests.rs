use proptest::{collection::vec, prelude::*};

use super::{Event, EventParser, SseError, write_event};

fn parse(stream: &[u8], sizes: &[usize], max_event: usize) -> Result<Vec<Event>, SseError> {
    let mut parser = EventParser::new(max_event);
    let mut events = Vec::new();
    let mut sizes = sizes.iter().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        parser.push(piece, &mut events)?;
        rest = after;
    }
    Ok(events)
}

/// An event as `id|event|retry|data`, what is absent as `-`.
fn shown(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let retry = event.retry.map_or("-".into(), |retry| retry.to_string());
    format!("{}|{}|{retry}|{}", text(&event.id), text(&event.event), event.data)
}

const CASES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("data: {}\n\n", &["-|-|-|{}"]),
    ("data: {}\r\n\r\n", &["-|-|-|{}"]),
    ("data: {}\r\r", &["-|-|-|{}"]),
    ("data: {}\r\n\n", &["-|-|-|{}"]),
    ("data: {}\n\r", &["-|-|-|{}"]),
    ("data: a\r\ndata: b\r\n\r\n", &["-|-|-|a\nb"]),
    ("data: a\rdata: b\r\r", &["-|-|-|a\nb"]),
    ("\u{feff}data: a\n\n", &["-|-|-|a"]),
    ("data: a\n\n\u{feff}data: b\n\n", &["-|-|-|a"]),
    ("\n\n\ndata: a\n\n\n\n", &["-|-|-|a"]),
    ("data:a\n\ndata:  b\n\n", &["-|-|-|a", "-|-|-| b"]),
    ("data:a:b\n\n", &["-|-|-|a:b"]),
    ("data\n\n", &[]),
    ("data\ndata\n\n", &["-|-|-|\n"]),
    ("data: \n\n", &[]),
    // Without a blank line at its end an event is not complete.
    ("data: a\n", &[]),
    ("data: a\n\ndata: b\n", &["-|-|-|a"]),
    ("data: a", &[]),
    // Comments and fields that mean nothing.
    (": ping\n\n", &[]),
    (":\n\ndata: a\n:x\n\n", &["-|-|-|a"]),
    ("DATA: a\n\nData: b\n\n data: c\n\n", &[]),
    ("foo: bar\nfoo\n\n", &[]),
    ("data : a\n\n", &[]),
    // Ids, types, times.
    ("id: 7\n\n", &["7|-|-|"]),
    ("id: 7\ndata: a\n\ndata: b\n\n", &["7|-|-|a", "-|-|-|b"]),
    ("id\ndata: a\n\n", &["|-|-|a"]),
    ("id: a\0b\ndata: a\n\n", &["-|-|-|a"]),
    ("id: 1\nid: 2\ndata: a\n\n", &["2|-|-|a"]),
    ("event: message\ndata: a\n\n", &["-|message|-|a"]),
    ("event: message\n\ndata: a\n\n", &["-|-|-|a"]),
    ("retry: 500\n\n", &["-|-|500|"]),
    ("id: 1\nretry: 500\ndata:\n\n", &["1|-|500|"]),
    ("retry: 5s\nretry: -1\nretry:\nretry: 1.5\ndata: a\n\n", &["-|-|-|a"]),
    ("retry: 99999999999999999999\ndata: a\n\n", &["-|-|-|a"]),
    // What looks like a line end to others and is none.
    ("data: a\u{2028}id: 1\u{85}id: 2\u{b}id: 3\n\n", &["-|-|-|a\u{2028}id: 1\u{85}id: 2\u{b}id: 3"]),
    ("data: a\0b\n\n", &["-|-|-|a\0b"]),
    // A carriage return in the data is a line end, whatever the sender meant.
    ("data: {\"a\":\"\rid: evil\rdata: x\"}\n\n", &["evil|-|-|{\"a\":\"\nx\"}"]),
    ("data: é😀\n\n", &["-|-|-|é😀"]),
];

#[test]
fn streams() {
    for (stream, expected) in CASES {
        for sizes in [&[usize::MAX][..], &[1], &[2, 1, 5]] {
            let events = parse(stream.as_bytes(), sizes, 1000).unwrap();
            let events: Vec<String> = events.iter().map(shown).collect();
            assert_eq!(events, *expected, "{stream:?} in {sizes:?}");
        }
    }
}

#[test]
fn refused_streams() {
    let check = |stream: &[u8], expected: Result<usize, SseError>| {
        for sizes in [&[usize::MAX][..], &[1], &[7]] {
            assert_eq!(parse(stream, sizes, 32).map(|events| events.len()), expected);
        }
    };
    check(b"data: 12345678901234567890123456\n", Ok(0));
    check(b"data: 123456789012345678901234567\n", Err(SseError::TooLarge));
    check(b"data: 12345678901234567890123456\n\n", Ok(1));
    check(&b"data: 1234567890\n\n".repeat(100), Ok(100));
    check(&b"data: 1\n".repeat(13), Ok(0));
    check(&b"data: 1\n".repeat(15), Err(SseError::TooLarge));
    check(&b"data\n".repeat(100), Err(SseError::TooLarge));
    check(b"id: 12345678901234567890\nevent: 12345678", Err(SseError::TooLarge));
    check(&b"id: 12345678901234567890\n".repeat(50), Err(SseError::TooLarge));
    check(&b"id: 123\n".repeat(50), Ok(0));
    check(&b":234567\n".repeat(500), Ok(0));
    check(&b":\n\n".repeat(500), Ok(0));
    check(&b"retry: 100\n".repeat(500), Ok(0));
    check(&[b'x'; 1000], Err(SseError::TooLarge));
    check(b"data: \xff\n\n", Err(SseError::Encoding));
    check(b"data: \xc0\xaf\n\n", Err(SseError::Encoding));
    check(b"data: \xe2\x82\n\n", Err(SseError::Encoding));
    check(b"\xfe\xff\0d\n\n", Err(SseError::Encoding));
}

#[test]
fn written_events() {
    let check = |id, retry, data, expected: Result<&str, SseError>| {
        let mut out = b"before".to_vec();
        let result = write_event(&mut out, id, retry, data);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(result.map(|()| out.strip_prefix("before").unwrap()), expected);
        if result.is_err() {
            assert_eq!(out, "before");
        }
    };
    check(None, None, "{}", Ok("data: {}\n\n"));
    check(Some("a:b"), Some(30), "{}", Ok("id: a:b\nretry: 30\ndata: {}\n\n"));
    check(Some("a"), None, "", Ok("id: a\ndata: \n\n"));
    check(None, None, "{\r\n\"a\":\n1\r}", Ok("data: {  \"a\": 1 }\n\n"));
    check(Some("a\nb"), None, "{}", Err(SseError::Id));
    check(Some("a\rb"), None, "{}", Err(SseError::Id));
    check(Some("a\0b"), None, "{}", Err(SseError::Id));
    check(Some("a\u{2028}b"), None, "\u{2028}", Ok("id: a\u{2028}b\ndata: \u{2028}\n\n"));
}

/// The rules of the standard over the whole text, without regard to pieces.
fn naive(stream: &str) -> Vec<String> {
    let text = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let Some((lines, _unfinished)) = text.rsplit_once('\n') else { return Vec::new() };
    let mut events = Vec::new();
    let mut event = Event::default();
    let mut data = Vec::new();
    for line in lines.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            _ if line.is_empty() => {
                event.data = data.join("\n");
                let whole = std::mem::take(&mut event);
                data.clear();
                if !whole.data.is_empty() || whole.id.is_some() || whole.retry.is_some() {
                    events.push(shown(&whole));
                }
            }
            "data" => data.push(value),
            "id" if !value.contains('\0') => event.id = Some(value),
            "event" => event.event = Some(value),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                event.retry = value.parse().ok().or(event.retry)
            }
            _ => {}
        }
    }
    events
}

proptest! {
    #[test]
    fn cutting_makes_no_difference(
        parts in vec(prop_oneof![
            Just("\r"), Just("\n"), Just("\r\n"), Just("data: "), Just("data"), Just("id: "), Just(":"), Just("retry: 1"),
            Just("event: x"), Just("x"), Just("é"), Just(" "), Just("\0"), Just("\u{feff}"), Just("\n\n"),
        ], 0..60),
        sizes in vec(1..12_usize, 1..8),
    ) {
        let stream = parts.concat();
        let events = parse(stream.as_bytes(), &sizes, 10_000).unwrap();
        prop_assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), naive(&stream));
    }

    #[test]
    fn what_is_written_is_read(
        id in proptest::option::of("[^\r\n\0]{1,12}"),
        retry in proptest::option::of(any::<u64>()),
        data in "[^\r\n]{1,40}",
        sizes in vec(1..12_usize, 1..8),
    ) {
        let mut stream = Vec::new();
        write_event(&mut stream, id.as_deref(), retry, &data).unwrap();
        let events = parse(&stream, &sizes, 10_000).unwrap();
        prop_assert_eq!(events, vec![Event { id, event: None, retry, data }]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), sizes in vec(1..12_usize, 1..8)) {
        let _ = parse(&bytes, &sizes, 64);
    }
}
