//! Requests and answers as they go over the wire, on a control plane whose log and store are in memory.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use narrows_control::{Control, Live, Parts, serve};
use narrows_core::{
    change::Following,
    policy::Snapshot,
    ports::{
        AppendError, AuditLog, Durable, LogIndex, Pairing, RevisionEntry, Revisions, SavedRevision,
        StateError,
    },
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;

#[derive(Default)]
struct Memory {
    records: Mutex<Vec<Value>>,
    kept: Mutex<Vec<SavedRevision>>,
    full: Mutex<bool>,
}

impl AuditLog for Memory {
    fn append(&self, pairing: Pairing, line: Vec<u8>) -> Durable {
        if *self.full.lock().unwrap() {
            let reason = "no space left on device".into();
            return Box::pin(std::future::ready(Err(AppendError::Unwritable { reason })));
        }
        self.append_later(pairing, line).unwrap();
        Box::pin(std::future::ready(Ok(LogIndex(self.records.lock().unwrap().len() as u64 - 1))))
    }

    fn append_later(&self, _: Pairing, line: Vec<u8>) -> Result<(), AppendError> {
        self.records.lock().unwrap().push(serde_json::from_slice(&line).unwrap());
        Ok(())
    }

    fn health(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

impl Revisions for Memory {
    fn latest(&self) -> Result<Option<SavedRevision>, StateError> {
        Ok(self.kept.lock().unwrap().last().cloned())
    }

    fn numbered(&self, number: u64) -> Result<Option<SavedRevision>, StateError> {
        Ok(self.kept.lock().unwrap().iter().find(|kept| kept.number == number).cloned())
    }

    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionEntry>, StateError> {
        let kept = self.kept.lock().unwrap();
        let entry = |kept: &SavedRevision| RevisionEntry {
            number: kept.number,
            saved_at: kept.saved_at,
            digest: kept.digest.clone(),
            change: kept.change.clone(),
        };
        let older = kept.iter().rev().filter(|kept| before.is_none_or(|before| kept.number < before));
        Ok(older.take(limit).map(entry).collect())
    }

    fn save(&self, revision: &SavedRevision) -> Result<(), StateError> {
        self.kept.lock().unwrap().push(revision.clone());
        Ok(())
    }

    fn settle(&self, _: &str) -> Result<bool, StateError> {
        Ok(false)
    }
}

impl Live for Memory {
    fn put_in_force(&self, _: &Arc<Snapshot>) {}
}

struct World {
    memory: Arc<Memory>,
    router: Router,
    _tasks: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        let control = Control::load(Parts {
            log: Arc::clone(&memory) as _,
            revisions: Arc::clone(&memory) as _,
            live: Arc::clone(&memory) as _,
            following: Following::Nothing,
            clock: || jiff::Timestamp::from_second(1_800_000_000).unwrap(),
            random: || Ok([7; 10]),
        });
        let (controller, run) = serve(control.unwrap(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(run);
        Self { memory, router: router(Plane { controller, servers: None }), _tasks: tasks }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, http::HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let caller = Caller {
            kind: "user",
            issuer: "urn:test".into(),
            subject: "alice".into(),
            groups: [].into(),
            ip: "127.0.0.1".to_owned(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "test")
            .extension(caller)
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, _, answer) = self.send(request).await;
        (status, answer)
    }

    async fn change(&self, body: &Value) -> (StatusCode, Value) {
        self.ask(Method::POST, "/api/v1/changes", body).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, &format!("/api/v1{path}"), &Value::Null).await
    }
}

fn namespace(name: &str, environment: &str) -> String {
    format!(
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: {{ name: {name} }}\n\
         spec: {{ environment: {environment} }}\n"
    )
}

fn put(text: &str) -> Value {
    json!({ "documents": [{ "name": "r.yaml", "text": text }] })
}

fn named(name: &str) -> Value {
    json!({ "kind": "GovernedNamespace", "name": name })
}

/// The objects of a change, each with what was done.
fn done(answer: &Value) -> String {
    let mut text = String::new();
    for change in answer["changes"].as_array().unwrap() {
        write!(
            text,
            "{} {};",
            change["operation"].as_str().unwrap(),
            change["object"]["name"].as_str().unwrap()
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn a_change_and_the_way_back() {
    let world = World::new();
    let (status, answer) = world.change(&put(&namespace("dev", "dev"))).await;
    assert_eq!((status, done(&answer)), (StatusCode::OK, "create dev;".to_owned()), "{answer}");
    assert_eq!(answer["applied"], true);
    assert_eq!(answer["base"].as_str().unwrap().split('-').next(), Some("0"));
    let mut dry = put(&namespace("dev", "prod"));
    dry["dryRun"] = true.into();
    let (_, answer) = world.change(&dry).await;
    assert_eq!((done(&answer), &answer["applied"]), ("update dev;".to_owned(), &json!(false)));
    assert_eq!(
        answer["changes"][0]["fields"],
        json!([{ "path": "spec.environment", "before": "dev", "after": "prod" }])
    );
    let mut second = put(&(namespace("dev", "prod") + "---\n" + &namespace("lab", "dev")));
    second["reason"] = "it grew up".into();
    second["base"] = "1".into();
    assert_eq!(done(&world.change(&second).await.1), "update dev;create lab;");
    assert_eq!(world.change(&second).await.0, StatusCode::CONFLICT);

    let (_, found) = world.get("/resources?kind=GovernedNamespace&name=dev").await;
    assert_eq!(found["items"][0]["manifest"]["spec"], json!({ "environment": "prod", "mode": "enforce" }));
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let (_, found) = world.get("/revisions?limit=1").await;
    assert_eq!((&found["items"][0]["number"], &found["next"]), (&json!(2), &json!(2)));
    assert_eq!(found["items"][0]["reason"], "it grew up");
    assert_eq!(found["items"][0]["actor"], "alice");
    let (_, found) = world.get("/revisions?before=2").await;
    assert_eq!((&found["items"][0]["number"], &found["next"]), (&json!(1), &Value::Null));
    let (_, found) = world.get("/revisions/1").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(done(&world.get("/revisions/1/diff").await.1), "update dev;create lab;");
    assert_eq!(done(&world.get("/revisions/2/diff?to=0").await.1), "delete dev;delete lab;");

    let restore = async |body: Value| world.ask(Method::POST, "/api/v1/revisions/1/restore", &body).await.1;
    assert_eq!(done(&restore(json!({ "object": named("dev"), "dryRun": true })).await), "update dev;");
    assert_eq!(done(&restore(json!({ "object": named("lab") })).await), "delete lab;");
    let (_, removed) = world.change(&json!({ "remove": [named("dev")] })).await;
    assert_eq!(done(&removed), "delete dev;");
    assert_eq!(done(&restore(json!({})).await), "create dev;");
    assert_eq!(world.get("/revisions/5").await.1["items"], world.get("/revisions/1").await.1["items"]);
    let nothing = restore(json!({})).await;
    assert_eq!((done(&nothing), &nothing["applied"]), (String::new(), &json!(false)));
    // What a record says of who asked.
    let records = world.memory.records.lock().unwrap();
    let first = &records[0];
    assert_eq!(
        first["actor"],
        json!({ "kind": "user", "issuer": "urn:test", "subject": "alice", "groups": [] })
    );
    assert_eq!(first["source"], json!({ "ip": "127.0.0.1", "userAgent": "test" }));
}

#[tokio::test]
async fn what_is_wrong_is_said_by_field() {
    let world = World::new();
    world.change(&put(&namespace("dev", "dev"))).await;
    let check = async |method: Method, path: &str, body: Value, status: u16, said: &str| {
        let (found, answer) = world.ask(method, path, &body).await;
        let text = answer.to_string();
        assert_eq!(found.as_u16(), status, "{path}: {text}");
        assert_eq!(answer["status"], status, "{path}: {text}");
        assert!(
            answer["type"].as_str().is_some_and(|kind| kind.starts_with("urn:narrows:problem:")),
            "{text}"
        );
        assert!(text.contains(said), "{path} does not say {said:?}: {text}");
    };
    let post = async |body: Value, status: u16, said: &str| {
        check(Method::POST, "/api/v1/changes", body, status, said).await;
    };
    post(json!({}), 400, "there is nothing to change").await;
    post(put("# nothing\n"), 400, "there is nothing to change").await;
    post(json!({ "documnets": [] }), 400, "unknown field `documnets`").await;
    post(json!([]), 400, "the body").await;
    post(json!({ "base": "x", "remove": [named("dev")] }), 400, "`base`: `x` is not a revision").await;
    post(
        json!({ "base": "1-0123456789abcdef", "remove": [named("dev")] }),
        409,
        "the change was made for revision 1-0",
    )
    .await;
    let dry = "/api/v1/changes?dryRun=true";
    check(
        Method::POST,
        dry,
        json!({ "remove": [named("dev")] }),
        400,
        "`dryRun` is not known here; it takes none",
    )
    .await;
    check(Method::POST, "/api/v1/revisions/1/restore?dryRun=true", json!({}), 400, "it takes none").await;
    post(json!({ "remove": [{ "kind": "Server", "name": "x" }] }), 400, "`Server` is not a kind of resource")
        .await;
    post(json!({ "remove": [{ "kind": "McpServer", "name": "x" }] }), 400, "write `namespace/name`").await;
    post(json!({ "remove": [named("nope")] }), 404, "there is no GovernedNamespace `nope`").await;
    let mut both = put(&namespace("dev", "prod"));
    both["remove"] = json!([named("dev")]);
    post(both, 400, "to be put in place and to be removed at once").await;
    let mut long = put(&namespace("lab", "dev"));
    long["reason"] = "x".repeat(1025).into();
    post(long, 400, "`reason` has more than 1024 bytes").await;
    let wrong = namespace("dev", "[a]") + "---\n" + &namespace("UPPER", "dev");
    let (_, answer) = world.change(&put(&wrong)).await;
    let places: Vec<_> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{}:{}", problem["file"].as_str().unwrap(), problem["line"]))
        .collect();
    assert_eq!(places, ["r.yaml:4", "r.yaml:8"], "{answer}");
    let mut stale = put(&namespace("lab", "dev"));
    stale["base"] = "0".into();
    post(stale.clone(), 409, "the change was made for revision 0, and revision 1-").await;
    assert_eq!(done(&world.change(&stale).await.1), "create dev;", "with the difference");
    *world.memory.full.lock().unwrap() = true;
    post(put(&namespace("lab", "dev")), 503, "no space left on device").await;
    *world.memory.full.lock().unwrap() = false;

    let get =
        async |path: &str, status: u16, said: &str| check(Method::GET, path, Value::Null, status, said).await;
    get("/api/v1/nope", 404, "no such address").await;
    get("/", 404, "everything is below").await;
    get("/api/v1/changes", 405, "that can't be done here").await;
    get("/api/v1/resources?knid=x", 400, "`knid` is not known here").await;
    get("/api/v1/resources?kind=x", 400, "`x` is not a kind of resource").await;
    get("/api/v1/resources?name=a&name=b", 400, "`name` is there twice").await;
    get("/api/v1/resources?name=%00", 400, "has characters that no name has").await;
    get("/api/v1/revisions?limit=0", 400, "`limit` is not between 1 and 100").await;
    get("/api/v1/revisions?limit=x", 400, "`limit`: `x` is not a number").await;
    get("/api/v1/revisions/99", 404, "there is no revision 99").await;
    get("/api/v1/revisions/-1", 400, "`revision`: `-1` is not a number").await;
    get("/api/v1/revisions/1/diff?to=99", 404, "there is no revision 99").await;
    let restore = json!({ "object": named("nope") });
    check(Method::POST, "/api/v1/revisions/1/restore", restore, 404, "neither in revision 1 nor in force")
        .await;
    assert_eq!(world.memory.kept.lock().unwrap().len(), 1, "nothing of all this changed anything");
}

fn server(name: &str, command: &str) -> String {
    format!(
        "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\n\
         metadata: {{ namespace: prod, name: {name}, labels: {{ team: a }} }}\n\
         spec: {{ transport: stdio, command: {command}, resources: {{ cpu: 1, memory: 64Mi }} }}\n"
    )
}

#[tokio::test]
async fn policies_refuse_with_all_that_does_not_comply() {
    let world = World::new();
    let text =
        namespace("prod", "prod") + &server("a", "[npx, a, \"ghp_hunter2hunter2\"]") + &server("b", "[b]");
    let mut dry = put(&text);
    dry["dryRun"] = true.into();
    for body in [dry, put(&text)] {
        let (status, answer) = world.change(&body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
        assert_eq!(answer["type"], "urn:narrows:problem:denied");
        assert_eq!(answer["detail"], "2 violations of policies");
        assert_eq!(answer["objects"], json!([{ "kind": "McpServer", "name": "prod/a" }]));
        let violations = answer["violations"].as_array().unwrap();
        assert_eq!(violations.len(), 2);
        assert_eq!(
            violations[0],
            json!({
                "policy": "narrows-packages",
                "rule": "npx",
                "effect": "deny",
                "object": { "kind": "McpServer", "name": "prod/a" },
                "field": "spec.command",
                "expected": "npx -y name@1.2.3",
                "actual": "[\"npx\",\"a\",\"(not shown)\"]",
                "message": "name the package with its exact version, right behind `-y`; with more than one, write \
                            `--package=name@version` for each",
            })
        );
        assert_eq!(violations[1]["rule"], "command");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
    assert_eq!(world.memory.records.lock().unwrap().len(), 1, "the dry run left none");
    // The log is what a refusal depends on, too.
    *world.memory.full.lock().unwrap() = true;
    assert_eq!(world.change(&put(&text)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    *world.memory.full.lock().unwrap() = false;
    // Elsewhere it is a warning, and done.
    let (status, answer) = world.change(&put(&text.replace("environment: prod", "environment: dev"))).await;
    assert_eq!((status, &answer["applied"]), (StatusCode::OK, &json!(true)), "{answer}");
    let said: Vec<_> = answer["warnings"].as_array().unwrap().iter().map(|one| &one["effect"]).collect();
    assert_eq!(said, ["warn", "warn"]);
    // An exemption is named with whoever answers for it, and an end.
    let exemption = "---\napiVersion: narrows.dev/v1alpha1\nkind: PolicyExemption\nmetadata: { name: moving }\n\
                     spec: { policy: narrows-packages, namespaces: [prod], owner: bob, reason: moving, expires: 2100-01-01 }\n";
    let (_, answer) = world.change(&put(&(server("c", "[npx, c]") + exemption))).await;
    assert_eq!(
        answer["warnings"][0]["exemption"],
        json!({ "name": "moving", "owner": "bob", "expires": "2100-01-01T00:00:00Z" })
    );
    // A way back to what does not comply is judged as any change.
    world.change(&put(&namespace("prod", "prod"))).await;
    world.change(&json!({ "remove": [{ "kind": "McpServer", "name": "prod/a" }] })).await;
    let body = json!({ "object": { "kind": "McpServer", "name": "prod/a" } });
    let (status, answer) = world.ask(Method::POST, "/api/v1/revisions/1/restore", &body).await;
    assert_eq!(
        (status, &answer["violations"][1]["rule"]),
        (StatusCode::FORBIDDEN, &json!("command")),
        "{answer}"
    );
}

#[tokio::test]
async fn nobody_is_answered_and_only_json_is_read() {
    let world = World::new();
    for (method, path) in [
        (Method::GET, "/api/v1/resources"),
        (Method::POST, "/api/v1/changes"),
        (Method::GET, "/api/v1/revisions"),
        (Method::GET, "/api/v1/revisions/1"),
        (Method::GET, "/api/v1/revisions/1/diff"),
        (Method::POST, "/api/v1/revisions/1/restore"),
        (Method::GET, "/nope"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
        let (status, headers, answer) = world.send(request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {answer}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }
    // A form of a web page is none.
    let caller =
        Caller { kind: "user", issuer: "".into(), subject: "a".into(), groups: [].into(), ip: String::new() };
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let request = Request::post("/api/v1/changes").header(header::CONTENT_TYPE, kind);
        let request =
            request.extension(caller.clone()).body(Body::from(put(&namespace("a", "b")).to_string()));
        assert_eq!(world.send(request.unwrap()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn servers_where_none_runs() {
    let world = World::new();
    let server = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: narrows.dev/v1alpha1\nkind: McpServer\nmetadata: {{ namespace: dev, name: {name} }}\n\
             spec: {{ transport: stdio, command: [{name}]{spec} }}\n"
        )
    };
    let both = namespace("dev", "dev") + &server("files", "") + &server("many", ", sessions: shared");
    assert_eq!(world.change(&put(&both)).await.0, StatusCode::OK);
    let post = async |path: &str, body: Value| {
        world.ask(Method::POST, &format!("/api/v1/servers/dev/{path}"), &body).await
    };
    let (_, found) = world.get("/servers?namespace=dev").await;
    let names: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["files", "many"]);
    let (status, found) = world.get("/servers/dev/many").await;
    assert_eq!((status, &found["state"], &found["replicas"]), (StatusCode::OK, &Value::Null, &json!(1)));

    let (status, answer) = post("many/scale", json!({ "replicas": 3, "reason": "more to do" })).await;
    assert_eq!((status, done(&answer)), (StatusCode::OK, "update dev/many;".to_owned()), "{answer}");
    assert_eq!(post("many/scale", json!({ "replicas": 0, "dryRun": true })).await.1["applied"], false);
    let (_, found) = world.get("/servers/dev/many/history").await;
    let reasons: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert_eq!(reasons, [&json!("more to do"), &Value::Null]);
    let (status, answer) = post("many/rollback", json!({})).await;
    assert_eq!((status, done(&answer)), (StatusCode::OK, "update dev/many;".to_owned()), "{answer}");
    assert_eq!(world.get("/servers/dev/many").await.1["replicas"], 1);
    let kinds: Vec<_> =
        world.memory.records.lock().unwrap().iter().map(|record| record["kind"].clone()).collect();
    for kind in ["server.scaled", "server.rolled_back"] {
        assert!(kinds.contains(&json!(kind)), "{kinds:?}");
    }

    let refused = [
        ("files/scale", json!({ "replicas": 2 }), 422),
        ("many/scale", json!({ "replicas": 65 }), 422),
        ("many/scale", json!({ "replicas": -1 }), 400),
        ("many/scale", json!({ "replicas": 2, "base": "1" }), 409),
        ("gone/scale", json!({ "replicas": 1 }), 404),
        ("Gone/scale", json!({ "replicas": 1 }), 400),
        ("files/restart", json!({}), 409),
        ("gone/restart", json!({}), 404),
        ("files/rollback", json!({}), 404),
        ("many/rollback", json!({ "to": 99 }), 404),
    ];
    for (path, body, status) in refused {
        let (found, answer) = post(path, body).await;
        assert_eq!(found.as_u16(), status, "{path}: {answer}");
        assert!(answer["detail"].is_string(), "{path}: {answer}");
    }
    assert_eq!(world.get("/servers/dev/gone").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/servers/dev/gone/history").await.0, StatusCode::NOT_FOUND);
}
