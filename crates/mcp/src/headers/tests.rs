use super::{HeaderMismatch, agree, agree_notification, legacy, required_meta, stateless_meta};
use crate::{
    envelope::{self, Message, Sender},
    json::{Document, Limits},
    revision::Revision,
};

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("mcp-method", "tools/call");

/// A message of the stateless era, with these `params` around its metadata.
fn body(method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// What is sent on, a header a line, or why not.
fn outcome(headers: &[(&str, &[u8])], body: &str) -> Result<String, HeaderMismatch> {
    let document = Document::parse(body.as_bytes(), &Limits::CLIENT).unwrap();
    let Message::Request(request) = envelope::parse(document.root(), Sender::Client).unwrap() else {
        panic!("no request: {body}");
    };
    let agreed = agree(headers.iter().copied(), &request)?;
    assert_eq!(agreed.revision, Revision::V2026_07_28);
    let lines: Vec<String> = agreed.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok(lines.join("\n"))
}

fn check(headers: &[(&str, &str)], body: &str, expected: Result<&str, HeaderMismatch>) {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let outcome = outcome(&headers, body);
    assert_eq!(outcome.as_deref().map_err(|error| *error), expected, "{headers:?} {body}");
}

/// `Mcp-Name` for a call of `echo`.
fn name(header: (&str, &str), expected: Result<&str, HeaderMismatch>) {
    let sent = expected
        .map(|name| format!("mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: {name}"));
    let sent = sent.as_deref().map_err(|error| *error);
    check(&[VERSION, CALL, header], &body("tools/call", r#""name":"echo""#), sent);
}

#[test]
fn all_agree() {
    let sent = "mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: echo";
    let call = body("tools/call", r#""name":"echo""#);
    check(&[VERSION, CALL, ("mcp-name", "echo")], &call, Ok(sent));
    check(
        &[("Mcp-Name", "echo"), ("MCP-METHOD", "tools/call"), ("MCP-Protocol-Version", "2026-07-28")],
        &call,
        Ok(sent),
    );
    let others =
        [("host", "x"), ("mcp-session-id", "s"), ("mcp-other", "y"), ("authorization", "z"), ("m", "")];
    check(&[&others[..], &[VERSION, CALL, ("mcp-name", "echo")]].concat(), &call, Ok(sent));
    check(
        &[VERSION, ("mcp-method", "tools/list")],
        &body("tools/list", ""),
        Ok("mcp-protocol-version: 2026-07-28\nmcp-method: tools/list"),
    );
    check(
        &[VERSION, ("mcp-method", "resources/read"), ("mcp-name", "file:///a%20b")],
        &body("resources/read", r#""uri":"file:///a%20b""#),
        Ok("mcp-protocol-version: 2026-07-28\nmcp-method: resources/read\nmcp-name: file:///a%20b"),
    );
    check(
        &[VERSION, ("mcp-method", "tasks/get"), ("mcp-name", "t-1")],
        &body("tasks/get", r#""taskId":"t-1""#),
        Ok("mcp-protocol-version: 2026-07-28\nmcp-method: tasks/get\nmcp-name: t-1"),
    );
}

#[test]
fn versions_and_methods() {
    use HeaderMismatch::{Differs, Malformed, Missing, Repeated};
    const V: &str = "MCP-Protocol-Version";
    const M: &str = "Mcp-Method";
    let list = body("tools/list", "");
    let method = ("mcp-method", "tools/list");
    let check = |headers: &[(&str, &str)], error| check(headers, &list, Err(error));
    check(&[], Missing(V));
    check(&[method], Missing(V));
    check(&[("mcp-protocol-version", ""), method], Differs(V));
    check(&[("mcp-protocol-version", "2025-11-25"), method], Differs(V));
    check(&[("mcp-protocol-version", "2026-07-28, 2026-07-28"), method], Differs(V));
    check(&[("mcp-protocol-version", "2026-07-28x"), method], Differs(V));
    check(&[VERSION, VERSION, method], Repeated(V));
    check(&[VERSION, ("MCP-Protocol-Version", "2025-11-25"), method], Repeated(V));
    check(&[("mcp-protocol-version", "2026\u{2d}07\u{2011}28"), method], Malformed(V));
    check(&[VERSION], Missing(M));
    check(&[VERSION, ("mcp-method", "tools/call")], Differs(M));
    check(&[VERSION, ("mcp-method", "Tools/List")], Differs(M));
    check(&[VERSION, ("mcp-method", "TOOLS/LIST")], Differs(M));
    check(&[VERSION, ("mcp-method", "tools/list,tools/list")], Differs(M));
    check(&[VERSION, ("mcp-method", "tools/list, tools/call")], Differs(M));
    check(&[VERSION, ("mcp-method", "")], Differs(M));
    check(&[VERSION, ("mcp-method", "=?base64?dG9vbHMvbGlzdA==?=")], Differs(M));
    check(&[VERSION, method, method], Repeated(M));
    check(&[VERSION, method, ("Mcp-Method", "tools/call")], Repeated(M));
    check(&[VERSION, ("mcp-method", "tools/list\u{e9}")], Malformed(M));
    check(&[VERSION, ("mcp-method", "tools\0list")], Malformed(M));
    check(&[VERSION, ("mcp_method", "tools/list")], HeaderMismatch::Ambiguous);
    check(&[VERSION, method, ("mcp_protocol_version", "x")], HeaderMismatch::Ambiguous);
    check(&[VERSION, method, ("mcp-protocol_version", "x")], HeaderMismatch::Ambiguous);
}

#[test]
fn names() {
    use HeaderMismatch::{Ambiguous, Differs, Malformed, Missing};
    const N: &str = "Mcp-Name";
    name(("mcp-name", "echo"), Ok("echo"));
    name(("MCP-NAME", "echo"), Ok("echo"));
    name(("mcp-name", "  echo\t "), Ok("echo"));
    name(("mcp-name", "=?base64?ZWNobw==?="), Ok("echo"));
    name(("mcp-name", "other"), Err(Differs(N)));
    name(("mcp-name", "Echo"), Err(Differs(N)));
    name(("mcp-name", ""), Err(Differs(N)));
    name(("mcp-name", "echo, echo"), Err(Differs(N)));
    name(("mcp-name", "echo,other"), Err(Differs(N)));
    name(("mcp-name", "\"echo\""), Err(Differs(N)));
    name(("mcp-name", "=?base64?b3RoZXI=?="), Err(Differs(N)));
    name(("mcp-name", "=?BASE64?ZWNobw==?="), Err(Differs(N)));
    name(("mcp-name", "=?utf-8?B?ZWNobw==?="), Err(Differs(N)));
    name(("mcp-name", "=?base64?ZWNobw==?=x"), Err(Differs(N)));
    name(("mcp-name", "x=?base64?ZWNobw==?="), Err(Differs(N)));
    name(("mcp-name", "ZWNobw=="), Err(Differs(N)));
    name(("mcp-name", "=?base64?ZWNobw==?= =?base64?ZWNobw==?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?ZWNobw?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?ZWNobw=?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?ZWNobx==?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?ZWNo bw==?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?!!!!?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?_-8=?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64?/w==?="), Err(Malformed(N)));
    name(("mcp-name", "=?base64??="), Err(Differs(N)));
    name(("mcp-name", "echo\u{e9}"), Err(Malformed(N)));
    name(("mcp-name", "ec\0ho"), Err(Malformed(N)));
    name(("mcp-name", "ec\rho"), Err(Malformed(N)));
    name(("mcp_name", "echo"), Err(Ambiguous));
    name(("Mcp_Name", "other"), Err(Ambiguous));
    name(("x-mcp-name", "echo"), Err(Missing(N)));
    let call = body("tools/call", r#""name":"echo""#);
    check(&[VERSION, CALL], &call, Err(Missing(N)));
    check(
        &[VERSION, CALL, ("mcp-name", "echo"), ("mcp-name", "echo")],
        &call,
        Err(HeaderMismatch::Repeated(N)),
    );
    check(
        &[VERSION, CALL, ("mcp-name", "echo"), ("Mcp-Name", "other")],
        &call,
        Err(HeaderMismatch::Repeated(N)),
    );
    // A name where the body has none, or has another member of that value.
    check(
        &[VERSION, ("mcp-method", "tools/list"), ("mcp-name", "echo")],
        &body("tools/list", ""),
        Err(Differs(N)),
    );
    check(
        &[VERSION, CALL, ("mcp-name", "file:a")],
        &body("tools/call", r#""name":"echo","uri":"file:a""#),
        Err(Differs(N)),
    );
    check(
        &[VERSION, ("mcp-method", "resources/read"), ("mcp-name", "r")],
        &body("resources/read", r#""uri":"file:a","name":"r""#),
        Err(Differs(N)),
    );
    check(&[VERSION, CALL, ("mcp-name", "1")], &body("tools/call", r#""name":1"#), Err(Differs(N)));
    check(
        &[VERSION, ("mcp-method", "tasks/get"), ("mcp-name", "t-2")],
        &body("tasks/get", r#""taskId":"t-1""#),
        Err(Differs(N)),
    );
}

/// A name that can't stand in a header as it is.
#[test]
fn names_are_written_as_the_specification_says() {
    for (json, header) in [
        ("us-west1", "us-west1"),
        ("a b", "a b"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        (r"line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("=?base64?open", "=?base64?open"),
        (r"a\tb", "=?base64?YQli?="),
        ("", ""),
    ] {
        let sent = format!("mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: {header}");
        let call = body("tools/call", &format!(r#""name":"{json}""#));
        check(&[VERSION, CALL, ("mcp-name", header)], &call, Ok(&sent));
    }
}

#[test]
fn parameters() {
    use HeaderMismatch::{Ambiguous, Differs, Malformed, Repeated};
    const P: &str = "Mcp-Param";
    let arguments = r#""name":"echo","arguments":{"region":"us-west1","n":42,"big":9007199254740993,"f":2.50,"on":true,"off":false,"null":null,"empty":"","text":"=?base64?x?=","deep":{"er":{"city":"Zürich"}},"list":["hidden",7]}"#;
    let call = body("tools/call", arguments);
    let sent = |header: &str| {
        format!(
            "mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: echo\nmcp-param-x: {header}"
        )
    };
    for (value, expected) in [
        ("us-west1", Ok("us-west1")),
        (" us-west1 ", Ok("us-west1")),
        ("=?base64?dXMtd2VzdDE=?=", Ok("us-west1")),
        ("42", Ok("42")),
        ("42.0", Ok("42")),
        ("4.2e1", Ok("42")),
        ("2.5", Ok("2.50")),
        ("9007199254740993", Ok("9007199254740993")),
        ("9007199254740992", Err(Differs(P))),
        ("true", Ok("true")),
        ("false", Ok("false")),
        ("", Ok("")),
        ("=?base64?WsO8cmljaA==?=", Ok("=?base64?WsO8cmljaA==?=")),
        ("=?base64?PT9iYXNlNjQ/eD89?=", Ok("=?base64?PT9iYXNlNjQ/eD89?=")),
        ("=?base64?x?=", Err(Malformed(P))),
        ("US-West1", Err(Differs(P))),
        ("us-west2", Err(Differs(P))),
        ("us-west1, us-west1", Err(Differs(P))),
        ("43", Err(Differs(P))),
        ("0x2a", Err(Differs(P))),
        ("True", Err(Differs(P))),
        ("null", Err(Differs(P))),
        ("hidden", Err(Differs(P))),
        ("7", Err(Differs(P))),
        ("inf", Err(Differs(P))),
        ("NaN", Err(Differs(P))),
        ("echo", Err(Differs(P))),
        ("=?base64?dXMtd2VzdDE?=", Err(Malformed(P))),
        ("Z\u{fc}rich", Err(Malformed(P))),
    ] {
        let expected = expected.map(sent);
        let expected = expected.as_deref().map_err(|error| *error);
        check(&[VERSION, CALL, ("mcp-name", "echo"), ("Mcp-Param-X", value)], &call, expected);
    }
    let headers =
        |more: &[(&'static str, &'static str)]| [&[VERSION, CALL, ("mcp-name", "echo")], more].concat();
    check(&headers(&[("mcp-param-x", "42"), ("Mcp-Param-X", "42")]), &call, Err(Repeated(P)));
    check(&headers(&[("mcp-param-x", "42"), ("mcp-param-X", "us-west1")]), &call, Err(Repeated(P)));
    check(&headers(&[("mcp-param-", "42")]), &call, Err(Malformed(P)));
    check(&headers(&[("mcp_param_x", "42")]), &call, Err(Ambiguous));
    check(&headers(&[("mcp_param-x", "42")]), &call, Err(Ambiguous));
    check(&headers(&[("mcp-param_x", "42")]), &call, Err(Ambiguous));
    check(&headers(&[("mcp-param-x_y", "42")]), &call, Ok(&sent("42").replace("param-x", "param-x_y")));
    check(&headers(&[("mcp-param-x", "42")]), &body("tools/call", r#""name":"echo""#), Err(Differs(P)));
    check(
        &[VERSION, ("mcp-method", "tools/list"), ("mcp-param-x", "1")],
        &body("tools/list", ""),
        Err(Differs(P)),
    );
    let names: Vec<String> = (0..65).map(|n| format!("mcp-param-{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "42")).collect();
    let all = [&[VERSION, CALL, ("mcp-name", "echo")], &many[..]].concat();
    check(&all, &call, Err(HeaderMismatch::TooMany));
    assert!(outcome(&all[..67].iter().map(|(n, v)| (*n, v.as_bytes())).collect::<Vec<_>>(), &call).is_ok());
}

#[test]
fn raw_bytes() {
    let call = body("tools/call", r#""name":"echo""#);
    let version = ("mcp-protocol-version", &b"2026-07-28"[..]);
    let method = ("mcp-method", &b"tools/call"[..]);
    for name in [&b"echo\xe9"[..], b"\xc3\xa9cho", b"ec\nho", b"echo\x7f", b"\x01"] {
        let outcome = outcome(&[version, method, ("mcp-name", name)], &call);
        assert_eq!(outcome, Err(HeaderMismatch::Malformed("Mcp-Name")));
    }
}

/// A notification's headers are compared like a request's, but its body need not say its revision.
#[test]
fn notifications() {
    use HeaderMismatch::{Ambiguous, Differs, Malformed, Missing, Repeated};
    const V: &str = "MCP-Protocol-Version";
    let check = |headers: &[(&str, &str)], params: &str, expected: Result<&str, HeaderMismatch>| {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/x"{params}}}"#);
        let document = Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap();
        let Message::Notification(message) = envelope::parse(document.root(), Sender::Client).unwrap() else {
            panic!("no notification: {text}");
        };
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let agreed = agree_notification(headers, &message);
        let sent = agreed.map(|agreed| agreed.iter().map(|(n, v)| format!("{n}: {v}\n")).collect::<String>());
        assert_eq!(sent.as_deref().map_err(|error| *error), expected, "{text}");
    };
    let method = ("mcp-method", "notifications/x");
    let good = "mcp-protocol-version: 2026-07-28\nmcp-method: notifications/x\n";
    let meta = |version: &str| {
        format!(r#","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":{version}}}}}"#)
    };
    check(&[VERSION, method], "", Ok(good));
    check(&[VERSION, method, ("host", "x"), ("mcp-other", "y")], r#","params":{}"#, Ok(good));
    check(&[VERSION, method], &meta(r#""2026-07-28""#), Ok(good));
    check(&[VERSION, method], &meta(r#""2025-11-25""#), Err(Differs(V)));
    check(&[VERSION, method], &meta("1"), Err(Differs(V)));
    check(&[method], "", Err(Missing(V)));
    check(&[VERSION, VERSION, method], "", Err(Repeated(V)));
    check(&[("mcp-protocol-version", "2025-11-25"), method], "", Err(Malformed(V)));
    check(&[("mcp-protocol-version", "2026-07-29"), method], "", Err(Malformed(V)));
    check(&[VERSION], "", Err(Missing("Mcp-Method")));
    check(&[VERSION, ("mcp-method", "notifications/y")], "", Err(Differs("Mcp-Method")));
    check(&[VERSION, ("mcp-method", "tools/call")], "", Err(Differs("Mcp-Method")));
    check(&[VERSION, ("mcp_method", "notifications/x")], "", Err(Ambiguous));
    check(&[VERSION, method, ("mcp-name", "echo")], "", Err(Differs("Mcp-Name")));
    check(
        &[VERSION, method, ("mcp-name", "echo")],
        r#","params":{"name":"other"}"#,
        Err(Differs("Mcp-Name")),
    );
    let named = format!("{good}mcp-name: t-1\n");
    check(&[VERSION, method, ("mcp-name", "t-1")], r#","params":{"taskId":"t-1"}"#, Ok(&named));
    check(&[VERSION, method, ("mcp-param-x", "1")], "", Err(Differs("Mcp-Param")));
    let arguments = r#","params":{"arguments":{"n":1}}"#;
    check(&[VERSION, method, ("mcp-param-x", "2")], arguments, Err(Differs("Mcp-Param")));
    check(&[VERSION, method, ("mcp-param-x", "1")], arguments, Ok(&format!("{good}mcp-param-x: 1\n")));
}

/// The revision that a request's own metadata claims.
#[test]
fn metadata() {
    let check = |params: &str, expected: Result<Option<Revision>, (i64, Option<&str>)>| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list"{params}}}"#);
        let document = Document::parse(text.as_bytes(), &Limits::CLIENT).unwrap();
        let Message::Request(request) = envelope::parse(document.root(), Sender::Client).unwrap() else {
            panic!("no request: {text}");
        };
        let outcome = stateless_meta(&request).map_err(|error| (error.code(), error.data()));
        let outcome = outcome.as_ref().map(|r| *r).map_err(|(code, data)| (*code, data.as_deref()));
        assert_eq!(outcome, expected, "{params}");
        let required = required_meta(&request).map_err(|error| error.code());
        assert_eq!(required, expected.map_err(|(code, _)| code).and_then(|r| r.ok_or(-32602)), "{params}");
    };
    let meta = |members: &str| format!(r#","params":{{"_meta":{{{members}}}}}"#);
    let version = |version: &str| format!(r#""io.modelcontextprotocol/protocolVersion":{version}"#);
    let capable = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let supported = r#"{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"],"requested":"#;
    check("", Ok(None));
    check(r#","params":{}"#, Ok(None));
    check(&meta(""), Ok(None));
    check(&meta(r#""progressToken":1"#), Ok(None));
    check(&meta(&format!("{},{capable}", version("\"2026-07-28\""))), Ok(Some(Revision::V2026_07_28)));
    check(&meta(&version("\"2026-07-28\"")), Err((-32602, None)));
    check(
        &meta(&format!(r#"{},"io.modelcontextprotocol/clientCapabilities":[]"#, version("\"2026-07-28\""))),
        Err((-32602, None)),
    );
    check(&meta(capable), Err((-32602, None)));
    check(&meta(&version("null")), Err((-32602, None)));
    check(&meta(&version("20260728")), Err((-32602, None)));
    check(r#","params":{"_meta":[]}"#, Err((-32602, None)));
    check(r#","params":{"_meta":null}"#, Err((-32602, None)));
    check(
        &meta(&format!("{},{capable}", version("\"v999\""))),
        Err((-32022, Some(&format!(r#"{supported}"v999"}}"#)))),
    );
    check(
        &meta(&format!("{},{capable}", version("\"2025-11-25\""))),
        Err((-32022, Some(&format!(r#"{supported}"2025-11-25"}}"#)))),
    );
    check(
        &meta(&version(&format!("\"{}\"", "9".repeat(500)))),
        Err((-32022, Some(&format!(r#"{supported}"{}"}}"#, "9".repeat(32))))),
    );
}

#[test]
fn sessions_send_the_revision_only() {
    assert_eq!(legacy(Revision::V2025_06_18), [("mcp-protocol-version", "2025-06-18")]);
}
