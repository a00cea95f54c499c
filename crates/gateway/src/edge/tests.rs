use http::{HeaderName, HeaderValue, Request};
use url::Url;

use super::*;
use crate::settings::Limits;

fn settings() -> Settings {
    Settings {
        public_url: Url::parse("http://127.0.0.1:7700").unwrap(),
        allowed_hosts: vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "[::1]".to_owned(),
            "gate.example:8443".to_owned(),
        ],
        allowed_origins: vec!["http://localhost".to_owned(), "https://console.example".to_owned()],
        limits: Limits::default(),
    }
}

/// A sound request, changed: `Name: value` replaces, `+Name: value` adds, `-Name` removes.
fn check(method: &str, target: &str, version: Version, changes: &[&str], expected: &str) {
    let mut builder = Request::builder().method(method).uri(target).version(version);
    for (name, value) in [
        ("host", "localhost:7700"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ] {
        builder = builder.header(name, value);
    }
    let mut request = builder.body(()).unwrap();
    let headers = request.headers_mut();
    for change in changes {
        if let Some(name) = change.strip_prefix('-') {
            headers.remove(name);
            continue;
        }
        let (name, value) = change.split_once(": ").unwrap();
        let name = name.strip_prefix('+').map_or((name, false), |name| (name, true));
        let header: HeaderName = name.0.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        if name.1 {
            headers.append(header, value);
        } else {
            headers.insert(header, value);
        }
    }
    let (parts, ()) = request.into_parts();
    let shown = match super::check(&parts, &settings()) {
        Ok(head) => format!("{:?}", head.verb),
        Err(refusal) => format!("{refusal:?}"),
    };
    let shown = shown.split(['(', ' ']).next().unwrap().to_owned();
    assert_eq!(shown, expected, "{method} {target} {changes:?}");
}

fn post(changes: &[&str], expected: &str) {
    check("POST", "/mcp/dev/files", Version::HTTP_11, changes, expected);
}

#[test]
fn a_sound_request_passes() {
    post(&[], "Post");
    post(&["content-type: application/json; charset=utf-8"], "Post");
    post(&["content-type: APPLICATION/JSON;charset=\"utf-8\""], "Post");
    post(&["accept: */*"], "Post");
    post(&["accept: application/*, text/*;q=0.5"], "Post");
    post(&["accept: application/json", "+accept: text/event-stream"], "Post");
    check("GET", "/mcp/dev/files", Version::HTTP_11, &["-content-type", "accept: text/event-stream"], "Get");
    check("DELETE", "/mcp/dev/files", Version::HTTP_11, &["content-length: 0"], "Delete");
}

#[test]
fn hosts_and_origins_are_from_the_list() {
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7700", "[::1]:7700", "gate.example:8443"] {
        post(&[&format!("host: {host}")], "Post");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "localhost.",
        "evil.example:7700",
        "gate.example",
        "gate.example:443",
        "localhost:7700@evil.example",
        "h/?",
        "localhost:",
        "localhost:x",
        "localhost:99999",
        "[::1",
        "",
    ] {
        post(&[&format!("host: {host}")], "Host");
    }
    post(&["-host"], "Host");
    post(&["+host: localhost"], "RepeatedHeader");
    check("POST", "http://evil.example/mcp/dev/files", Version::HTTP_11, &[], "Host");
    check("POST", "http://localhost:7700/mcp/dev/files", Version::HTTP_11, &[], "Host");
    check("POST", "https://localhost:7700/mcp/dev/files", Version::HTTP_2, &["-host"], "Post");
    check("POST", "https://localhost:7700/mcp/dev/files", Version::HTTP_2, &[], "Post");
    check("POST", "https://localhost:7700/mcp/dev/files", Version::HTTP_2, &["host: evil.example"], "Host");
    for origin in ["http://localhost:6274", "https://console.example"] {
        post(&[&format!("origin: {origin}")], "Post");
    }
    for origin in
        ["null", "https://localhost", "http://evil.example", "http://localhost.evil.example", "localhost", ""]
    {
        post(&[&format!("origin: {origin}")], "Origin");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    post(&["+content-type: application/json"], "RepeatedHeader");
    post(&["authorization: Bearer a", "+authorization: Bearer b"], "RepeatedHeader");
    post(&["mcp-name: a", "+mcp-name: b"], "RepeatedHeader");
    post(&["mcp-param-region: a", "+mcp-param-region: b"], "RepeatedHeader");
    post(&["mcp-session-id: a", "+mcp-session-id: b"], "RepeatedHeader");
    post(&["mcp_name: a"], "HeaderName");
    post(&["mcp-name: caf\u{e9}"], "HeaderValue");
    for kind in [
        "text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json;x",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
    ] {
        post(&[&format!("content-type: {kind}")], "ContentType");
    }
    post(&["-content-type"], "ContentType");
    for coding in ["gzip", "identity", "identity, gzip", "br"] {
        post(&[&format!("content-encoding: {coding}")], "ContentEncoding");
    }
    for accept in
        ["application/json", "text/event-stream", "text/html", "application/jsonp, text/event-stream"]
    {
        post(&[&format!("accept: {accept}")], "Accept");
    }
    post(&["-accept"], "Accept");
    check("POST", "/mcp/dev/files?access_token=x", Version::HTTP_11, &[], "Query");
    check("POST", "/mcp/dev/files?", Version::HTTP_11, &[], "Query");
    check("POST", "/mcp/dev//files", Version::HTTP_11, &[], "Path");
    for method in ["PUT", "OPTIONS", "HEAD", "post", "TRACE", "CONNECT"] {
        check(method, "/mcp/dev/files", Version::HTTP_11, &[], "Method");
    }
    check("GET", "/mcp/dev/files", Version::HTTP_11, &["content-length: 5"], "UnexpectedBody");
    check("DELETE", "/mcp/dev/files", Version::HTTP_11, &["transfer-encoding: chunked"], "UnexpectedBody");
}
