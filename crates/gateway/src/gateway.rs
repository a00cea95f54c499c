//! The gateway itself: what is published, who is let in, and the way of one HTTP request through it.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use narrows_core::{
    ids::ServerId,
    lifecycle::{Endpoint, InstanceId, Route as ServerRoute, Surface},
    policy::Snapshot,
    ports::{AuditLog, ServerHealth},
};
use narrows_egress::AddressPolicy;
use narrows_mcp::{
    envelope::{self, Message, Sender},
    handle::HandleKeys,
    json::{Document, Limits as JsonLimits},
    revision::{Era, Revision},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    anonymous::Failures,
    clock::{Clock, RequestIds},
    concurrency::{self, Concurrency, InProgress, Slot},
    context::{Context, traceparent},
    cuts::Whose,
    edge::{self, Head, Verb},
    enforcer::{Enforcer, Facts, Origin},
    exchange,
    gathered::Gathered,
    identity::{self, Authenticator, Identity},
    judge::{self, Claim},
    metrics::{Metrics, Present},
    probe::{self, ProbeFailure},
    refusal::{EdgeRefusal, Refusal},
    reply::Reply,
    room::{Place, Room},
    route::Route,
    session::{self, Binding, SESSION_HEADER, VERSION_HEADER},
    settings::Settings,
    telemetry::Spans,
    upstream::{Reach, Upstream},
    ways::{self, Way, Ways},
};
use narrows_core::decision::{Decision, Denial, Effect, Mode, Verdict};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a gateway is made of.
pub struct Parts {
    /// Its own configuration.
    pub settings: Settings,
    /// Who is asking.
    pub authenticator: Arc<Authenticator>,
    /// The record.
    pub audit: Arc<dyn AuditLog>,
    /// What is known of the servers.
    pub health: Arc<dyn ServerHealth>,
    /// Keys of sealed handles; the same on every replica.
    pub handle_keys: HandleKeys,
    /// Key of the argument digests in the record.
    pub digest_key: [u8; 32],
    /// Which addresses servers may have.
    pub address_policy: Arc<AddressPolicy>,
    /// How servers' certificates are checked.
    pub upstream_tls: Arc<rustls::ClientConfig>,
    /// The socket of a local server's bridge.
    pub socket_of: Arc<dyn Fn(&InstanceId) -> PathBuf + Send + Sync>,
    /// The time.
    pub clock: Clock,
    /// Who collects spans; nobody, unless wanted.
    pub spans: Option<Arc<dyn Spans>>,
}

/// A snapshot and the ways to its servers. Swapped whole.
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    places: HashMap<ServerId, ways::Place>,
}

impl Published {
    /// The way to a server, if there is such a server.
    pub(crate) fn way(&self, server: &ServerId) -> Option<arc_swap::Guard<Arc<Way>>> {
        self.places.get(server).map(|place| place.load())
    }
}

/// The data plane. Starts with the empty snapshot, which denies everything.
pub struct Gateway {
    settings: Settings,
    authenticator: Arc<Authenticator>,
    enforcer: Enforcer,
    audit: Arc<dyn AuditLog>,
    handles: HandleKeys,
    reach: Reach,
    ways: Ways,
    clock: Clock,
    published: ArcSwap<Published>,
    changes: watch::Sender<u64>,
    concurrency: Concurrency,
    failures: Failures,
    bodies: Room,
    metrics: Arc<Metrics>,
    draining: CancellationToken,
    numbers: AtomicU64,
}

impl Gateway {
    /// Makes a gateway that denies everything until something is published.
    pub fn new(parts: Parts) -> Arc<Self> {
        let metrics = Arc::new(Metrics::default());
        let enforcer = Enforcer::new(
            Arc::clone(&parts.audit),
            &parts.digest_key,
            parts.clock,
            parts.settings.limits.audit_timeout,
            Arc::clone(&metrics),
            parts.spans,
        );
        let empty = Published { snapshot: Arc::new(Snapshot::empty()), places: HashMap::new() };
        let bodies = Room::new(parts.settings.limits.bodies_bytes, parts.settings.limits.body_bytes);
        Arc::new(Self {
            settings: parts.settings,
            authenticator: parts.authenticator,
            enforcer,
            audit: parts.audit,
            handles: parts.handle_keys,
            reach: Reach {
                policy: parts.address_policy,
                tls: parts.upstream_tls,
                health: parts.health,
                socket_of: parts.socket_of,
            },
            ways: Ways::default(),
            clock: parts.clock,
            published: ArcSwap::from_pointee(empty),
            changes: watch::Sender::new(0),
            concurrency: Concurrency::default(),
            failures: Failures::default(),
            bodies,
            metrics,
            draining: CancellationToken::new(),
            numbers: AtomicU64::new(1),
        })
    }

    /// Puts a snapshot in force. Requests that begin afterwards are judged by it at once; those in progress and
    /// streams are judged again.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let servers = snapshot.resources().servers.iter().map(|server| &server.id);
        let places = self.ways.of(servers, &self.reach);
        let number = snapshot.revision().number;
        self.published.store(Arc::new(Published { snapshot, places }));
        self.metrics.published(number);
        self.changed();
    }

    /// Leads requests to a server so from now on. Until it is led anywhere, it answers as not available. An address that
    /// can't be used is logged, and answers so, too.
    pub fn lead(&self, server: &ServerId, route: &ServerRoute) {
        self.ways.lead(server, route, &self.reach);
        self.changed();
    }

    /// Asks what is there whether it answers MCP: a handshake, and its tools.
    ///
    /// # Errors
    /// [`ProbeFailure`], for people.
    pub async fn probe(&self, endpoint: &Endpoint) -> Result<Surface, ProbeFailure> {
        probe::probe(endpoint, &self.reach).await
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Writes counts of failed authentications, and says what went beyond a bound, until stopped. Its end before that
    /// is the process's.
    pub async fn report_failures(&self, stop: CancellationToken) {
        let said = self.metrics.cuts().report(stop.clone());
        let audit = Arc::clone(&self.audit);
        tokio::join!(self.failures.report(audit, RequestIds::default(), self.clock, stop), said);
    }

    /// Ends listening streams, so that connections can close. Part of shutting down.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Answers a request on a connection where it can't be told any more what is a request. The connection ends.
    pub(crate) fn refuse_framing(&self, ip: &str) -> Response<Reply> {
        let refusal = EdgeRefusal::Framing.into();
        self.note(&refusal, ip, None);
        let mut response = finished(Err(refusal));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Answers one request from the peer at `ip`. Every outcome is a response.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        ip: &Arc<str>,
        request: Request<Incoming>,
    ) -> Response<Reply> {
        finished(self.route(ip, request).await)
    }

    async fn route(
        self: &Arc<Self>,
        ip: &Arc<str>,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Refusal> {
        let (parts, body) = request.into_parts();
        let Head { verb, route } = edge::check(&parts, &self.settings)?;
        // In HTTP/2 a body needs no header that says so.
        if verb != Verb::Post && !body.is_end_stream() {
            return Err(EdgeRefusal::UnexpectedBody.into());
        }
        match route {
            Route::Metadata(resource) => match verb {
                Verb::Get => Ok(self.metadata(&resource)),
                Verb::Post | Verb::Delete => Err(EdgeRefusal::Method.into()),
            },
            Route::All => {
                self.authenticate(&parts.headers, "/mcp", ip).await?;
                Err(Refusal::NoAggregate)
            }
            Route::Server(server) => {
                let path = parts.uri.path();
                let identity = self.authenticate(&parts.headers, path, ip).await?;
                let arrival = Arrival { identity, server, ip: Arc::clone(ip), headers: &parts.headers };
                // Apart, so that a connection between requests, or with a stream, does not keep room for it.
                Box::pin(self.serve(arrival, verb, body)).await
            }
        }
    }

    /// One request of an authenticated caller for one server.
    async fn serve(
        self: &Arc<Self>,
        arrival: Arrival<'_>,
        verb: Verb,
        body: Incoming,
    ) -> Result<Response<Reply>, Refusal> {
        let mut place = self.bodies.place();
        let received = self.receive(&arrival, verb, body, &mut place).await;
        let (slot, present, body) = received.inspect_err(|refusal| {
            self.note(refusal, &arrival.ip, Some(&arrival.identity.principal.subject));
        })?;
        let Some(way) = self.reachable(&arrival) else {
            return Err(self.unknown(&arrival, verb, &body).await);
        };
        let bound =
            |upstream: &Upstream| Binding::new(&arrival.identity, &arrival.server, upstream.target_digest());
        // A stateless request has no session, whatever an old header says (2026-07-28, basic/transports).
        let stateless = arrival.headers.get(VERSION_HEADER).is_some_and(is_stateless);
        let (upstream, binding, session) =
            match arrival.headers.get(SESSION_HEADER).filter(|_| !stateless).map(HeaderValue::to_str) {
                None => (Arc::clone(&way.live), bound(&way.live), None),
                // It says itself where it was opened.
                Some(handle) => {
                    let handle = handle.unwrap_or_default();
                    let mut there = way.all().filter_map(|upstream| {
                        let binding = bound(upstream);
                        let session = session::open(&self.handles, &binding, handle, self.now())?;
                        Some((Arc::clone(upstream), binding, Some(session)))
                    });
                    there.next().ok_or(Refusal::UnknownSession(None))?
                }
            };
        drop(way);
        let context = Arc::new(Context {
            gateway: Arc::clone(self),
            upstream,
            binding: match &session {
                Some(session) => binding.with_session(session),
                None => binding,
            },
            session,
            user_agent: user_agent(arrival.headers),
            traceparent: traceparent(arrival.headers),
            identity: arrival.identity,
            server: arrival.server,
            ip: arrival.ip,
            _slot: slot,
            _present: present,
        });
        match verb {
            Verb::Post => exchange::post(context, arrival.headers, &body).await,
            Verb::Get => exchange::listen(context, arrival.headers).await,
            Verb::Delete => exchange::delete(context, arrival.headers).await,
        }
    }

    /// Takes a place among the requests in progress, and reads the body.
    async fn receive(
        &self,
        arrival: &Arrival<'_>,
        verb: Verb,
        body: Incoming,
        place: &mut Place<'_>,
    ) -> Result<(Slot, Present, Bytes), Refusal> {
        let limit = self.settings.limits.principal_concurrency;
        let principal = arrival.identity.in_progress(|| self.concurrency.of(arrival.identity.subject_digest));
        let slot = concurrency::enter(principal, limit).ok_or(Refusal::Busy { id: None, limit })?;
        let present = self.metrics.request();
        let body = match verb {
            Verb::Post => self.read(body, place, slot.principal()).await?,
            Verb::Get | Verb::Delete => Bytes::new(),
        };
        Ok((slot, present, body))
    }

    /// Counts a refusal for going beyond a bound.
    fn note(&self, refusal: &Refusal, ip: &str, subject: Option<&str>) {
        if let Some(reason) = refusal.cut() {
            self.metrics.cuts().note(reason, Whose { ip, subject });
        }
    }

    /// The way to the server, if the caller may use it at all.
    fn reachable(&self, arrival: &Arrival<'_>) -> Option<Arc<Way>> {
        let published = self.published.load();
        let decision = self.decide_use(&published, arrival);
        match decision.effect() {
            Effect::Proceed { .. } => Some(published.places.get(&arrival.server)?.load_full()),
            Effect::Refuse(_) => None,
        }
    }

    fn decide_use(&self, published: &Published, arrival: &Arrival<'_>) -> Decision {
        let grants = arrival.identity.grants(&published.snapshot);
        let request = narrows_core::action::RequestFacts { method: "", revision: "", ip: &arrival.ip };
        let query = narrows_core::policy::Query {
            principal: &arrival.identity.principal,
            server: &arrival.server,
            action: Claim::Server.action(),
            request,
            now: self.now(),
        };
        published.snapshot.decide(&grants, &query)
    }

    /// Records that a caller asked for a server that is not there for it. The record says which of the reasons it
    /// was, and what was asked as far as that can be read; the answer is the same for all of them.
    async fn unknown(&self, arrival: &Arrival<'_>, verb: Verb, body: &[u8]) -> Refusal {
        let published = self.published.load_full();
        let mut decision = self.decide_use(&published, arrival);
        if let Verdict::Allow(_) = decision.verdict {
            // It came between the two looks.
            decision.verdict = Verdict::Deny(Denial::UnknownServer);
            decision.mode = Mode::Enforce;
        }
        let document = Document::parse(body, &JsonLimits::CLIENT).ok();
        let message =
            document.as_ref().and_then(|document| envelope::parse(document.root(), Sender::Client).ok());
        let (method, claim) = match (&message, verb) {
            (Some(Message::Request(request)), _) => (
                request.method.as_ref(),
                judge::claim(request, Era::Sessions).map_or(Claim::Server, |(claim, _)| claim),
            ),
            (Some(Message::Notification(notification)), _) => (notification.method.as_ref(), Claim::Server),
            (Some(Message::Response(_)), _) => ("response", Claim::Server),
            (None, Verb::Get) => ("http/GET", Claim::Server),
            (None, Verb::Delete) => ("http/DELETE", Claim::Server),
            (None, Verb::Post) => ("http/POST", Claim::Server),
        };
        let user_agent = user_agent(arrival.headers);
        let origin = Origin {
            principal: &arrival.identity.principal,
            ip: &arrival.ip,
            user_agent: &user_agent,
            server: &arrival.server,
        };
        let traceparent = traceparent(arrival.headers);
        let facts = Facts { traceparent: traceparent.as_deref(), ..claim.facts(method, "") };
        self.enforcer.deny(origin, facts, &decision, &self.enforcer.request_id()).await;
        Refusal::UnknownServer(arrival.server.clone())
    }

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        path: &str,
        ip: &str,
    ) -> Result<Arc<Identity>, Refusal> {
        let resource = self.resource(path);
        match self.authenticator.authenticate(headers, None, &resource, self.now()).await {
            Ok(identity) => Ok(identity),
            Err(failure) => {
                let reason = failure.reason_code();
                self.metrics.unauthenticated(reason);
                self.failures.count(reason, ip);
                tracing::debug!(reason, ip, "not authenticated");
                let metadata = self.resource(&format!("/.well-known/oauth-protected-resource{path}"));
                let challenge = Some(identity::challenge(&metadata, &failure));
                Err(Refusal::Unauthenticated { failure, challenge })
            }
        }
    }

    /// An absolute URL of our own: the canonical resource identifier of an endpoint (RFC 8707).
    fn resource(&self, path: &str) -> String {
        let base = self.settings.public_url.as_str();
        [base.strip_suffix('/').unwrap_or(base), path].concat()
    }

    fn metadata(&self, path: &str) -> Response<Reply> {
        let body = identity::metadata(&self.resource(path), &self.authenticator.authorization_servers());
        let mut response = Response::new(Reply::whole(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }

    /// Reads a body within its size and time, and within what all bodies may take.
    async fn read(
        &self,
        mut body: Incoming,
        place: &mut Place<'_>,
        principal: &Arc<InProgress>,
    ) -> Result<Bytes, EdgeRefusal> {
        let limits = &self.settings.limits;
        let reading = async {
            let mut gathered = Gathered::default();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| EdgeRefusal::BodyIncomplete)?;
                // Trailers are not data, and nothing reads them.
                let Ok(data) = frame.into_data() else { continue };
                gathered.push(data);
                if gathered.len() > limits.body_bytes {
                    return Err(EdgeRefusal::BodyTooLarge(limits.body_bytes));
                }
                if !body.is_end_stream() && !place.grow(principal, gathered.len()) {
                    return Err(EdgeRefusal::NoRoom);
                }
            }
            Ok(gathered.finish())
        };
        match tokio::time::timeout(limits.body_timeout, reading).await {
            Ok(read) => read,
            Err(_) => Err(EdgeRefusal::BodyLate),
        }
    }

    pub(crate) fn published(&self) -> arc_swap::Guard<Arc<Published>> {
        self.published.load()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub(crate) fn enforcer(&self) -> &Enforcer {
        &self.enforcer
    }

    pub(crate) fn handles(&self) -> &HandleKeys {
        &self.handles
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// A number that no other request has.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// What every response has.
fn finished(routed: Result<Response<Reply>, Refusal>) -> Response<Reply> {
    let mut response = routed.unwrap_or_else(|refusal| {
        tracing::debug!(%refusal, "refused");
        refusal.into_response()
    });
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

fn is_stateless(version: &HeaderValue) -> bool {
    let revision = version.to_str().ok().and_then(|text| text.parse::<Revision>().ok());
    revision.is_some_and(|revision| revision.era() == Era::Stateless)
}

/// An authenticated request, before its server is known to exist.
struct Arrival<'a> {
    identity: Arc<Identity>,
    server: ServerId,
    ip: Arc<str>,
    headers: &'a HeaderMap,
}

/// The `User-Agent`, cut at 256 bytes.
fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..256).unwrap_or(text).to_owned()
}
