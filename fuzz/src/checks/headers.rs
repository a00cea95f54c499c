//! Headers that must agree with a body. Whoever reads them, as they come or as they go on, finds what the body says.
//!
//! An input is lines of `name: value`, an empty line, and a body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use narrows_mcp::{
    envelope::{self, Message, Sender},
    headers::{AgreedHeaders, agree, agree_notification, stateless_meta},
    json::{Document, Limits},
};

use super::tree::{self, Tree};

type Line<'d> = (&'d str, &'d [u8]);

pub(crate) fn check(data: &[u8]) {
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else { return };
    let (head, body) = (&data[..end], &data[end + 2..]);
    let lines: Vec<Line<'_>> = head.split(|byte| *byte == b'\n').filter_map(line).collect();
    let Ok(document) = Document::parse(body, &Limits::CLIENT) else { return };
    let tree = tree::read(body).expect("serde_json reads what a client may send");
    match envelope::parse(document.root(), Sender::Client) {
        Ok(Message::Request(request)) => {
            let revision = stateless_meta(&request);
            let Ok(agreed) = agree(lines.iter().copied(), &request) else { return };
            assert_eq!(version(&tree), Some(agreed.revision.as_str()), "a request says its revision");
            if let Ok(revision) = revision {
                assert_eq!(revision, Some(agreed.revision));
            }
            if ["tools/call", "prompts/get", "resources/read"].contains(&&*request.method) {
                assert!(agreed.iter().any(|(name, _)| name == "mcp-name"), "who is called is in the headers");
            }
            says(&agreed, &lines, &tree);
            let again = agree(written(&agreed).iter().copied(), &request);
            assert_eq!(again.as_ref(), Ok(&agreed), "what is sent on agrees too");
        }
        Ok(Message::Notification(notification)) => {
            let Ok(agreed) = agree_notification(lines.iter().copied(), &notification) else { return };
            assert!(version(&tree).is_none_or(|said| said == agreed.revision.as_str()));
            says(&agreed, &lines, &tree);
            let again = agree_notification(written(&agreed).iter().copied(), &notification);
            assert_eq!(again.as_ref(), Ok(&agreed), "what is sent on agrees too");
        }
        Ok(Message::Response(_)) | Err(_) => {}
    }
}

/// A header's line; names are what an HTTP library lets through.
fn line(line: &[u8]) -> Option<Line<'_>> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!name.is_empty() && name.bytes().all(token)).then_some((name, &line[colon + 1..]))
}

fn written(agreed: &AgreedHeaders) -> Vec<(&str, &[u8])> {
    agreed.iter().map(|(name, value)| (name, value.as_bytes())).collect()
}

fn version(tree: &Tree) -> Option<&str> {
    tree.at(&["params", "_meta", "io.modelcontextprotocol/protocolVersion"]).and_then(Tree::text)
}

fn says(agreed: &AgreedHeaders, received: &[Line<'_>], tree: &Tree) {
    let method = tree.get("method").and_then(Tree::text);
    let mut names = Vec::new();
    for (name, value) in agreed.iter() {
        assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "a value can't be split");
        assert_eq!(value.trim(), value);
        let plain = |name: &str| name.replace('_', "-").to_ascii_lowercase();
        let twins = received.iter().filter(|(other, _)| plain(other) == plain(name));
        assert_eq!(twins.count(), 1, "{name} came in one spelling, once");
        assert!(!names.contains(&name), "{name} goes on once");
        names.push(name);
        match name {
            "mcp-protocol-version" => assert_eq!(value, agreed.revision.as_str()),
            "mcp-method" => assert_eq!(Some(value), method),
            "mcp-name" => {
                let said = decode(value);
                let mut members = ["name", "uri", "taskId"].iter();
                assert!(
                    members
                        .any(|member| tree.at(&["params", member]).and_then(Tree::text) == said.as_deref())
                );
            }
            _ => {
                assert!(name.starts_with("mcp-param-"));
                let said = decode(value).expect("a value that is sent on can be read");
                let arguments = tree.at(&["params", "arguments"]).expect("there are arguments");
                let mut found = false;
                arguments.walk(1, &mut |value, _| found |= scalar(value, &said));
                assert!(found, "no argument says {said:?}");
            }
        }
    }
    assert!(names.contains(&"mcp-protocol-version") && names.contains(&"mcp-method"));
}

fn scalar(value: &Tree, said: &str) -> bool {
    match value {
        Tree::Text(text) => text == said,
        Tree::Bool(value) => value.to_string() == said,
        Tree::Whole(value) => said.parse() == Ok(*value) || said.parse() == Ok(*value as f64),
        Tree::Float(value) => said.parse() == Ok(*value),
        Tree::Null | Tree::List(_) | Tree::Members(_) => false,
    }
}

fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}
