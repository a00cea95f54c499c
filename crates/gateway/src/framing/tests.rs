use super::*;

/// Reads `input` whole, and cut in two at each place: it must come to the same.
fn check(input: &str, expected: Result<State, Ambiguous>) {
    let read = |pieces: &[&[u8]]| {
        let mut framing = Framing::new();
        let failed = pieces.iter().find_map(|piece| framing.read(piece).err());
        failed.map_or(Ok(framing.state), Err)
    };
    let bytes = input.as_bytes();
    assert_eq!(read(&[bytes]), expected, "{input:?}");
    for at in 0..bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(read(&[first, second]), expected, "{input:?} cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), expected, "{input:?} byte by byte");
}

const ENDED: Result<State, Ambiguous> = Ok(State::Start);
const HEAD: Result<State, Ambiguous> = Err(Ambiguous::Head);
const BODY: Result<State, Ambiguous> = Err(Ambiguous::Body);

#[test]
fn sound_requests_are_followed_to_their_ends() {
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", ENDED);
    check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", ENDED);
    check("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\n\n\n\n", ENDED);
    check("POST / HTTP/1.1\r\ncontent-length:\t5 \r\n\r\nab", Ok(State::Body(3)));
    check("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n", ENDED);
    check(
        "POST / HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n\r\n3\r\na\nb\r\nA;x=\"y\"\r\n0123456789\r\n",
        Ok(State::ChunkSize),
    );
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 ;x\r\na\r\n00\r\nX: y\r\n\r\n", ENDED);
    check(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
        Ok(State::Body(9)),
    );
    check(
        "POST / HTTP/1.1\r\nContent-Lengthy: 1\r\nX: Content-Length: 2\r\nTransfer-Encodings: x\r\n\r\n",
        ENDED,
    );
    check("PRI * HTTP/1.1\r\n\r\n", ENDED);
    check("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", Ok(State::Body(2)));
}

#[test]
fn two_lengths_are_one_too_many() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding:chunked\r\nX: y\r\ncONTENT-lENGTH:0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:",
    ] {
        check(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n"), HEAD);
        let later =
            format!("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\naPOST / HTTP/1.1\r\n{fields}\r\n\r\n");
        check(&later, HEAD);
    }
}

#[test]
fn a_target_has_no_fragment() {
    check("GET /a#b HTTP/1.1\r\n\r\n", HEAD);
    check("GET /a HTTP/1.1\r\nX: #\r\n\r\n", ENDED);
}

#[test]
fn lines_end_with_both_characters() {
    check("GET / HTTP/1.1\nHost: x\r\n\r\n", HEAD);
    check("GET / HTTP/1.1\r\nX: y\nContent-Length: 5\r\n\r\n", HEAD);
    check("GET / HTTP/1.1\r\n\n", HEAD);
    check("\nGET / HTTP/1.1\r\n\r\n", HEAD);
    check("PRI * HTTP/2.0\n", HEAD);
    let chunks = |text: &str, expected| {
        check(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{text}"), expected);
    };
    chunks("1\na\r\n", BODY);
    chunks("1;x\ny\r\na\r\n", BODY);
    chunks("1\r\na\n", BODY);
    chunks("1\r\nab\r\n", BODY);
    chunks("0\r\nX: y\n\r\n", BODY);
    for size in
        ["", "x", "0x1", "+1", "-1", " 1", "1 x", "1_0", "10000000000000000", "fffffffffffffffff", "1,0"]
    {
        chunks(&format!("{size}\r\na\r\n"), BODY);
    }
    chunks("ffffffffffffffff\r\na", Ok(State::ChunkData(u64::MAX - 1)));
}

#[test]
fn a_line_without_an_end_is_not_waited_for_for_ever() {
    let mut framing = Framing::new();
    let long = vec![b'a'; LONGEST_LINE / 2];
    assert_eq!(framing.read(&long), Ok(()));
    assert_eq!(framing.read(&long), Ok(()));
    assert_eq!(framing.read(&long), Err(Ambiguous::Head));
    assert_eq!(framing.read(&long), Ok(()), "nothing more is kept");
    assert!(framing.line.len() <= 2 * LONGEST_LINE);
}
