use std::collections::BTreeMap;

use narrows_mcp::{
    envelope::{Message, Request, Sender, parse},
    json::{Document, Limits},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bridge::outbox::{Waiting, outbox};

/// A board, what it would send to the server, and what its sessions hear.
struct Table {
    board: Board,
    sent: Waiting,
    sessions: BTreeMap<usize, (u64, mpsc::Receiver<Frame>)>,
    now: Instant,
}

fn document(message: &Value) -> Document {
    Document::parse(message.to_string().as_bytes(), &Limits::SERVER).unwrap()
}

fn request<T>(message: &Value, then: impl FnOnce(Request<'_>) -> T) -> T {
    let document = document(message);
    match parse(document.root(), Sender::Client).unwrap() {
        Message::Request(request) => then(request),
        Message::Notification(_) | Message::Response(_) => panic!("{message} is no request"),
    }
}

impl Table {
    fn new(sharing: Sessions, sessions: usize) -> Self {
        let (out, sent) = outbox(4096);
        let now = Instant::now();
        let mut board = Board::new(sharing, Caps::default(), out, Arc::default(), now);
        let sessions = (0..sessions)
            .map(|number| {
                let key = board.open_session(now).unwrap();
                let (live, heard) = mpsc::channel(4096);
                board.listen(key, live, now).unwrap();
                (number, (key, heard))
            })
            .collect();
        Self { board, sent, sessions, now }
    }

    /// Asks something; gives the id that the server knows and where the answer comes.
    fn ask(&mut self, session: usize, message: &Value) -> (u64, mpsc::Receiver<Frame>) {
        let (live, heard) = mpsc::channel(4096);
        let key = self.sessions[&session].0;
        request(message, |request| {
            self.board.session_requests(key, std::slice::from_ref(&request), live, self.now).unwrap();
        });
        let sent = self.sent();
        (sent.last().unwrap()["id"].as_u64().unwrap(), heard)
    }

    fn say(&mut self, message: &Value) {
        let document = document(message);
        self.board.server_message(&parse(document.root(), Sender::Server).unwrap(), self.now);
    }

    /// What was put into the queue to the server.
    fn sent(&mut self) -> Vec<Value> {
        let mut sent = Vec::new();
        while let Some(line) = self.sent.try_next() {
            sent.push(serde_json::from_slice(&line).unwrap());
        }
        sent
    }
}

fn heard(receiver: &mut mpsc::Receiver<Frame>) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Ok(frame) = receiver.try_recv() {
        messages.push(serde_json::from_slice(&frame.data).unwrap());
    }
    messages
}

#[test]
fn an_event_id_is_read_as_it_was_written_and_nothing_else_is() {
    for (text, expected) in
        [("0-0", Some((0, 0))), ("7-12", Some((7, 12))), ("4294967295-1", Some((u32::MAX, 1)))]
    {
        let id = EventId::parse(text).map(|id| (id.stream, id.position));
        assert_eq!(id, expected, "{text}");
        assert_eq!(EventId::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-1-1", " 1-1", "4294967296-1", "a-b"] {
        assert_eq!(EventId::parse(text), None, "{text:?}");
    }
}

#[test]
fn what_a_session_keeps_is_bounded_and_the_newest_is_kept() {
    let mut table = Table::new(Sessions::Isolated, 1);
    let (key, listening) = table.sessions.remove(&0).unwrap();
    drop(listening);
    let large = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"x": "x".repeat(1_000_000)}});
    for _ in 0..10 {
        table.say(&large);
    }
    let (live, mut again) = mpsc::channel(4096);
    table.board.listen(key, live, table.now).unwrap();
    let kept = heard(&mut again).len();
    assert!((1..=4).contains(&kept), "{kept} of 10 large messages were kept");
    assert_eq!(table.board.counts.overflown.get(), 10 - u64::try_from(kept).unwrap());
    // Many small ones.
    drop(again);
    for _ in 0..1000 {
        table.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    }
    let (live, mut again) = mpsc::channel(4096);
    table.board.listen(key, live, table.now).unwrap();
    assert_eq!(heard(&mut again).len(), Caps::default().queue);
}

#[test]
fn a_client_can_not_be_asked_without_end() {
    let mut table = Table::new(Sessions::Isolated, 1);
    for number in 0..300 {
        table.say(&json!({"jsonrpc": "2.0", "id": number, "method": "roots/list"}));
    }
    let refused = table.sent().iter().filter(|message| message["error"]["code"] == -32603).count();
    assert_eq!(refused, 300 - owner::MOST_ASKED);
}

#[test]
fn when_the_process_is_gone_everyone_who_waits_is_told_and_nobody_new_is_let_in() {
    let mut table = Table::new(Sessions::Shared, 2);
    let (_, mut one) = table.ask(0, &json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"}));
    let (_, mut two) = table.ask(1, &json!({"jsonrpc": "2.0", "id": "b", "method": "tools/list"}));
    table.board.end(&"it died".into(), table.now);
    for (receiver, id) in [(&mut one, "a"), (&mut two, "b")] {
        let told = heard(receiver);
        assert_eq!(
            told,
            [json!({"jsonrpc": "2.0", "id": id, "error": {"code": -31001, "message": "it died"}})]
        );
        assert!(receiver.is_closed());
    }
    assert!(table.sessions.values().all(|(_, listening)| listening.is_closed()));
    assert_eq!(table.board.open_session(table.now), Err(Refusal::Ended("it died".into())));
}

/// What can happen, by small numbers.
#[derive(Debug, Clone)]
enum Event {
    Ask { session: usize, id: u8, token: Option<u8> },
    Answer { which: usize },
    Fail { which: usize },
    Progress { which: usize },
    Cancel { session: usize, id: u8 },
    Changed,
    Log,
    Close { session: usize },
}

fn event() -> impl Strategy<Value = Event> {
    // Few ids and tokens, so that sessions use the same ones.
    prop_oneof![
        4 => (0..3_usize, 0..3_u8, prop::option::of(0..2_u8))
            .prop_map(|(session, id, token)| Event::Ask { session, id, token }),
        3 => (0..40_usize).prop_map(|which| Event::Answer { which }),
        1 => (0..40_usize).prop_map(|which| Event::Fail { which }),
        3 => (0..40_usize).prop_map(|which| Event::Progress { which }),
        1 => (0..3_usize, 0..3_u8).prop_map(|(session, id)| Event::Cancel { session, id }),
        1 => Just(Event::Changed),
        1 => Just(Event::Log),
        1 => (0..3_usize).prop_map(|session| Event::Close { session }),
    ]
}

/// A request as the model remembers it.
struct Asked {
    session: usize,
    id: u8,
    token: Option<u8>,
    server_id: u64,
    heard: mpsc::Receiver<Frame>,
    /// What must have come on its stream.
    expected: Vec<Value>,
    open: bool,
}

proptest! {
    /// However sessions that share a process are mixed, with equal ids and tokens: each hears what belongs to it, with
    /// its own ids, once, and nothing else.
    #[test]
    fn each_hears_what_is_its_own_and_nothing_else(events in prop::collection::vec(event(), 1..60)) {
        let mut table = Table::new(Sessions::Shared, 3);
        let mut asked: Vec<Asked> = Vec::new();
        let mut changed: BTreeMap<usize, usize> = BTreeMap::new();
        let mut number = 0_u64;
        for event in events {
            number += 1;
            match event {
                Event::Ask { session, id, token } => {
                    if !table.sessions.contains_key(&session) { continue }
                    let mut message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "t"}});
                    if let Some(token) = token {
                        message["params"]["_meta"] = json!({"progressToken": token});
                    }
                    let (server_id, heard) = table.ask(session, &message);
                    prop_assert!(asked.iter().all(|earlier| earlier.server_id != server_id), "an id was used twice");
                    asked.push(Asked { session, id, token, server_id, heard, expected: Vec::new(), open: true });
                }
                Event::Answer { which } | Event::Fail { which } => {
                    let Some(asked) = asked.get_mut(which) else { continue };
                    let body = match event {
                        Event::Fail { .. } => ("error", json!({"code": 1, "message": number.to_string()})),
                        _ => ("result", json!({"n": number})),
                    };
                    table.say(&json!({"jsonrpc": "2.0", "id": asked.server_id, body.0: body.1}));
                    // A second answer, or one for a session that is gone, is dropped.
                    if asked.open {
                        asked.expected.push(json!({"jsonrpc": "2.0", "id": asked.id, body.0: body.1}));
                    }
                    asked.open = false;
                }
                Event::Progress { which } => {
                    let Some(asked) = asked.get_mut(which) else { continue };
                    let progress = |token: Value| json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": token, "progress": number}});
                    table.say(&progress(json!(asked.server_id)));
                    if let (true, Some(token)) = (asked.open, asked.token) {
                        asked.expected.push(progress(json!(token)));
                    }
                }
                Event::Cancel { session, id } => {
                    let Some((key, _)) = table.sessions.get(&session) else { continue };
                    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
                    let document = document(&cancel);
                    let Message::Notification(cancel) = parse(document.root(), Sender::Client).unwrap() else { panic!() };
                    table.board.client_notification(*key, &cancel, table.now).unwrap();
                    let newest = asked.iter().rev().find(|a| a.open && a.session == session && a.id == id);
                    let expected: Vec<Value> = newest.iter().map(|a| json!(a.server_id)).collect();
                    let sent: Vec<Value> = table.sent().iter().map(|m| m["params"]["requestId"].clone()).collect();
                    prop_assert_eq!(sent, expected);
                }
                Event::Changed => {
                    table.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                    for session in table.sessions.keys() {
                        *changed.entry(*session).or_default() += 1;
                    }
                }
                Event::Log => {
                    let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": number}});
                    table.say(&log);
                    let mut open = asked.iter_mut().filter(|asked| asked.open);
                    if let Some(first) = open.next() {
                        let session = first.session;
                        let mut newest = first;
                        let mut alone = true;
                        for other in open {
                            alone &= other.session == session;
                            newest = other;
                        }
                        if alone {
                            newest.expected.push(log);
                        }
                    }
                }
                Event::Close { session } => {
                    let Some((key, mut listening)) = table.sessions.remove(&session) else { continue };
                    let unasked = heard(&mut listening);
                    prop_assert_eq!(unasked.len(), changed.get(&session).copied().unwrap_or(0));
                    table.board.close_session(key, table.now);
                    let cancelled = table.sent().len();
                    let open = asked.iter_mut().filter(|asked| asked.open && asked.session == session);
                    prop_assert!(cancelled <= open.map(|asked| asked.open = false).count());
                }
            }
        }
        for asked in &mut asked {
            prop_assert_eq!(heard(&mut asked.heard), std::mem::take(&mut asked.expected));
            prop_assert_eq!(asked.heard.is_closed(), !asked.open, "a stream ends with its answer");
        }
        for (session, (_, listening)) in &mut table.sessions {
            prop_assert_eq!(heard(listening).len(), changed.get(session).copied().unwrap_or(0));
        }
    }
}
