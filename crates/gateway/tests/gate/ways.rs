//! Where requests to a server are led, and what is asked of it before anyone is.

use narrows_core::lifecycle::{Endpoint, Route};
use serde_json::json;

use super::{
    legacy::open,
    world::{Script, World, events, json, status},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":"c-1","method":"tools/call","params":{"name":"read_file","arguments":{"path":"/a"}}}"#;

fn at(world: &World, path: &str) -> Endpoint {
    Endpoint::Remote(format!("http://{}/{path}", world.upstream).into())
}

fn lead(world: &World, live: Option<Endpoint>, draining: Vec<Endpoint>) {
    world.gateway.lead(&"dev/files".parse().unwrap(), &Route { live, draining });
}

#[tokio::test]
async fn a_session_stays_where_it_began_until_that_is_over() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    let call = async |session: &str| {
        world.server.will(json(r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#));
        world.post(&token, &[("mcp-session-id", session)], CALL).await.status
    };
    let old = open(&world, &token).await;
    lead(&world, Some(at(&world, "new")), vec![at(&world, "mcp")]);
    let new = open(&world, &token).await;
    assert_eq!((call(&old).await, call(&new).await), (200, 200));
    // The next version: two older ones drain.
    lead(&world, Some(at(&world, "newer")), vec![at(&world, "new"), at(&world, "mcp")]);
    assert_eq!((call(&old).await, call(&new).await), (200, 200));
    lead(&world, Some(at(&world, "newer")), vec![at(&world, "new")]);
    assert_eq!((call(&old).await, call(&new).await), (404, 200));
}

#[tokio::test]
async fn what_leads_nowhere_is_not_available_and_recorded() {
    let world = World::start().await;
    let token = world.token("root", "admins");
    lead(&world, None, Vec::new());
    let before = world.server.seen().len();
    let answer = world.post(&token, &[], r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#).await;
    let (status, text) = (answer.status, answer.text().await);
    assert!(status == 503 && text.contains("it is coming up"), "{status} {text}");
    assert_eq!(world.server.seen().len(), before);
    let summary = world.log.summary();
    assert!(summary.iter().any(|record| record.contains("admitted")), "{summary:?}");
    assert_eq!(world.log.open(), 0);
}

const GREETING: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"files","version":"3"}}}"#;

fn page(names: &[&str], next: Option<&str>) -> String {
    let tools: Vec<_> = names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
    let mut result = json!({ "tools": tools });
    if let Some(next) = next {
        result["nextCursor"] = next.into();
    }
    format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{result}}}"#)
}

/// What a probe says of a server that answers so, one after the other.
async fn check(scripts: Vec<Script>, expected: Result<(&str, &str, &[&str]), &str>) {
    let world = World::start().await;
    for script in scripts {
        world.server.will(script);
    }
    let probed = world.gateway.probe(&at(&world, "mcp")).await;
    match (probed, expected) {
        (Ok(surface), Ok((revision, server, tools))) => {
            assert_eq!((surface.revision.as_str(), surface.server.as_str()), (revision, server));
            assert_eq!(surface.tools, tools);
        }
        (Err(failure), Err(said)) => assert_eq!(failure.to_string(), said),
        (probed, expected) => panic!("{probed:?} is not {expected:?}"),
    }
    for seen in world.server.seen() {
        assert!(
            !seen.headers.contains_key("authorization") && !seen.headers.contains_key("narrows-principal")
        );
    }
}

#[tokio::test]
async fn a_server_is_asked_in_the_words_of_both_eras() {
    let tools: &[&str] = &["a", "b", "c"];
    let accepted = || status(202);
    check(
        vec![json(GREETING), accepted(), json(page(&["a", "b"], Some("2"))), json(page(&["c"], None))],
        Ok(("2025-06-18", "files 3", tools)),
    )
    .await;
    // As events, with something before the answer; and one without tools is not asked for them.
    let event = |text: &str| format!("data: {text}\n\n");
    let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    check(
        vec![events(&[&event(GREETING)]), accepted(), events(&[&event(note), &event(&page(tools, None))])],
        Ok(("2025-06-18", "files 3", tools)),
    )
    .await;
    let bare = r#"{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    check(vec![json(bare), accepted()], Ok(("2025-11-25", "", &[]))).await;
    let unknown = r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"no such method"}}"#;
    let discovered = r#"{"jsonrpc":"2.0","id":$id,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"new"}}}"#;
    check(vec![json(unknown), json(discovered), json(page(tools, None))], Ok(("2026-07-28", "new", tools)))
        .await;
}

#[tokio::test]
async fn what_is_no_mcp_is_said_to_be_none() {
    let nothing = || status(404);
    check(vec![nothing(), nothing()], Err("it answered `initialize` with HTTP status 404")).await;
    check(vec![status(502)], Err("it answered `initialize` with HTTP status 502")).await;
    check(
        vec![json("<html>"), nothing()],
        Err("its answer to `initialize` is not MCP: it is no strict JSON"),
    )
    .await;
    check(
        vec![json(r#"{"jsonrpc":"2.0","id":$id,"result":{}}"#), nothing()],
        Err("its answer to `initialize` is not MCP: its result has no `protocolVersion`"),
    )
    .await;
    check(
        vec![
            json(GREETING),
            status(202),
            json(page(&["a"], Some("x"))),
            json(page(&["b"], Some("x"))),
            status(200),
            nothing(),
        ],
        Err("its answer to `tools/list` is not MCP: a cursor comes again"),
    )
    .await;
    check(
        vec![
            events(&["data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"]),
            nothing(),
        ],
        Err("its answer to `initialize` is not MCP: the stream ended without a response"),
    )
    .await;
}
