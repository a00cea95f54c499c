//! What a server says on an event stream, message by message: its identifiers restored or sealed, its lists filtered,
//! its requests to the client judged. What belongs to nobody here is dropped and counted, never guessed at.

use std::sync::Arc;

use narrows_core::{
    action::{Action, Arguments},
    decision::{Decision, Effect},
};
use narrows_mcp::{
    envelope::{self, Id, Message, Notification, Payload, Sender},
    json::{Document, Kind, Limits, Value},
    method::{self, ListKind},
    response::Member,
    revision::{Era, Revision},
};

use super::{
    outgoing::{self, Edits},
    tokens::{self, MarkedCall},
};
use crate::{
    context::Context,
    enforcer::Ending,
    judge::{self, Claim, Shape},
};

/// The member of `_meta` that says which subscription a message belongs to (2026-07-28).
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Judges and rewrites one stream's messages.
pub(super) struct Relay {
    pub(super) context: Arc<Context>,
    pub(super) call: Option<MarkedCall>,
    pub(super) revision: Revision,
}

/// What becomes of a message.
pub(super) enum Relayed {
    /// Goes to the client.
    Pass(Vec<u8>),
    /// Goes to the client, and was the answer that the stream was for.
    Last { text: Vec<u8>, is_error: bool },
    /// Goes nowhere.
    Drop,
}

/// A message that can't be passed on, and that the call can't go on without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) &'static str);

impl Relay {
    /// Takes one message of the server.
    pub(super) async fn message(&self, data: &str) -> Result<Relayed, Broken> {
        let document = Document::parse(data.as_bytes(), &Limits::SERVER)
            .map_err(|_| Broken("an event is not strict JSON"))?;
        let message =
            envelope::parse(document.root(), Sender::Server).map_err(|_| Broken("an event is no message"))?;
        match message {
            Message::Response(response) => self.response(&response),
            Message::Notification(notification) => Ok(self.notification(&notification)),
            Message::Request(request) => Ok(self.request(&request.id, &request.method, request.params).await),
        }
    }

    fn response(&self, response: &envelope::Response<'_>) -> Result<Relayed, Broken> {
        let Some(call) = &self.call else { return Ok(self.drop()) };
        if response.id.as_ref().is_some_and(|id| *id != call.upstream_id) {
            return Ok(self.drop());
        }
        match response.payload {
            Payload::Error(error) => {
                Ok(Relayed::Last { text: outgoing::error_response(&call.client_id, error), is_error: true })
            }
            Payload::Result(result) => {
                let is_error = result.get("isError").and_then(Value::as_bool) == Some(true);
                let text = self.result(call, result)?;
                Ok(Relayed::Last { text: envelope::result_bytes(&call.client_id, &text), is_error })
            }
        }
    }

    fn result(&self, call: &MarkedCall, result: Value<'_>) -> Result<String, Broken> {
        if method::has_lookalike(result) {
            return Err(Broken("a member of the result differs from a known one only by case"));
        }
        if let Shape::List(kind) = call.shape {
            return filter(&self.context, kind, &call.method, self.revision, result);
        }
        let mut edits = Edits::of(result);
        if self.revision.era() == Era::Stateless {
            for (name, member) in MEMBERS {
                if let Some(value) = result.get(name) {
                    let new = self.member(member, value.raw()).map_err(Broken)?;
                    edits.set(&[name], Some(&new));
                }
            }
            if result.at(&["_meta", SUBSCRIPTION]).is_some() {
                edits.set(&["_meta", SUBSCRIPTION], Some(call.client_id.raw()));
            }
        }
        Ok(edits.text().to_owned())
    }

    /// A member of a stateless result that means something to the gateway.
    pub(super) fn member(&self, member: Member, raw: &str) -> Result<String, &'static str> {
        let Some(call) = &self.call else { return Err("the stream is of no call") };
        member_of_result(&self.context, &call.method, &call.claim.target(), member, raw)
    }

    fn notification(&self, notification: &Notification<'_>) -> Relayed {
        let Some(params) = notification.params else {
            return Relayed::Pass(envelope::notification_bytes(&notification.method, None));
        };
        let mut edits = Edits::of(params);
        match &*notification.method {
            "notifications/progress" => {
                let token = params
                    .get("progressToken")
                    .and_then(|raw| tokens::open_progress(&self.context, raw.raw()));
                let Some(token) = token else { return self.drop() };
                edits.set(&["progressToken"], Some(&token));
            }
            "notifications/cancelled" => {
                let id = params.get("requestId").and_then(Id::of);
                let Some(sealed) = id.and_then(|id| tokens::seal_request_id(&self.context, &id)) else {
                    return self.drop();
                };
                edits.set(&["requestId"], Some(sealed.raw()));
            }
            "notifications/resources/updated" => {
                let uri = params.get("uri").and_then(Value::as_string);
                let allowed = uri.is_some_and(|uri| self.permits(&Action::ReadResource { uri: &uri }));
                if !allowed {
                    return self.drop();
                }
            }
            _ => {}
        }
        if let Some(subscription) = params.at(&["_meta", SUBSCRIPTION]) {
            match &self.call {
                Some(call) if subscription.raw() == call.upstream_id.raw() => {
                    edits.set(&["_meta", SUBSCRIPTION], Some(call.client_id.raw()));
                }
                _ => return self.drop(),
            }
        }
        Relayed::Pass(envelope::notification_bytes(&notification.method, Some(edits.text())))
    }

    /// The server asks something of the client.
    async fn request(&self, id: &Id, method: &str, params: Option<Value<'_>>) -> Relayed {
        if self.revision.era() == Era::Stateless {
            return self.drop();
        }
        let claim = judge::by_method(method);
        let decision = self.decide(&claim.action(), method);
        let enforcer = self.context.gateway.enforcer();
        let facts = self.context.facts(&claim, method, self.revision.as_str());
        match decision.effect() {
            Effect::Proceed { would_deny, .. } => {
                if would_deny.is_some() {
                    enforcer.deny(self.context.origin(), facts, &decision, &enforcer.request_id()).await;
                }
                match tokens::seal_request_id(&self.context, id) {
                    Some(sealed) => Relayed::Pass(envelope::request_bytes(
                        &sealed,
                        method,
                        params.map(|params| params.raw()),
                    )),
                    None => {
                        self.answer_server(id, "the request's id is too long").await;
                        self.drop()
                    }
                }
            }
            Effect::Refuse(_) => {
                enforcer.deny(self.context.origin(), facts, &decision, &enforcer.request_id()).await;
                self.answer_server(id, "the client may not be asked this").await;
                self.drop()
            }
        }
    }

    /// Tells the server that its request is refused, so that it doesn't wait. Recorded like all that is sent.
    async fn answer_server(&self, id: &Id, text: &str) {
        let context = &self.context;
        let revision = self.revision.as_str();
        let Ok(admitted) = context.admit(&Claim::Server, "response", revision, None).await else { return };
        let body = envelope::error_bytes(Some(id), -32601, text, None);
        let headers = super::wire::session_headers(context, self.revision);
        let outgoing = outgoing::post(context, headers, body.into());
        let sent = context.upstream.send(admitted, outgoing, context.limits().upstream_timeout).await;
        match sent {
            Ok(answer) if answer.status.is_success() => answer.open.close(Ending::Ok, 0),
            Ok(answer) => answer.open.close(Ending::Error("the server did not take it"), 0),
            // Sending wrote the outcome.
            Err(_) => {}
        }
    }

    fn decide(&self, action: &Action<'_>, method: &str) -> Decision {
        self.context.decide(action, method, self.revision.as_str())
    }

    fn permits(&self, action: &Action<'_>) -> bool {
        matches!(self.decide(action, "notifications/resources/updated").effect(), Effect::Proceed { .. })
    }

    fn drop(&self) -> Relayed {
        self.context.gateway.metrics().dropped_message();
        Relayed::Drop
    }
}

/// Members of a stateless result that mean something to the gateway.
const MEMBERS: [(&str, Member); 3] = [
    ("requestState", Member::RequestState),
    ("inputRequests", Member::InputRequests),
    ("cacheScope", Member::CacheScope),
];

/// The new text of such a member, whose text is normalised: the state sealed, the requests judged, the scope private, since what one person
/// may see can't be kept for another.
pub(super) fn member_of_result(
    context: &Context,
    method: &str,
    target: &str,
    member: Member,
    raw: &str,
) -> Result<String, &'static str> {
    match member {
        Member::CacheScope => Ok("\"private\"".to_owned()),
        Member::RequestState => {
            let state = Value::of(raw).as_string();
            let state = state.ok_or("requestState is no string")?;
            Ok(tokens::seal_state(context, method, target, &state))
        }
        Member::InputRequests => {
            let requests = Value::of(raw);
            if requests.kind() != Kind::Object {
                return Err("inputRequests is no object");
            }
            for (_, request) in requests.members() {
                let asked = request
                    .get("method")
                    .and_then(Value::as_string)
                    .ok_or("an input request has no method")?;
                let claim = judge::by_method(&asked);
                let revision = Revision::V2026_07_28.as_str();
                let decision = context.decide(&claim.action(), &asked, revision);
                match decision.effect() {
                    Effect::Proceed { would_deny: None, .. } => {}
                    Effect::Proceed { would_deny: Some(_), .. } => {
                        context.note_denial(&claim, &asked, revision, &decision);
                    }
                    Effect::Refuse(_) => {
                        context.note_denial(&claim, &asked, revision, &decision);
                        return Err("the client may not be asked what the server asks");
                    }
                }
            }
            Ok(requests.raw().to_owned())
        }
    }
}

/// A list's result, with what the caller may use and nothing else.
pub(super) fn filter(
    context: &Context,
    kind: ListKind,
    method: &str,
    revision: Revision,
    result: Value<'_>,
) -> Result<String, Broken> {
    let stateless = revision.era() == Era::Stateless;
    let keep = |_: Value<'_>, key: &str| {
        let action = match kind {
            ListKind::Tools => Action::CallTool { name: key, arguments: Arguments::Unknown },
            ListKind::Prompts => Action::GetPrompt { name: key, arguments: Arguments::Unknown },
            ListKind::Resources => Action::ReadResource { uri: key },
            ListKind::ResourceTemplates => Action::UseResourceTemplate { uri_template: key },
        };
        matches!(context.decide(&action, method, revision.as_str()).effect(), Effect::Proceed { .. })
    };
    let filtered =
        method::filter_list(kind, result, keep, stateless).map_err(|_| Broken("the list is not a list"))?;
    match result.get("nextCursor").and_then(Value::as_string) {
        None => Ok(filtered),
        Some(cursor) => {
            let sealed = tokens::seal_cursor(context, method, &cursor);
            Ok(narrows_mcp::json::replace(Value::of(&filtered), &["nextCursor"], Some(&sealed)))
        }
    }
}
