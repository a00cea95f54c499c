//! What operators are told: lines of the process's log, spans, and whether the gateway is ready.

use std::{
    io,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use narrows_gateway::{
    Limits,
    telemetry::{CallFacts, CallSpan, Spans},
};
use serde_json::{Value, json};

use super::{
    legacy::open,
    world::{LogMode, ROLES, World, json as answers},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#;
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

/// Lines that were logged, of all tests in this process.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Collector;

impl io::Write for Collector {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Collects what is logged from now on.
fn collect() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        tracing_subscriber::fmt().json().with_writer(|| Collector).init();
        // What another test came by in between has asked whether anyone listens.
        tracing::callsite::rebuild_interest_cache();
    });
}

/// What was logged of a request.
fn logged(request: &str) -> Vec<Value> {
    let text = String::from_utf8(LOGGED.lock().unwrap().clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["fields"]["request"] == request)
        .collect()
}

#[tokio::test]
async fn a_denial_is_logged_without_what_was_asked_with() {
    collect();
    for (mode, path, tool, rule) in [
        ("enforce", "/a", "write_file", "no grant"),
        ("enforce", "/secret/b", "read_file", "reader/rules[1]"),
        ("observe", "/a", "write_file", "no grant"),
    ] {
        let world = World::start().await;
        world.publish(mode, ROLES);
        world.server.will(answers(RESULT));
        let call = CALL.replace("read_file", tool).replace("/a", path);
        world.post(&world.token("ann", "readers"), &[], &call).await;
        let denied = &world.log.records()[0];
        assert_eq!(denied["kind"], "request.denied", "{mode} {tool}");
        let request = denied["request"]["id"].as_str().unwrap();
        let lines = logged(request);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(
            lines[0]["fields"],
            json!({
                "message": "denied", "server": "dev/files", "subject": "ann", "method": "tools/call",
                "tool": tool, "rule": rule, "mode": mode, "request": request,
            })
        );
        world.stop().await;
    }
}

/// Spans that say when they begin and how they end.
#[derive(Default)]
struct Told(Arc<Mutex<Vec<Value>>>);

struct Begun(Arc<Mutex<Vec<Value>>>);

impl Spans for Told {
    fn start(&self, call: &CallFacts<'_>) -> Box<dyn CallSpan> {
        self.0.lock().unwrap().push(json!({
            "method": call.method, "revision": call.revision, "session": call.session, "tool": call.tool,
            "prompt": call.prompt, "resource": call.resource, "server": call.server,
            "request": call.request_id, "parent": call.parent,
        }));
        Box::new(Begun(Arc::clone(&self.0)))
    }
}

impl CallSpan for Begun {
    fn traceparent(&self) -> Option<String> {
        Some(OWN.to_owned())
    }

    fn end(self: Box<Self>, error: Option<&'static str>) {
        self.0.lock().unwrap().push(json!(error));
    }
}

#[tokio::test]
async fn a_span_says_what_the_record_says_and_goes_on_to_the_server() {
    let told = Told::default();
    let spans = Arc::clone(&told.0);
    let world = World::traced(Limits::default(), Some(Arc::new(told))).await;
    let token = world.token("root", "admins");
    let session = open(&world, &token).await;
    let headers = [("mcp-session-id", session.as_str()), ("traceparent", PARENT)];
    for (method, params, named, result, fails) in [
        ("tools/call", json!({"name": "read_file", "arguments": {}}), "tool", RESULT, false),
        ("prompts/get", json!({"name": "greet"}), "prompt", RESULT, false),
        ("resources/read", json!({"uri": "file:///a"}), "resource", "no JSON", true),
    ] {
        spans.lock().unwrap().clear();
        world.server.will(answers(result));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        world.post(&token, &headers, &body).await;
        assert_eq!(world.server.seen().last().unwrap().headers["traceparent"], OWN, "{method}");
        let records = world.log.records();
        let [.., admitted, completed] = &records[..] else { panic!("{method}: no records") };
        let request = &admitted["request"];
        let mut begun = json!({
            "method": method, "revision": "2025-11-25", "session": request["session"], "tool": null,
            "prompt": null, "resource": null, "server": "dev/files", "request": request["id"],
            "parent": PARENT,
        });
        begun[named] = request[named].clone();
        assert!(request["session"].is_string() && request[named].is_string(), "{method}: {request}");
        let ended = completed["outcome"]["error"].clone();
        assert_eq!(ended.is_string(), fails, "{method}: {completed}");
        assert_eq!(*spans.lock().unwrap(), [begun, ended], "{method}");
    }
    // What is refused is no call.
    spans.lock().unwrap().clear();
    let refused = world.post(&world.token("eve", "nobody"), &[], CALL).await;
    assert_eq!((refused.status, spans.lock().unwrap().len()), (404, 0));
    world.stop().await;
}

#[tokio::test]
async fn a_gateway_is_ready_while_its_record_can_be_written() {
    let world = World::start().await;
    let check = async |status: &str, text: &str| {
        let answer = world.operator("/readyz").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(text), "{answer}");
    };
    check("200", "\r\n\r\nready\n").await;
    *world.log.mode.lock().unwrap() = LogMode::Refuses;
    check("503", "no space left on device\n").await;
    *world.log.mode.lock().unwrap() = LogMode::Works;
    check("200", "\r\n\r\nready\n").await;
    world.end();
    let told = async { while !world.operator("/readyz").await.ends_with("\r\n\r\nshutting down\n") {} };
    tokio::time::timeout(Duration::from_secs(5), told).await.expect("it says that it ends");
    check("503", "").await;
    world.stop().await;
}
