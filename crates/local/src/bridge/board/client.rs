//! What clients send: given ids of our own and put into the server's queue, in the order in which it came.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use narrows_core::resource::Sessions;
use narrows_mcp::{
    envelope::{
        Id, Notification, Payload, Request, Response, notification_bytes, request_bytes, result_bytes,
    },
    json::{Value, replace},
};
use tokio::sync::mpsc;

use super::{
    Board, Kind, OwnerKey, Pending, Reply,
    owner::Owner,
    stream::{EventId, Frame, FrameKind, LISTENING},
};
use crate::bridge::refusal::Refusal;

/// `params._meta.progressToken`.
const TOKEN: &[&str] = &["_meta", "progressToken"];
/// The member of `_meta` that asks for log messages (2026-07-28, server/utilities/logging).
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

impl Board {
    /// A session, nameless until its `initialize` is answered.
    pub(crate) fn open_session(&mut self, now: Instant) -> Result<u64, Refusal> {
        self.alive()?;
        if self.sessions.len() >= self.caps.sessions {
            return Err(Refusal::Busy("the server has too many sessions"));
        }
        let key = self.next_session;
        self.next_session += 1;
        self.sessions.insert(key, Owner::new(now));
        Ok(key)
    }

    /// Ends a session: its requests are cancelled, its subscriptions given up where nobody else has them.
    pub(crate) fn close_session(&mut self, key: u64, now: Instant) {
        let owner = OwnerKey::Session(key);
        let open: Vec<u64> =
            self.pending.iter().filter(|(_, p)| p.owner == owner).map(|(id, _)| *id).collect();
        for id in open {
            self.abandon(id);
        }
        let Some(mut session) = self.sessions.remove(&key) else { return };
        session.detach();
        self.used = now;
        for uri in session.subscribed {
            if self.sessions.values().all(|other| !other.subscribed.contains(&uri)) {
                let mut params = String::from("{\"uri\":");
                narrows_mcp::json::write_string(&mut params, &uri);
                params.push('}');
                self.ask_for_ourselves("resources/unsubscribe", &params);
            }
        }
    }

    /// Sends requests of a session, whose answers come on one stream. Returns the stream.
    pub(crate) fn session_requests(
        &mut self,
        key: u64,
        requests: &[Request<'_>],
        live: mpsc::Sender<Frame>,
        now: Instant,
    ) -> Result<u32, Refusal> {
        self.alive()?;
        self.room_for(requests.len())?;
        let session = self.sessions.get_mut(&key).ok_or(Refusal::NoSession)?;
        session.used = now;
        let (number, stream) = session.open_stream(requests.len());
        stream.attach(number, live);
        for (sent, request) in requests.iter().enumerate() {
            if let Some(result) = self.answered_here(key, request) {
                let data = Bytes::from(result_bytes(&request.id, result));
                let pending =
                    self.pending(OwnerKey::Session(key), Reply::Stream(number), request, Kind::Plain);
                self.answer(pending, &data, FrameKind::Result, now);
                continue;
            }
            let kind = match uri_of(request, "resources/subscribe") {
                Some(uri) => Kind::Subscribe(uri),
                None => Kind::Plain,
            };
            let pending = self.pending(OwnerKey::Session(key), Reply::Stream(number), request, kind);
            if let Err(refusal) = self.send_request(pending, request) {
                if sent == 0 {
                    if let Some(session) = self.sessions.get_mut(&key) {
                        session.streams.remove(&number);
                    }
                    return Err(refusal);
                }
                // Some of a batch went out: the others are answered one by one.
                let data = Bytes::from(refusal.body(Some(&request.id)));
                let pending =
                    self.pending(OwnerKey::Session(key), Reply::Stream(number), request, Kind::Plain);
                self.answer(pending, &data, FrameKind::Ended, now);
            }
        }
        Ok(number)
    }

    /// Sends a request whose answer, and whatever belongs to it, goes to one connection. Returns our id for it.
    pub(crate) fn direct_request(
        &mut self,
        owner: OwnerKey,
        request: &Request<'_>,
        live: mpsc::Sender<Frame>,
        now: Instant,
    ) -> Result<u64, Refusal> {
        self.alive()?;
        self.room_for(1)?;
        self.used = now;
        let asks_for_logs = || request.params.and_then(|params| params.at(&["_meta", LOG_LEVEL])).is_some();
        let kind = match &*request.method {
            "subscriptions/listen" => Kind::Listen,
            "tools/list" => Kind::Tools,
            _ if matches!(owner, OwnerKey::Principal(_)) && asks_for_logs() => Kind::Logging,
            _ => Kind::Plain,
        };
        let pending = self.pending(owner, Reply::Direct(live), request, kind);
        self.send_request(pending, request)
    }

    /// The connection of a direct request is gone, and with it the wish for its answer.
    pub(crate) fn abandon(&mut self, id: u64) {
        if let Some(pending) = self.pending.remove(&id)
            && pending.cancelled.is_none()
        {
            self.send_cancelled(id, None);
        }
    }

    /// Sends on a notification of a session's client.
    pub(crate) fn client_notification(
        &mut self,
        key: u64,
        notification: &Notification<'_>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.alive()?;
        self.sessions.get_mut(&key).ok_or(Refusal::NoSession)?.used = now;
        match (&*notification.method, self.sharing) {
            ("notifications/cancelled", _) => {
                let wanted = notification.params.and_then(|params| params.get("requestId")).and_then(Id::of);
                let found = self.pending.iter_mut().rev().find(|(_, pending)| {
                    pending.owner == OwnerKey::Session(key) && wanted.as_ref() == Some(&pending.client)
                });
                let Some((id, pending)) = found else {
                    self.counts.late.add();
                    return Ok(());
                };
                pending.cancelled = Some(now);
                let id = *id;
                self.send_cancelled(id, notification.params);
                Ok(())
            }
            // Sent once by the bridge, for the process as a whole.
            ("notifications/initialized", Sessions::Shared) => Ok(()),
            // The process has no roots, and no progress of ours to hear of.
            ("notifications/roots/list_changed" | "notifications/progress", Sessions::Shared) => Ok(()),
            (method, Sessions::Isolated | Sessions::Shared) => {
                self.out.send(notification_bytes(method, notification.params.map(Value::raw)))
            }
        }
    }

    /// Sends on a client's answer to what the server asked it. One that nobody waits for is dropped.
    pub(crate) fn client_response(
        &mut self,
        key: u64,
        response: &Response<'_>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.alive()?;
        let session = self.sessions.get_mut(&key).ok_or(Refusal::NoSession)?;
        session.used = now;
        let number = response.id.as_ref().and_then(|id| id.raw().parse::<u64>().ok());
        let Some(asked) = number.and_then(|number| session.asked.remove(&number)) else {
            self.counts.late.add();
            return Ok(());
        };
        let sent = match response.payload {
            Payload::Result(result) => self.out.send(result_bytes(&asked, result.raw())),
            Payload::Error(error) => self.out.send(error_text(&asked, error)),
        };
        if let (Err(refusal), Some(number), Some(session)) = (sent, number, self.sessions.get_mut(&key)) {
            session.asked.insert(number, asked);
            return Err(refusal);
        }
        Ok(())
    }

    /// Connects a GET to what the server says unasked. Returns the place before what comes next.
    pub(crate) fn listen(
        &mut self,
        key: u64,
        live: mpsc::Sender<Frame>,
        now: Instant,
    ) -> Result<EventId, Refusal> {
        self.alive()?;
        let session = self.sessions.get_mut(&key).ok_or(Refusal::NoSession)?;
        session.used = now;
        if session.is_listening() {
            return Err(Refusal::AlreadyListening);
        }
        let stream = session.streams.entry(LISTENING).or_default();
        let here = stream.here(LISTENING);
        stream.attach(LISTENING, live);
        Ok(here)
    }

    /// Connects a GET to a stream that broke after `last`. A stream that is not kept any more ends at once.
    pub(crate) fn resume(
        &mut self,
        key: u64,
        last: EventId,
        live: mpsc::Sender<Frame>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.alive()?;
        let session = self.sessions.get_mut(&key).ok_or(Refusal::NoSession)?;
        session.used = now;
        if let Some(stream) = session.streams.get_mut(&last.stream) {
            stream.resume(last.stream, last.position, live);
        }
        Ok(())
    }

    /// Sends a message of the bridge's own.
    pub(crate) fn say(&mut self, method: &str) -> Result<(), Refusal> {
        self.alive()?;
        self.out.send(notification_bytes(method, None))
    }

    /// A request of the bridge's own, whose answer nobody waits for.
    fn ask_for_ourselves(&mut self, method: &str, params: &str) {
        let id = self.next_request;
        self.next_request += 1;
        if self.out.send(request_bytes(&Id::number(id), method, Some(params))).is_ok() {
            self.pending.insert(
                id,
                Pending {
                    client: Id::number(id),
                    owner: OwnerKey::Bridge,
                    reply: Reply::Nobody,
                    token: None,
                    kind: Kind::Plain,
                    cancelled: None,
                },
            );
        }
    }

    fn alive(&self) -> Result<(), Refusal> {
        match &self.ended {
            None => Ok(()),
            Some(reason) => Err(Refusal::Ended(Arc::clone(reason))),
        }
    }

    fn room_for(&self, requests: usize) -> Result<(), Refusal> {
        if self.pending.len().saturating_add(requests) > self.caps.in_flight {
            return Err(Refusal::Busy("the server has too many requests in flight"));
        }
        Ok(())
    }

    fn pending(&self, owner: OwnerKey, reply: Reply, request: &Request<'_>, kind: Kind) -> Pending {
        let token = request.params.and_then(|params| params.at(TOKEN)).map(|token| token.raw().to_owned());
        Pending { client: request.id.clone(), owner, reply, token, kind, cancelled: None }
    }

    fn send_request(&mut self, pending: Pending, request: &Request<'_>) -> Result<u64, Refusal> {
        let id = self.next_request;
        let params = match (&pending.token, request.params) {
            (Some(_), Some(params)) => Some(replace(params, TOKEN, Some(&id.to_string()))),
            (_, params) => params.map(|params| params.raw().to_owned()),
        };
        self.out.send(request_bytes(&Id::number(id), &request.method, params.as_deref()))?;
        self.next_request += 1;
        self.pending.insert(id, pending);
        Ok(id)
    }

    fn send_cancelled(&mut self, id: u64, params: Option<Value<'_>>) {
        let number = id.to_string();
        let params = match params {
            Some(params) => replace(params, &["requestId"], Some(&number)),
            None => format!("{{\"requestId\":{number},\"reason\":\"the client is gone\"}}"),
        };
        // A queue that is full of other things has no room for second thoughts; the answer will be dropped instead.
        if self.out.send(notification_bytes("notifications/cancelled", Some(&params))).is_err() {
            self.counts.late.add();
        }
    }

    /// In a shared process, one session's end of a subscription must not end that of others.
    fn answered_here(&mut self, key: u64, request: &Request<'_>) -> Option<&'static str> {
        let uri = uri_of(request, "resources/unsubscribe")?;
        self.sessions.get_mut(&key)?.subscribed.remove(&uri);
        let others =
            self.sessions.iter().any(|(other, session)| *other != key && session.subscribed.contains(&uri));
        (self.sharing == Sessions::Shared && others).then_some("{}")
    }
}

fn uri_of(request: &Request<'_>, method: &str) -> Option<String> {
    if request.method != method {
        return None;
    }
    request.params?.get("uri")?.as_string().map(|uri| uri.into_owned())
}

fn error_text(id: &Id, error: Value<'_>) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}", id.raw(), error.raw()).into_bytes()
}
