use proptest::prelude::*;

use super::{Id, Message, Sender, error_bytes, notification_bytes, parse, request_bytes, result_bytes};
use crate::{
    json::{Document, Limits, Value},
    method,
};

#[test]
fn what_is_written_is_read() {
    let check = |bytes: Vec<u8>, expected: &str| {
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        let document = Document::parse(&bytes, &Limits::SERVER).unwrap();
        assert_eq!(document.as_str(), expected, "written as normalised");
        assert!(parse(document.root(), Sender::Server).is_ok(), "{expected}");
    };
    let id = Id::string("a\"b");
    check(
        request_bytes(&id, "tools/call", Some(r#"{"name":"x"}"#)),
        r#"{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":{"name":"x"}}"#,
    );
    check(request_bytes(&Id::number(7), "ping", None), r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
    check(
        notification_bytes("notifications/x", Some("{}")),
        r#"{"jsonrpc":"2.0","method":"notifications/x","params":{}}"#,
    );
    check(result_bytes(&Id::number(7), r#"{"a":1}"#), r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#);
    check(
        error_bytes(Some(&id), -32000, "no\n", Some("[1]")),
        r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-32000,"message":"no\n","data":[1]}}"#,
    );
    check(error_bytes(None, 1, "", None), r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#);
}

#[test]
fn an_id_is_kept_as_its_token() {
    let check = |raw: &str, expected: Option<&str>| {
        let text = format!("[{raw}]");
        let document = Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap();
        let id = document.root().elements().next().and_then(Id::of);
        assert_eq!(id.as_ref().map(Id::raw), expected, "{raw}");
    };
    check("1", Some("1"));
    check("-1", Some("-1"));
    check("\"1\"", Some("\"1\""));
    check(r#""\u0041\n""#, Some(r#""A\n""#));
    check("9007199254740991", Some("9007199254740991"));
    check("9007199254740992", None);
    check("1.0", None);
    check("1e3", None);
    check("-0", None);
    check("null", None);
    check(&format!("\"{}\"", "\\u0001".repeat(128)), Some(&format!("\"{}\"", "\\u0001".repeat(128))));
    check(&format!("\"{}\"", "\\u0001".repeat(129)), None);
    check(&format!("\"{}\"", "é".repeat(64)), Some(&format!("\"{}\"", "é".repeat(64))));
    check(&format!("\"{}\"", "é".repeat(65)), None);
    assert_ne!(Id::number(1), Id::string("1"));
    assert_eq!(Id::number(u64::MAX).raw(), "9007199254740991");
}

#[test]
fn a_refusal_answers_the_one_who_asked() {
    let check = |text: &str, expected: &str| {
        let document = Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap();
        let error = parse(document.root(), Sender::Client).unwrap_err();
        let answer = error.to_bytes();
        assert_eq!(String::from_utf8(answer).unwrap(), expected, "{text}");
    };
    let answer = |id: &str, message: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"{message}"}}}}"#)
    };
    check(r#"{"jsonrpc":"1.0","id":5,"method":"x"}"#, &answer("5", r#"jsonrpc must be \"2.0\""#));
    check(
        r#"{"jsonrpc":"2.0","id":"five","method":"x","params":[]}"#,
        &answer("\"five\"", "params must be an object"),
    );
    check(
        r#"{"jsonrpc":"2.0","id":5,"method":"x","more":1}"#,
        &answer("5", "a message can't have other members"),
    );
    check(r#"{"jsonrpc":"2.0","method":"x"}"#, &answer("null", "a request must have an id"));
    check(
        r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
        &answer("null", "id must be a string of at most 128 bytes or an integer within 2^53"),
    );
}

#[test]
fn debug_output_shows_no_parameters() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"password":"hunter2"}}"#;
    let document = Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap();
    let message = parse(document.root(), Sender::Client).unwrap();
    assert!(matches!(message, Message::Request(_)));
    assert!(!format!("{message:?}").contains("hunter2"));
}

proptest! {
    /// Whatever the parameters: what is made anew from the parts is the very text that was judged.
    #[test]
    fn what_is_sent_on_is_what_was_judged(
        params in crate::json::tests::damaged(),
        method in prop::sample::select(&["tools/call", "completion/complete", "resources/read", "subscriptions/listen", "x"][..]),
    ) {
        let head = format!(r#"{{"jsonrpc":"2.0","id":"a","method":"{method}","params":"#);
        let body = [head.as_bytes(), &params, b"}"].concat();
        if let Ok(document) = Document::parse(&body, &Limits::CLIENT) {
            for sender in [Sender::Client, Sender::Server] {
                if let Ok(Message::Request(request)) = parse(document.root(), sender) {
                    let _ = method::subject(&request);
                    let sent = request_bytes(&request.id, &request.method, request.params.map(Value::raw));
                    prop_assert_eq!(sent, document.as_str().as_bytes());
                }
            }
        }
    }
}
