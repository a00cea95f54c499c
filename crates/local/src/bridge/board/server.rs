//! What the server sends: each message to the one stream that it belongs to.

use std::time::Instant;

use bytes::Bytes;
use narrows_core::resource::Sessions;
use narrows_mcp::{
    envelope::{
        Id, Message, Notification, Payload, Request, Response, error_bytes, notification_bytes,
        request_bytes, result_bytes,
    },
    json::{Value, replace},
};

use super::{Board, Frame, FrameKind, Kind, LISTENING, OwnerKey, Pending, Reply};
use crate::bridge::refusal::Refusal;

/// The member of `_meta` that names a subscription (2026-07-28, basic/patterns/subscriptions).
const SUBSCRIPTION: &[&str] = &["_meta", "io.modelcontextprotocol/subscriptionId"];

/// Where a message of the server's that belongs to no request goes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// To the newest request in flight.
    InFlight,
    /// To the GET stream.
    Listening,
}

impl Board {
    /// Takes one message of the server's.
    pub(crate) fn server_message(&mut self, message: &Message<'_>, now: Instant) {
        self.spoken = true;
        match message {
            Message::Response(response) => self.server_response(response, now),
            Message::Request(request) => self.server_request(request),
            Message::Notification(notification) => self.server_notification(notification),
        }
    }

    /// The server answered a request with what can't be read: that request is answered with an error.
    pub(crate) fn unreadable(&mut self, id: u64, reason: &str, now: Instant) {
        if let Some(pending) = self.pending.remove(&id) {
            let text = error_bytes(Some(&pending.client), Refusal::UNREADABLE, reason, None);
            self.answer(pending, &Bytes::from(text), FrameKind::Ended, now);
        }
    }

    fn server_response(&mut self, response: &Response<'_>, now: Instant) {
        let found =
            response.id.as_ref().and_then(number).and_then(|id| Some((id, self.pending.remove(&id)?)));
        let Some((id, pending)) = found else {
            self.counts.late.add();
            return;
        };
        let (data, kind) = match response.payload {
            Payload::Result(result) => {
                if let (Kind::Subscribe(uri), OwnerKey::Session(key)) = (&pending.kind, &pending.owner)
                    && let Some(session) = self.sessions.get_mut(key)
                {
                    session.subscribed.insert(uri.clone());
                }
                if pending.kind == Kind::Tools {
                    self.annotated.learn(result);
                }
                let restored = (pending.kind == Kind::Listen)
                    .then(|| restore(result, SUBSCRIPTION, id, pending.client.raw()))
                    .flatten();
                let raw = restored.as_deref().unwrap_or_else(|| result.raw());
                (result_bytes(&pending.client, raw), FrameKind::Result)
            }
            Payload::Error(error) => {
                let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
                let text =
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}", pending.client, error.raw());
                (text.into_bytes(), FrameKind::Error(code))
            }
        };
        self.answer(pending, &Bytes::from(data), kind, now);
    }

    fn server_request(&mut self, request: &Request<'_>) {
        let params = request.params.map(Value::raw);
        match self.only_session() {
            Some(key) => {
                let Some(id) = self.sessions.get_mut(&key).and_then(|session| session.ask(&request.id))
                else {
                    self.refuse_server(&request.id, -32603, "the client has not answered earlier requests");
                    return;
                };
                let data = Bytes::from(request_bytes(&id, &request.method, params));
                let stream = self.place(key, First::InFlight);
                self.put(&OwnerKey::Session(key), stream, &data, FrameKind::Message);
            }
            None if request.method == "ping" => {
                // Whether it can be sent or not, there is nothing else to be done about it.
                let _ = self.out.send(result_bytes(&request.id, "{}"));
            }
            // No one session can answer for a process that all of them share, and 2026-07-28 has no such requests.
            None => self.refuse_server(&request.id, -32601, "no single client could answer this request"),
        }
    }

    fn server_notification(&mut self, notification: &Notification<'_>) {
        let params = notification.params;
        if notification.method == "notifications/tools/list_changed" {
            self.annotated.forget();
        }
        if let Some((id, raw)) = self.subscription(params) {
            let data = Bytes::from(notification_bytes(&notification.method, Some(&raw)));
            self.direct(id, &data);
            return;
        }
        match &*notification.method {
            "notifications/progress" => self.progress(params),
            "notifications/cancelled" => self.server_cancelled(params),
            method @ ("notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed") => {
                let data = Bytes::from(notification_bytes(method, params.map(Value::raw)));
                let everyone = self.sessions.keys().copied().collect();
                self.tell_sessions(everyone, &data);
            }
            method @ "notifications/resources/updated" => {
                let data = Bytes::from(notification_bytes(method, params.map(Value::raw)));
                let uri = params.and_then(|params| params.get("uri")).and_then(Value::as_string);
                let wanted = |uri: &str| {
                    let subscribed =
                        self.sessions.iter().filter(|(_, session)| session.subscribed.contains(uri));
                    subscribed.map(|(key, _)| *key).collect()
                };
                let to = match (self.sharing, uri) {
                    (Sessions::Isolated, _) => self.sessions.keys().copied().collect(),
                    (Sessions::Shared, Some(uri)) => wanted(&uri),
                    (Sessions::Shared, None) => Vec::new(),
                };
                self.tell_sessions(to, &data);
            }
            method => {
                let data = Bytes::from(notification_bytes(method, params.map(Value::raw)));
                self.concerning(method, &data);
            }
        }
    }

    /// To the request whose token it carries; the client's own token is put back.
    fn progress(&mut self, params: Option<Value<'_>>) {
        let token = params.and_then(|params| params.get("progressToken")).and_then(Id::of);
        let found = token.as_ref().and_then(number).and_then(|id| Some((id, self.pending.get(&id)?)));
        let (Some((id, pending)), Some(params)) = (found, params) else {
            self.counts.late.add();
            return;
        };
        let Some(token) = &pending.token else {
            self.counts.late.add();
            return;
        };
        let params = replace(params, &["progressToken"], Some(token));
        let data = Bytes::from(notification_bytes("notifications/progress", Some(&params)));
        self.direct(id, &data);
    }

    /// The server no longer wants an answer of a client's.
    fn server_cancelled(&mut self, params: Option<Value<'_>>) {
        let wanted = params.and_then(|params| params.get("requestId")).and_then(Id::of);
        let (Some(key), Some(params), Some(wanted)) = (self.only_session(), params, wanted) else {
            self.counts.late.add();
            return;
        };
        let session = self.sessions.get_mut(&key);
        let asked =
            session.and_then(|session| session.asked.iter().find(|(_, id)| **id == wanted).map(|(n, _)| *n));
        let Some(asked) = asked else {
            self.counts.late.add();
            return;
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.asked.remove(&asked);
        }
        let params = replace(params, &["requestId"], Some(&asked.to_string()));
        let data = Bytes::from(notification_bytes("notifications/cancelled", Some(&params)));
        let stream = self.place(key, First::InFlight);
        self.put(&OwnerKey::Session(key), stream, &data, FrameKind::Message);
    }

    /// A notification that says of no request that it belongs to it: log messages, mostly.
    fn concerning(&mut self, method: &str, data: &Bytes) {
        if let Some(key) = self.only_session() {
            let stream = self.place(key, First::InFlight);
            self.put(&OwnerKey::Session(key), stream, data, FrameKind::Message);
            return;
        }
        // Where several share the process, only what must be one owner's is passed on: a log may hold secrets.
        let wants = |pending: &Pending| match &pending.owner {
            OwnerKey::Session(_) => true,
            OwnerKey::Principal(_) => method != "notifications/message" || pending.kind == Kind::Logging,
            OwnerKey::Bridge => false,
        };
        let mut candidates = self.pending.iter().rev().filter(|(_, pending)| wants(pending));
        let newest = candidates.next().map(|(id, pending)| (*id, pending.owner.clone()));
        let someone_else = |owner: &OwnerKey| {
            self.pending.values().any(|pending| pending.owner != *owner && pending.owner != OwnerKey::Bridge)
        };
        match newest {
            Some((id, owner)) if !someone_else(&owner) => self.direct(id, data),
            Some(_) | None => self.counts.unplaced.add(),
        }
    }

    /// The session that alone has this process.
    fn only_session(&self) -> Option<u64> {
        match self.sharing {
            Sessions::Isolated => self.sessions.keys().next().copied(),
            Sessions::Shared => None,
        }
    }

    /// A message that belongs to a request in flight.
    fn direct(&mut self, id: u64, data: &Bytes) {
        let Some(pending) = self.pending.get(&id) else {
            self.counts.late.add();
            return;
        };
        match &pending.reply {
            Reply::Direct(to) => {
                let frame = Frame { event: None, data: data.clone(), kind: FrameKind::Message };
                if to.try_send(frame).is_err() {
                    // The connection is gone, or does not keep up: its stream ends, and the server is told to stop.
                    self.counts.slow.add();
                    self.abandon(id);
                } else if to.capacity() == 0 {
                    self.congested.push(to.clone());
                }
            }
            Reply::Stream(stream) => {
                let (owner, stream) = (pending.owner.clone(), *stream);
                self.put(&owner, stream, data, FrameKind::Message);
            }
            Reply::Nobody => {}
        }
    }

    fn tell_sessions(&mut self, keys: Vec<u64>, data: &Bytes) {
        for key in keys {
            let stream = self.place(key, First::Listening);
            self.put(&OwnerKey::Session(key), stream, data, FrameKind::Message);
        }
    }

    /// The stream of a session for a message that belongs to no request.
    fn place(&self, key: u64, first: First) -> u32 {
        let Some(session) = self.sessions.get(&key) else { return LISTENING };
        if first == First::Listening && session.is_listening() {
            return LISTENING;
        }
        let in_flight = || {
            let own =
                |pending: &&Pending| pending.owner == OwnerKey::Session(key) && pending.cancelled.is_none();
            self.pending.values().rev().filter(own).filter_map(|pending| match pending.reply {
                Reply::Stream(stream) => Some(stream),
                Reply::Direct(_) | Reply::Nobody => None,
            })
        };
        let live = |stream: &u32| session.streams.get(stream).is_some_and(super::stream::Stream::is_live);
        let heard = in_flight().find(live);
        match first {
            First::InFlight => heard.or_else(|| in_flight().next()).unwrap_or(LISTENING),
            First::Listening => heard.unwrap_or(LISTENING),
        }
    }

    /// The listening request that a message carries the id of, and its parameters with the client's own id.
    fn subscription(&self, params: Option<Value<'_>>) -> Option<(u64, String)> {
        let params = params?;
        let id = number(&Id::of(params.at(SUBSCRIPTION)?)?)?;
        let pending = self.pending.get(&id).filter(|pending| pending.kind == Kind::Listen)?;
        Some((id, replace(params, SUBSCRIPTION, Some(pending.client.raw()))))
    }

    fn refuse_server(&mut self, id: &Id, code: i64, message: &str) {
        // Whether it can be sent or not, there is nothing else to be done about it.
        let _ = self.out.send(error_bytes(Some(id), code, message, None));
    }
}

/// One of our own ids. Some servers give a number back as a string.
fn number(id: &Id) -> Option<u64> {
    id.raw().trim_matches('"').parse().ok()
}

/// `object` with the client's id where the server put ours; none if it did not.
fn restore(object: Value<'_>, path: &[&str], ours: u64, client: &str) -> Option<String> {
    let found = object.at(path).and_then(Id::of)?;
    (number(&found) == Some(ours)).then(|| replace(object, path, Some(client)))
}
