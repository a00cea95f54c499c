use proptest::{collection::vec, prelude::*};
use serde::de::IgnoredAny;

use super::{Captures, Ending, Fed, Member, Refused, ResponseError, ResponseStream};
use crate::envelope::Id;

/// What comes out of a response cut up into pieces of these sizes (over and over), and how it ends.
fn stream(
    body: &[u8],
    sizes: &[usize],
    captures: Captures,
    expected: Id,
) -> (Vec<u8>, Result<Ending, ResponseError>) {
    let mut response = ResponseStream::new(expected, Id::string("client"), captures);
    let mut out = Vec::new();
    let mut capture = |member: Member, raw: &str| match raw {
        "\"refuse\"" => Err(Refused),
        raw => Ok(format!("\"<{member:?} {}>\"", raw.replace('"', "'").replace('\\', "/"))),
    };
    let mut rest = body;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).min(rest.len());
        let (piece, after) = rest.split_at(size);
        let before = out.len();
        match response.feed(piece, &mut out, &mut capture) {
            Ok(Fed::AsItIs) => {
                assert_eq!(out.len(), before);
                out.extend_from_slice(piece);
            }
            Ok(Fed::Appended) => {}
            Err(error) => return (out, Err(error)),
        }
        rest = after;
    }
    (out, response.finish())
}

const ALL: [Member; 3] = [Member::RequestState, Member::InputRequests, Member::CacheScope];

/// Bodies and what is sent on, or why they are refused. Upstream's id is 7, the client's is `"client"`.
const CASES: &[(&str, Result<&str, ResponseError>)] = &[
    // The id may come anywhere.
    (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Ok(r#"{"jsonrpc":"2.0","id":"client","result":{}}"#)),
    (
        r#"{"result":{"a":[1,2,{"b":"c"}]},"jsonrpc":"2.0","id":7}"#,
        Ok(r#"{"result":{"a":[1,2,{"b":"c"}]},"jsonrpc":"2.0","id":"client"}"#),
    ),
    (r#"{"id":7,"jsonrpc":"2.0","result":{}}"#, Ok(r#"{"id":"client","jsonrpc":"2.0","result":{}}"#)),
    (
        "\n{ \"jsonrpc\" : \"2.0\" ,\r\n\t\"id\" : 7 , \"result\" : { } }\n",
        Ok("\n{ \"jsonrpc\" : \"2.0\" ,\r\n\t\"id\" : \"client\" , \"result\" : { } }\n"),
    ),
    (
        r#"{"jsonrpc":"2.0","i\u0064":7,"result":{}}"#,
        Ok(r#"{"jsonrpc":"2.0","i\u0064":"client","result":{}}"#),
    ),
    // Numbers, escapes and unknown members pass as they are.
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"n":[0,-0,1.50,1e400,-12E-3,123456789012345678901234567890]}}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"n":[0,-0,1.50,1e400,-12E-3,123456789012345678901234567890]}}"#,
        ),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"s":"\/\u00e9\ud83d\ude00 é 😀","t":true,"f":false,"z":null,"":[]}}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"s":"\/\u00e9\ud83d\ude00 é 😀","t":true,"f":false,"z":null,"":[]}}"#,
        ),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"id":9,"result":{"id":9},"x":{"requestState":"inner"}}}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"id":9,"result":{"id":9},"x":{"requestState":"inner"}}}"#,
        ),
    ),
    // Errors, with and without an id of their own.
    (
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"m","requestState":"kept"}}"#,
        Ok(r#"{"jsonrpc":"2.0","id":"client","error":{"code":-1,"message":"m","requestState":"kept"}}"#),
    ),
    (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Ok(r#"{"jsonrpc":"2.0","id":"client","error":{}}"#)),
    (
        r#"{"jsonrpc":"2.0","error":{"code":1} }"#,
        Ok(r#"{"jsonrpc":"2.0","error":{"code":1} ,"id":"client"}"#),
    ),
    // Captured members are replaced, wherever they stand and however they are written.
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":"abc","x":1}}"#,
        Ok(r#"{"jsonrpc":"2.0","id":"client","result":{"requestState":"<RequestState 'abc'>","x":1}}"#),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"x":1,"request\u0053tate" : "a\u0062c" }}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"x":1,"request\u0053tate" : "<RequestState 'abc'>" }}"#,
        ),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"inputRequests": {"k": {"method":"m", "params":{}}} ,"cacheScope":"public"}}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"inputRequests": "<InputRequests {'k':{'method':'m','params':{}}}>" ,"cacheScope":"<CacheScope 'public'>"}}"#,
        ),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":12}}"#,
        Ok(r#"{"jsonrpc":"2.0","id":"client","result":{"requestState":"<RequestState 12>"}}"#),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"inputRequests":[[]],"requestState":null}}"#,
        Ok(
            r#"{"jsonrpc":"2.0","id":"client","result":{"inputRequests":"<InputRequests [[]]>","requestState":"<RequestState null>"}}"#,
        ),
    ),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":"refuse"}}"#, Err(ResponseError::Refused)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":"\ud800"}}"#, Err(ResponseError::Unreadable)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"inputRequests":{"a":1,"a":2}}}"#, Err(ResponseError::Unreadable)),
    // Twice is once too often.
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":"a","requestState":"b"}}"#,
        Err(ResponseError::Repeated),
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"requestState":"a","requestStat\u0065":"b"}}"#,
        Err(ResponseError::Repeated),
    ),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"isError":false,"isError":true}}"#, Err(ResponseError::Repeated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"result":{}}"#, Err(ResponseError::Repeated)),
    (r#"{"jsonrpc":"2.0","id":7,"id":7,"result":{}}"#, Err(ResponseError::Repeated)),
    (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":7,"result":{}}"#, Err(ResponseError::Repeated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"re\u0073ult":{}}"#, Err(ResponseError::Repeated)),
    // Another's name, to those who ignore case.
    (r#"{"jsonrpc":"2.0","id":7,"result":{"RequestState":"a"}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"reque\u017ftState":"a"}}"#, Err(ResponseError::Lookalike)),
    ("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"i\u{17f}Error\":true}}", Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"inputrequests":{}}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"CacheScope":"public"}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"resulttype":"x"}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"Tool\u0073":[]}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[],"nextcursor":"c"}}"#, Err(ResponseError::Lookalike)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"Error":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"re\u017fult":{}}"#, Err(ResponseError::Envelope)),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"x":{"RequestState":1}}}"#,
        Ok(r#"{"jsonrpc":"2.0","id":"client","result":{"x":{"RequestState":1}}}"#),
    ),
    // Another's answer.
    (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":7.0,"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":70,"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":[7],"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":{"id":7},"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"jsonrpc":"2.0","result":{}}"#, Err(ResponseError::WrongId)),
    (r#"{"result":{},"id":8,"jsonrpc":"2.0"}"#, Err(ResponseError::WrongId)),
    // No response.
    (r#"{"jsonrpc":"2.0","id":7}"#, Err(ResponseError::Envelope)),
    (r#"{"id":7,"result":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"1.0","id":7,"result":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":2.0,"id":7,"result":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":["2.0"],"id":7,"result":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":"x"}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"error":"x"}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"extra":1}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"Result":{}}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}"#, Err(ResponseError::Envelope)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{},"":1}"#, Err(ResponseError::Envelope)),
    // Not JSON.
    ("", Err(ResponseError::Truncated)),
    ("  ", Err(ResponseError::Truncated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{}"#, Err(ResponseError::Truncated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":"#, Err(ResponseError::Truncated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":"b"#, Err(ResponseError::Truncated)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{}}{}"#, Err(ResponseError::Trailing)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{}} x"#, Err(ResponseError::Trailing)),
    ("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\0", Err(ResponseError::Trailing)),
    ("[]", Err(ResponseError::Syntax)),
    ("7", Err(ResponseError::Syntax)),
    ("null", Err(ResponseError::Syntax)),
    ("\u{feff}{}", Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{]}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1,]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1,}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[[[{"b":tru}]]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[[01]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[[1.]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[[1e]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[[-]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[["\x"]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[["\u12g4"]]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[NaN]}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a" 1}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1 "b":2}}"#, Err(ResponseError::Syntax)),
    (r#"{"jsonrpc":"2.0","id":7 7,"result":{}}"#, Err(ResponseError::Syntax)),
    ("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":[[\"line\nend\"]]}}", Err(ResponseError::Syntax)),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":[[\"a long enough line \0\"]]}}",
        Err(ResponseError::Syntax),
    ),
];

#[test]
fn responses() {
    for (body, expected) in CASES {
        for sizes in [&[usize::MAX][..], &[1], &[2, 3], &[7, 1, 16]] {
            let (out, ending) = stream(body.as_bytes(), sizes, Captures::of(&ALL), Id::number(7));
            let shown = String::from_utf8_lossy(&out).into_owned();
            match expected {
                Ok(sent) => {
                    assert_eq!((shown.as_str(), ending.is_ok()), (*sent, true), "{body} in {sizes:?}");
                    assert!(serde_json::from_slice::<IgnoredAny>(&out).is_ok(), "{shown}");
                }
                Err(error) => {
                    assert_eq!(ending, Err(*error), "{body} in {sizes:?}");
                    // What comes after the last bracket can only be refused after it.
                    if *error != ResponseError::Trailing {
                        assert!(serde_json::from_slice::<IgnoredAny>(&out).is_err(), "{shown}");
                    }
                }
            }
        }
    }
}

#[test]
fn endings() {
    let check = |body: &str, is_error: bool, has_input_required: bool| {
        for sizes in [&[usize::MAX][..], &[1]] {
            let (_, ending) = stream(body.as_bytes(), sizes, Captures::NONE, Id::number(7));
            assert_eq!(ending, Ok(Ending { is_error, has_input_required }), "{body}");
        }
    };
    check(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, false, false);
    check(r#"{"jsonrpc":"2.0","id":7,"error":{}}"#, true, false);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"isError":true}}"#, true, false);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"isError": true ,"x":1}}"#, true, false);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"isError":false}}"#, false, false);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"isError":"true"}}"#, false, false);
    check(
        r#"{"jsonrpc":"2.0","id":7,"result":{"x":{"isError":true,"resultType":"input_required"}}}"#,
        false,
        false,
    );
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"x":1,"resultType":"input_required"}}"#, false, true);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"inp\u0075t_required"}}"#, false, true);
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#, false, false);
    check(r#"{"jsonrpc":"2.0","id":7,"error":{"resultType":"input_required","isError":true}}"#, true, false);
}

#[test]
fn without_captures_members_pass() {
    let body = r#"{"jsonrpc":"2.0","id":"seven","result":{"requestState":"refuse","cacheScope":"public"}}"#;
    let (out, ending) = stream(body.as_bytes(), &[5], Captures::NONE, Id::string("seven"));
    assert!(ending.is_ok());
    assert_eq!(out, body.replace("\"seven\"", "\"client\"").as_bytes());
    let (out, _) = stream(body.as_bytes(), &[5], Captures::of(&[Member::CacheScope]), Id::string("seven"));
    assert!(String::from_utf8(out).unwrap().contains(r#""requestState":"refuse","cacheScope":"<Cache"#));
}

#[test]
fn sizes_and_encodings() {
    let body =
        |inside: &[u8]| [br#"{"jsonrpc":"2.0","id":7,"result":{"a":"#, inside, br#"},"x":1}"#].concat();
    let ending = |inside: &[u8]| stream(&body(inside), &[3, 50], Captures::of(&ALL), Id::number(7)).1;
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    // The wrong member at the end shows that all before it passed.
    assert_eq!(ending(b"1"), Err(ResponseError::Envelope));
    assert_eq!(ending(nested(254).as_bytes()), Err(ResponseError::Envelope));
    assert_eq!(ending(nested(255).as_bytes()), Err(ResponseError::TooDeep));
    assert_eq!(ending("[".repeat(100_000).as_bytes()), Err(ResponseError::TooDeep));
    assert_eq!(ending(b"\"\xc0\xaf\""), Err(ResponseError::Encoding));
    assert_eq!(ending(b"\"\xed\xa0\x80\""), Err(ResponseError::Encoding));
    assert_eq!(ending(b"\"\xff\""), Err(ResponseError::Encoding));
    assert_eq!(ending("\"\u{10ffff}\u{e9}\u{20ac}\"".as_bytes()), Err(ResponseError::Envelope));
    let long_key = format!(r#"1,"{}":2"#, "k".repeat(5000));
    assert_eq!(ending(long_key.as_bytes()), Err(ResponseError::Envelope));
    let state = |length: usize| format!(r#"1,"requestState":"{}""#, "s".repeat(length));
    assert_eq!(ending(state(4 << 20).as_bytes()), Err(ResponseError::Unreadable));
    assert_eq!(ending(state((4 << 20) - 2).as_bytes()), Err(ResponseError::Envelope));
    let id = format!(r#"{{"id":"{}"}}"#, "7".repeat(2000));
    assert_eq!(stream(id.as_bytes(), &[64], Captures::NONE, Id::number(7)).1, Err(ResponseError::Unreadable));
    let tail = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\xe2\x82";
    assert!(stream(tail, &[64], Captures::NONE, Id::number(7)).1.is_err());
}

proptest! {
    #[test]
    fn cutting_makes_no_difference(
        case in prop::sample::select(CASES),
        sizes in vec(1..40_usize, 1..12),
    ) {
        let (body, expected) = case;
        let (out, ending) = stream(body.as_bytes(), &sizes, Captures::of(&ALL), Id::number(7));
        match expected {
            Ok(sent) => prop_assert_eq!(out, sent.as_bytes()),
            Err(error) => prop_assert_eq!(ending, Err(error)),
        }
    }

    /// What is accepted is JSON by serde_json's judgement too, and means the same but for the id.
    #[test]
    fn what_is_accepted_is_valid(value in crate::json::tests::damaged(), sizes in vec(1..40_usize, 1..12)) {
        let body = [br#"{"jsonrpc":"2.0","id":7,"result":{"x":"#, &value[..], b"}}"].concat();
        let (out, ending) = stream(&body, &sizes, Captures::NONE, Id::number(7));
        let (whole, at_once) = stream(&body, &[usize::MAX], Captures::NONE, Id::number(7));
        // Of two faults, the one met first depends on the cuts.
        prop_assert_eq!(ending.is_ok(), at_once.is_ok());
        if ending.is_ok() {
            prop_assert_eq!(&out, &whole);
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&body).is_ok());
            let sent = String::from_utf8(body).unwrap().replacen("\"id\":7", "\"id\":\"client\"", 1);
            prop_assert_eq!(out, sent.as_bytes());
        } else if ending == Err(ResponseError::Syntax) {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&body).is_err());
        }
    }
}
