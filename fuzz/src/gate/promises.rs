//! What has to hold of every exchange, whatever was sent.

use aws_lc_rs::hmac;
use narrows_core::ports::Pairing;
use narrows_mcp::json::{Document, Limits};
use serde_json::Value;

use super::{
    input::Who,
    world::{DIGEST_KEY, Event, SESSION},
};

/// Intents without an outcome.
pub(super) fn open(events: &[Event]) -> usize {
    let of = |wanted: fn(&Pairing) -> bool| {
        events.iter().filter(|event| matches!(event, Event::Recorded(pairing, _) if wanted(pairing))).count()
    };
    of(|pairing| *pairing == Pairing::Intent)
        .saturating_sub(of(|pairing| matches!(pairing, Pairing::Outcome(_))))
}

/// What the server got was recorded before it did, as what it is, and was allowed.
pub(super) fn of_server(events: &[Event]) {
    assert_eq!(open(events), 0, "an intent has no outcome");
    let mut intents: Vec<&Value> = Vec::new();
    for event in events {
        match event {
            Event::Recorded(Pairing::Intent, record) => intents.push(record),
            Event::Recorded(_, _) => {}
            Event::Seen { method, headers, body } => {
                let seen = Seen::of(method, body);
                let intent = intents.iter().position(|intent| seen.is_of(intent));
                let intent = intent.unwrap_or_else(|| panic!("what ran was not recorded before: {seen:?}"));
                seen.is_allowed(intents.remove(intent));
                for (name, value) in headers {
                    let name = name.as_str();
                    assert!(
                        OURS.contains(&name) || name.starts_with("mcp-param-"),
                        "a client's {name} went on"
                    );
                    assert!(
                        name != "mcp-session-id" || value == SESSION,
                        "a session that the server never gave"
                    );
                }
            }
        }
    }
}

/// The headers that a server can get.
const OURS: [&str; 10] = [
    "accept",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "user-agent",
];

#[derive(Debug)]
struct Seen {
    method: String,
    params: Value,
    /// As the digest in the record has it.
    arguments: Option<String>,
}

impl Seen {
    fn of(verb: &str, body: &[u8]) -> Self {
        if verb != "POST" {
            assert!(body.is_empty());
            return Self { method: format!("http/{verb}"), params: Value::Null, arguments: None };
        }
        let document = Document::parse(body, &Limits::CLIENT).expect("the server gets strict JSON");
        assert_eq!(document.as_str().as_bytes(), body, "it gets the normalised text");
        let json: Value = serde_json::from_slice(body).expect("serde_json reads it");
        let method = json["method"].as_str().unwrap_or("response").to_owned();
        let names = ["jsonrpc", "id", "method", "params", "result", "error"];
        let members = json.as_object().expect("one message at a time");
        assert!(members.keys().all(|name| names.contains(&name.as_str())));
        let arguments = document.root().at(&["params", "arguments"]).map(|arguments| arguments.raw());
        let digest =
            matches!(&*method, "tools/call" | "prompts/get").then(|| digest(arguments.unwrap_or("{}")));
        Self { method, params: json.get("params").cloned().unwrap_or_default(), arguments: digest }
    }

    /// Whether a record is of this.
    fn is_of(&self, intent: &Value) -> bool {
        let recorded = &intent["request"];
        let same = |member: &str, value: Option<&Value>| value.is_none_or(|value| recorded[member] == *value);
        let (tool, prompt, resource) = match &*self.method {
            "tools/call" => (self.params.get("name"), None, None),
            "prompts/get" => (None, self.params.get("name"), None),
            "resources/read" => (None, None, self.params.get("uri")),
            _ => (None, None, None),
        };
        recorded["method"] == *self.method
            && same("tool", tool)
            && same("prompt", prompt)
            && same("resource", resource)
            && self.arguments.as_ref().is_none_or(|digest| recorded["argsDigest"] == **digest)
            && intent["decision"]["effect"] == "allow"
    }

    /// Whether the roles of the world allow it, said once more by hand.
    fn is_allowed(&self, intent: &Value) {
        let text = |name: &str| self.params[name].as_str().unwrap_or_default();
        let subject = intent["actor"]["subject"].as_str();
        let (name, uri, path) = (text("name"), text("uri"), self.params["arguments"]["path"].as_str());
        match (subject, &*self.method) {
            (Some("bob"), "tools/call") => assert_ne!(name, "admin_delete", "the denied tool ran"),
            (Some("bob"), _) => {}
            (Some("ann"), "tools/call") => {
                assert!(name.starts_with("read_"), "a denied tool ran");
                let open = path.is_some_and(|path| !path.contains("/secret/"));
                assert!(name != "read_file" || open, "a tool ran with arguments that are denied");
            }
            (Some("ann"), "prompts/get") => assert_eq!(name, "greet"),
            (Some("ann"), "resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                // A revision that has no subscriptions takes them for methods, which ann has no grant for.
                assert!(uri.starts_with("file:///open/"), "a denied resource was read");
            }
            (Some("ann"), method) => assert!(BASE.contains(&method), "ann has no grant for {method}"),
            (subject, _) => panic!("{subject:?} has no grants"),
        }
    }
}

/// Methods that any grant includes.
const BASE: [&str; 16] = [
    "completion/complete",
    "http/DELETE",
    "http/GET",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "ping",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "response",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
];

fn digest(arguments: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &DIGEST_KEY), arguments.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac-sha256:{hex}")
}

/// What the client is told: no fault of ours, nothing that it may not see.
pub(super) fn of_client(events: &[Event], request: Option<&(Who, Vec<u8>)>, answer: &[u8]) {
    let Some(line) = answer.strip_prefix(b"HTTP/1.1 ") else { return };
    let status = line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    let status: u16 = status.and_then(|digits| digits.parse().ok()).expect("a status");
    let asked = events.iter().any(|event| matches!(event, Event::Seen { .. }));
    assert!(status < 500 || asked && (502..=504).contains(&status), "a fault of the gateway: {status}");
    let Some((who, body)) = request else { return };
    if *who == Who::Nobody {
        assert_eq!(status / 100, 4, "without a token nothing happens");
    }
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let (head, answer) = (String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(), &answer[end + 4..]);
    if !head.contains("\r\ncontent-type: application/json") || !head.contains("\r\ncontent-length: ") {
        return;
    }
    let answer: Value = serde_json::from_slice(answer).expect("a JSON answer is JSON");
    // What the client asked for, if it asked in a way that can be understood.
    let Ok(asked) = serde_json::from_slice::<Value>(body) else { return };
    if *who == Who::Ann && asked["method"] == "tools/list" {
        let tools = answer["result"]["tools"].as_array();
        let visible = |tool: &Value| tool["name"].as_str().is_some_and(|name| name.starts_with("read_"));
        assert!(tools.is_none_or(|tools| tools.iter().all(visible)), "a tool is listed that can't be called");
    }
    if let (Some(id), true) = (asked.get("id"), asked.is_object()) {
        assert!(answer["id"] == *id || answer["id"].is_null(), "an answer under another id");
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use narrows_core::ports::LogIndex;
    use serde_json::json;

    use super::*;

    fn seen(name: &str, path: &str) -> Event {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{"path":"{path}"}}}}}}"#
        );
        Event::Seen { method: "POST".into(), headers: HeaderMap::new(), body: body.into() }
    }

    fn intent(subject: &str, name: &str, path: &str) -> Event {
        let digest = digest(&format!(r#"{{"path":"{path}"}}"#));
        let request = json!({"method": "tools/call", "tool": name, "argsDigest": digest});
        let record =
            json!({"actor": {"subject": subject}, "request": request, "decision": {"effect": "allow"}});
        Event::Recorded(Pairing::Intent, record)
    }

    fn outcome() -> Event {
        Event::Recorded(Pairing::Outcome(LogIndex(1)), Value::Null)
    }

    fn keeps(events: &[Event]) -> bool {
        std::panic::catch_unwind(|| of_server(events)).is_ok()
    }

    /// That promises can be seen to be broken.
    #[test]
    fn what_breaks_a_promise_is_seen() {
        assert!(keeps(&[intent("ann", "read_file", "/a"), seen("read_file", "/a"), outcome()]));
        assert!(
            !keeps(&[seen("read_file", "/a"), intent("ann", "read_file", "/a"), outcome()]),
            "recorded late"
        );
        assert!(
            !keeps(&[intent("ann", "read_file", "/a"), seen("read_dir", "/a"), outcome()]),
            "as another tool"
        );
        assert!(
            !keeps(&[intent("ann", "read_file", "/a"), seen("read_file", "/b"), outcome()]),
            "other arguments"
        );
        assert!(!keeps(&[intent("ann", "read_file", "/a"), seen("read_file", "/a")]), "no outcome");
        assert!(!keeps(&[intent("ann", "write", "/a"), seen("write", "/a"), outcome()]), "denied to ann");
        assert!(!keeps(&[intent("ann", "read_file", "/secret/"), seen("read_file", "/secret/"), outcome()]));
        assert!(!keeps(&[intent("bob", "admin_delete", "/a"), seen("admin_delete", "/a"), outcome()]));
        let twice =
            [intent("ann", "read_file", "/a"), seen("read_file", "/a"), seen("read_file", "/a"), outcome()];
        assert!(!keeps(&twice), "one record is not of two calls");
        let status = |answer: &[u8]| std::panic::catch_unwind(|| of_client(&[], None, answer)).is_ok();
        assert!(status(b"HTTP/1.1 404 Not Found\r\n\r\n") && !status(b"HTTP/1.1 500 Oops\r\n\r\n"));
    }
}
