//! Requests of revision 2026-07-28: each stands alone, says what it speaks, and its headers agree with its body.

use serde_json::{Value, json};

use super::world::{Script, World, events, json as answers};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","content":[]}}"#;

fn call(name: &str, more: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{"path":"/a","region":"eu"}},{META}{more}}}}}"#
    )
}

const HEADERS: [(&str, &str); 3] =
    [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "read_file")];

fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers: Vec<_> = HEADERS.to_vec();
    for (name, value) in changes {
        headers.retain(|(present, _)| present != name);
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
    headers
}

#[tokio::test]
async fn headers_are_made_anew_from_the_body_they_agree_with() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    world.server.will(answers(RESULT));
    let headers = with(&[("mcp-param-region", "=?base64?ZXU=?="), ("mcp-session-id", "of-an-older-time")]);
    let answer = world.post(&token, &headers, &call("read_file", "")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().await["id"], 1);
    let seen = world.server.seen();
    let headers = &seen[0].headers;
    assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
    assert_eq!(headers["mcp-method"], "tools/call");
    assert_eq!(headers["mcp-name"], "read_file");
    assert_eq!(headers["mcp-param-region"], "eu");
    assert_eq!(
        world.log.summary(),
        ["request.admitted tools/call read_file", "request.completed tools/call ok"]
    );
    world.stop().await;
}

#[tokio::test]
async fn a_mismatch_is_refused_before_anything_else() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    for changes in [
        &[("mcp-method", "")][..],
        &[("mcp-name", "")],
        &[("mcp-name", "write_file")],
        &[("mcp-name", "READ_FILE")],
        &[("mcp-name", "=?base64?d3JpdGVfZmlsZQ==?=")],
        &[("mcp-name", "=?base64?%%?=")],
        &[("mcp-method", "tools/list")],
        &[("mcp-protocol-version", "2025-11-25")],
        &[("mcp-protocol-version", "")],
        &[("mcp-param-region", "us")],
    ] {
        let answer = world.post(&token, &with(changes), &call("read_file", "")).await;
        assert_eq!(answer.status, 400, "{changes:?}");
        assert_eq!(answer.json().await["error"]["code"], -32020, "{changes:?}");
    }
    let plain = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"}}"#;
    assert_eq!(world.post(&token, &HEADERS, plain).await.json().await["error"]["code"], -32602);
    let future = call("read_file", "").replace("2026-07-28", "2030-01-01");
    let answer =
        world.post(&token, &with(&[("mcp-protocol-version", "2030-01-01")]), &future).await.json().await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["requested"], "2030-01-01");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let answer = world.post(&token, &HEADERS, note).await.json().await;
    assert_eq!(answer["error"]["code"], -32020, "a notification's headers are compared too");
    let unknown = call("read_file", "").replace("2026-07-28", "1999-01-01");
    assert_eq!(world.post(&token, &HEADERS, &unknown).await.json().await["error"]["code"], -32020);
    assert!(world.server.seen().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_method_that_the_revision_dropped_is_the_servers_to_refuse() {
    let world = World::start().await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{{META}}}}}"#);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "resources/subscribe")];
    let gone = answers(r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"gone"}}"#);
    world.server.will(Script { status: 404, ..gone });
    let answer = world.post(&world.token("root", "admins"), &headers, &body).await;
    assert_eq!((answer.status, &answer.json().await["error"]["code"]), (404, &json!(-32601)));
    assert_eq!(world.post(&world.token("ann", "readers"), &headers, &body).await.status, 403);
    world.stop().await;
}

#[tokio::test]
async fn a_request_state_is_good_for_its_call_alone() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    let asks = r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"input_required","requestState":"server-state","inputRequests":{"q":{"method":"elicitation/create","params":{}}}}}"#;
    world.server.will(answers(asks));
    let answer = world.post(&token, &HEADERS, &call("read_file", "")).await.json().await;
    let state = answer["result"]["requestState"].as_str().unwrap().to_owned();
    assert_ne!(state, "server-state");
    assert_eq!(answer["result"]["inputRequests"]["q"]["method"], "elicitation/create");

    let retry = |name: &str, state: &str| {
        call(name, &format!(r#","requestState":"{state}","inputResponses":{{"q":{{"action":"accept"}}}}"#))
    };
    world.server.will(answers(RESULT));
    assert_eq!(world.post(&token, &HEADERS, &retry("read_file", &state)).await.status, 200);
    let sent = world.server.seen()[1].json();
    assert_eq!(sent["params"]["requestState"], "server-state");
    assert_eq!(sent["params"]["inputResponses"]["q"]["action"], "accept");

    let other = world.token("root2", "admins");
    for (token, name, state) in [
        (&other, "read_file", state.as_str()),
        (&token, "read_dir", &state),
        (&token, "read_file", "server-state"),
        (&token, "read_file", &state[..state.len() - 2]),
    ] {
        let answer = world.post(token, &with(&[("mcp-name", name)]), &retry(name, state)).await;
        assert_eq!((answer.status, &answer.json().await["error"]["code"]), (400, &json!(-32602)));
    }
    assert_eq!(world.server.seen().len(), 2);

    // Nor is it good with other arguments.
    let other_arguments = retry("read_file", &state).replace("\"/a\"", "\"/b\"");
    assert_eq!(world.post(&token, &HEADERS, &other_arguments).await.status, 400);

    // Who may not be asked is not asked.
    world.server.will(answers(asks));
    let reader = world.token("ann", "readers");
    let answer = world.post(&reader, &HEADERS, &call("read_file", "")).await;
    assert_eq!(answer.status, 502);
    assert!(world.log.summary().contains(&"request.denied elicitation/create".to_owned()));
    world.server.will(events(&[&format!("data: {asks}\n\n")]));
    let text = world.post(&reader, &HEADERS, &call("read_file", "")).await.text().await;
    assert!(text.contains("-31502") && !text.contains("elicitation"), "an error in its place: {text}");
    world.stop().await;
}

#[tokio::test]
async fn a_subscription_has_the_clients_id_and_only_what_it_may_read() {
    let world = World::start().await;
    let token = world.token("ann", "readers");
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{{"notifications":{{"toolsListChanged":true,"resourceSubscriptions":["file:///open/a","file:///closed/b"]}},{META}}}}}"#
    );
    let subscribed = r#""_meta":{"io.modelcontextprotocol/subscriptionId":$id}"#;
    let pieces = [
        format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\"notifications\":{{}},{subscribed}}}}}\n\n"),
        format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{{\"uri\":\"file:///closed/b\",{subscribed}}}}}\n\n"),
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":99}}}\n\n".to_owned(),
        "data: {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n".to_owned(),
        format!("data: {{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{{\"resultType\":\"complete\",{subscribed}}}}}\n\n"),
    ];
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    world.server.will(events(&pieces));
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "subscriptions/listen")];
    let text = world.post(&token, &headers, &listen).await.text().await;
    let got: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(got.len(), 2, "{text}");
    let id = |value: &Value| value["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    assert_eq!(id(&got[0]["params"]), "sub");
    assert_eq!((&got[1]["id"], id(&got[1]["result"])), (&json!("sub"), json!("sub")));
    let sent = world.server.seen()[0].json();
    assert_eq!(sent["params"]["notifications"]["resourceSubscriptions"], json!(["file:///open/a"]));
    world.stop().await;
}

#[tokio::test]
async fn errors_of_the_revision_keep_their_status_and_what_is_personal_is_private() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    for (code, http) in [(-32601, 404), (-32021, 400), (-32602, 400)] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":$id,"error":{{"code":{code},"message":"m","data":{{"x":1}}}}}}"#
        );
        world.server.will(Script { status: http, ..answers(body) });
        let answer = world.post(&token, &HEADERS, &call("read_file", "")).await;
        assert_eq!(answer.status, http);
        assert_eq!(
            answer.json().await,
            json!({"jsonrpc":"2.0","id":1,"error":{"code":code,"message":"m","data":{"x":1}}})
        );
    }
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    world.server.will(answers(r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","tools":[],"ttlMs":5,"cacheScope":"public"}}"#));
    let result = world.post(&token, &headers, &list).await.json().await["result"].clone();
    assert_eq!(result, json!({"resultType":"complete","tools":[],"ttlMs":5,"cacheScope":"private"}));
    for method in ["GET", "DELETE"] {
        assert_eq!(
            world.send(method, &token, &[("mcp-protocol-version", "2026-07-28")], "").await.status,
            405
        );
    }
    world.stop().await;
}
