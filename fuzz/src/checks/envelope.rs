//! A client's message and what is sent on of it. Whatever is accepted has one meaning to every reader that we know
//! of: one that keeps the first of two members, one that keeps the last, one that ignores case, one that fills a
//! struct. What is sent to the server, edits included, says that and nothing else.

use narrows_mcp::{
    envelope::{self, Id, Message, Payload, Request, Sender},
    json::{Document, Kind, Limits, Value, replace, write_string},
    method::{self, ListKind, Subject},
};
use serde::Deserialize;

use super::{
    scan::{mirrors, same},
    tree::{self, Tree},
};

pub(crate) fn check(data: &[u8]) {
    of_server(data);
    let Ok(document) = Document::parse(data, &Limits::CLIENT) else { return };
    let tree = tree::read(data).expect("serde_json reads what a client may send");
    match &tree {
        Tree::List(list) => document.root().elements().zip(list).for_each(|(value, tree)| one(value, tree)),
        tree => one(document.root(), tree),
    }
}

fn one(value: Value<'_>, tree: &Tree) {
    let message = match envelope::parse(value, Sender::Client) {
        Ok(message) => message,
        Err(error) => {
            let answer = tree::read(&error.to_bytes()).expect("an error is answered in JSON");
            assert_eq!(answer.at(&["error", "code"]), Some(&Tree::Whole(error.code().into())));
            let id = error.id().map_or(Some(Tree::Null), |id| tree::read(id.raw().as_bytes()));
            assert_eq!(answer.get("id"), id.as_ref());
            return;
        }
    };
    let known = ["jsonrpc", "id", "method", "params", "result", "error"];
    for (name, _) in tree.members() {
        assert!(
            known.contains(&name.as_str()),
            "there is a member that one side may obey and the other ignore"
        );
    }
    for name in known {
        agree(tree, name);
    }
    assert_eq!(tree.get("jsonrpc").and_then(Tree::text), Some("2.0"));
    match message {
        Message::Request(request) => {
            id_is(&request.id, tree);
            sent(tree, &request.method, request.params, Some(&request.id));
            let meta = tree.at(&["params", "_meta"]);
            assert_eq!(request.meta.is_some(), meta.is_some());
            request.meta.zip(meta).inspect(|(value, tree)| mirrors(*value, tree));
            named(&request, tree);
        }
        Message::Notification(notification) => {
            assert!(tree.get("id").is_none() && notification.method.starts_with("notifications/"));
            sent(tree, &notification.method, notification.params, None);
        }
        Message::Response(response) => {
            let id = response.id.expect("a client's response has an id");
            id_is(&id, tree);
            assert!(tree.get("method").is_none() && tree.get("params").is_none());
            let (name, value) = match response.payload {
                Payload::Result(value) => ("result", value),
                Payload::Error(value) => ("error", value),
            };
            mirrors(value, tree.get(name).expect("the payload is there"));
            assert!(tree.get(if name == "result" { "error" } else { "result" }).is_none());
        }
    }
}

/// No reader finds a member of this name that another does not.
fn agree(tree: &Tree, name: &str) {
    let (all, like) = (tree.all(name), tree.like(name));
    assert!(like.len() <= 1 && like.len() == all.len(), "readers differ over `{name}`");
}

fn id_is(id: &Id, tree: &Tree) {
    match tree.get("id") {
        Some(Tree::Text(text)) => assert!(text.len() <= 128),
        Some(Tree::Whole(number)) => assert!(number.unsigned_abs() < 1 << 53, "readers round it"),
        other => panic!("not an id: {other:?}"),
    }
    assert_eq!(tree::read(id.raw().as_bytes()).as_ref(), tree.get("id"));
}

/// What is sent on of a request or notification.
fn sent(tree: &Tree, method: &str, params: Option<Value<'_>>, id: Option<&Id>) {
    assert_eq!(tree.get("method").and_then(Tree::text), Some(method));
    assert!(matches!(tree.get("params"), None | Some(Tree::Members(_))));
    assert_eq!(params.is_some(), tree.get("params").is_some());
    let raw = params.map(Value::raw);
    let bytes = match id {
        Some(_) => envelope::request_bytes(&Id::number(41), method, raw),
        None => envelope::notification_bytes(method, raw),
    };
    let mut expected = vec![("jsonrpc".to_owned(), Tree::Text("2.0".to_owned()))];
    expected.extend(id.map(|_| ("id".to_owned(), Tree::Whole(41))));
    expected.push(("method".to_owned(), Tree::Text(method.to_owned())));
    expected.extend(tree.get("params").map(|params| ("params".to_owned(), params.clone())));
    assert!(
        tree::read(&bytes).is_some_and(|sent| same(&sent, &Tree::Members(expected))),
        "what is sent is what was judged"
    );
    assert!(
        Document::parse(&bytes, &Limits::CLIENT).is_ok_and(|again| again.as_str().as_bytes() == bytes),
        "it passes the scan as it is"
    );
    if let Ok(filled) = serde_json::from_slice::<Filled>(&bytes) {
        assert_eq!(filled.method, method);
        assert_eq!(filled.params.and_then(|params| params.name).as_deref(), name_of(tree));
    }
    let Some((value, params)) = params.zip(tree.get("params")) else { return };
    for path in [&["_meta", "progressToken"][..], &["cursor"], &["requestState"], &["a", "b", "c"]] {
        for new in [Some(Tree::Text("x\"\n".to_owned())), None] {
            let raw = new.as_ref().map(|_| "\"x\\\"\\n\"");
            let edited = replace(value, path, raw);
            let read = tree::read(edited.as_bytes());
            assert!(
                read.is_some_and(|read| same(&read, &params.with(path, new.as_ref()))),
                "an edit strayed"
            );
        }
    }
}

/// How a server with types reads a request.
#[derive(Deserialize)]
struct Filled {
    method: String,
    params: Option<FilledParams>,
}

#[derive(Deserialize)]
struct FilledParams {
    name: Option<String>,
}

fn name_of(tree: &Tree) -> Option<&str> {
    tree.at(&["params", "name"]).and_then(Tree::text)
}

/// What a request is about.
fn named(request: &Request<'_>, tree: &Tree) {
    let Ok(subject) = method::subject(request) else { return };
    let empty = Tree::Members(Vec::new());
    let params = tree.get("params").unwrap_or(&empty);
    for name in ["name", "arguments", "uri", "ref", "cursor", "requestState", "_meta", "notifications"] {
        agree(params, name);
    }
    if let Some(meta) = params.get("_meta") {
        agree(meta, "progressToken");
        agree(meta, "io.modelcontextprotocol/protocolVersion");
    }
    let arguments = |arguments: Option<Value<'_>>| match (arguments, params.get("arguments")) {
        (None, None) => {}
        (Some(value), Some(tree @ Tree::Members(members))) => {
            mirrors(value, tree);
            members.iter().for_each(|(name, _)| agree(tree, name));
        }
        (ours, theirs) => panic!("arguments differ: {ours:?}, {theirs:?}"),
    };
    match subject {
        Subject::Tool { name, arguments: given } => {
            assert_eq!(&*request.method, "tools/call");
            assert_eq!(Some(&*name), name_of(tree));
            shows(&name);
            arguments(given);
        }
        Subject::Prompt { name, arguments: given } => match &*request.method {
            "prompts/get" => {
                assert_eq!(Some(&*name), name_of(tree));
                shows(&name);
                arguments(given);
            }
            "completion/complete" => {
                let asked = params.get("ref").expect("the reference is there");
                assert_eq!(Some(&*name), asked.get("name").and_then(Tree::text));
                assert_eq!(asked.get("type").and_then(Tree::text), Some("ref/prompt"));
            }
            other => panic!("{other} is about no prompt"),
        },
        Subject::Resource { uri } => {
            assert!(request.method.starts_with("resources/"));
            assert_eq!(Some(&*uri), params.get("uri").and_then(Tree::text));
            shows(&uri);
        }
        Subject::Template { uri_template } => {
            assert_eq!(&*request.method, "completion/complete");
            assert_eq!(Some(&*uri_template), params.at(&["ref", "uri"]).and_then(Tree::text));
        }
        Subject::Listen(filter) => {
            mirrors(filter, params.get("notifications").expect("the filter is there"));
        }
        Subject::List(kind) => {
            assert!(request.method.ends_with("/list"), "{kind:?}");
        }
        Subject::Server => {}
        Subject::Other => {
            let judged = ["tools/call", "prompts/get", "resources/read", "completion/complete"];
            assert!(!judged.contains(&&*request.method), "what has a subject is not judged by its method");
        }
    }
}

/// What is judged is what people see.
fn shows(name: &str) {
    let hidden = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{feff}';
    assert!(!name.is_empty() && !name.contains(hidden));
}

/// A server's list, filtered: what is kept is what was there and was allowed, and the rest of the result stays.
fn of_server(data: &[u8]) {
    let Ok(document) = Document::parse(data, &Limits::SERVER) else { return };
    let Some(tree) = tree::read(data) else { return };
    let Ok(Message::Response(response)) = envelope::parse(document.root(), Sender::Server) else { return };
    let Payload::Result(result) = response.payload else { return };
    let tree = tree.get("result").expect("the result is there");
    assert_eq!(result.kind(), Kind::Object);
    let kinds = [ListKind::Tools, ListKind::Resources, ListKind::ResourceTemplates, ListKind::Prompts];
    for (kind, restamp) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let keep = |_: Value<'_>, key: &str| key.starts_with("read");
        let Ok(text) = method::filter_list(kind, result, keep, restamp) else { continue };
        let Some(Tree::List(entries)) = tree.get(kind.member()) else {
            panic!("there was no list to filter")
        };
        assert_eq!(tree.like(kind.member()).len(), 1, "readers differ over the list");
        let mut kept = entries.clone();
        kept.retain(|entry| {
            let key = entry.get(kind.key()).and_then(Tree::text);
            key.is_some_and(|key| key.starts_with("read") && survives(kind, key))
        });
        let mut expected = tree.with(&[kind.member()], Some(&Tree::List(kept)));
        if restamp {
            expected = expected.with(&["cacheScope"], Some(&Tree::Text("private".to_owned())));
        }
        let filtered = tree::read(text.as_bytes()).expect("a filtered list is JSON");
        assert!(same(&filtered, &expected), "only what may not be seen is gone");
        let mut quoted = String::new();
        write_string(&mut quoted, kind.member());
        assert!(text.contains(&quoted));
    }
}

/// Whether a name could have been asked for, by the same rules as in a request.
fn survives(kind: ListKind, key: &str) -> bool {
    let (method, member) = match kind {
        ListKind::Tools => ("tools/call", "name"),
        ListKind::Prompts => ("prompts/get", "name"),
        ListKind::Resources | ListKind::ResourceTemplates => ("resources/read", "uri"),
    };
    let mut params = format!("{{\"{member}\":");
    write_string(&mut params, key);
    params.push('}');
    let params = Some(Value::of(&params));
    let request = Request { id: Id::number(1), method: method.into(), params, meta: None };
    method::subject(&request).is_ok()
}
