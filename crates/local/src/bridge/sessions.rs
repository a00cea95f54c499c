//! Sessions of the revisions up to 2025-11-25: opened by `initialize`, known by an id that can't be guessed, bound to
//! the principal that opened them, and gone with their process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use narrows_core::resource::Sessions as Sharing;
use narrows_mcp::{
    envelope::{Message, Request, Sender, parse, result_bytes},
    json::{Document, Limits, Value},
    revision::{Era, Revision},
};
use tokio::sync::mpsc;

use super::{
    answer::Abandon,
    board::{Frame, FrameKind, OwnerKey},
    host::Host,
    pool::Pool,
    process::Process,
    refusal::Refusal,
};

/// How long a server may take to answer `initialize`: some fetch themselves first.
const GREETING: Duration = Duration::from_secs(120);

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) process: Arc<Process>,
    /// Its key on the process's board.
    pub(crate) key: u64,
    principal: Option<Arc<str>>,
    /// The revision that was agreed on, as the server wrote it: it may be older than those we know.
    revision: Box<str>,
    sharing: Sharing,
}

impl Session {
    /// The revision that was agreed on, if it is one that we know.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision.parse().ok()
    }

    /// Whether a client that has agreed on a revision may write `named` in its header. Known older ones are let
    /// through as SDKs do.
    pub(crate) fn speaks(&self, named: &str) -> bool {
        *named == *self.revision
            || named.parse::<Revision>().is_ok_and(|revision| revision.era() == Era::Sessions)
    }
}

/// Of all sessions that there may be, one principal may have one in so many, so that there are some for others.
const PARTS: usize = 4;

/// The sessions of a bridge.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<Box<str>, Arc<Session>>>,
    /// How many of each principal's are being opened.
    opening: Mutex<HashMap<Arc<str>, usize>>,
}

/// A session that is being opened.
struct Opening {
    host: Arc<Host>,
    principal: Arc<str>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut opening = self.host.sessions.opening();
        if let Some(count) = opening.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                opening.remove(&self.principal);
            }
        }
    }
}

/// An answer to `initialize`.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// The whole answer.
    pub(crate) text: Bytes,
    /// Its `result`, as JSON.
    result: Option<Box<str>>,
    revision: Box<str>,
    /// The message of an error.
    ended: Option<Box<str>>,
}

/// An answered `initialize`.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The new session; none where the server refused.
    pub(crate) id: Option<Box<str>>,
    pub(crate) text: Bytes,
}

impl Greeting {
    /// What a client is told when the process ended instead of answering.
    pub(crate) fn unavailable(&self) -> Refusal {
        let reason = self.ended.as_deref().unwrap_or("the server's process ended").into();
        Refusal::Unavailable { reason, retry: Duration::from_secs(1) }
    }
}

impl Sessions {
    fn locked(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Session>>> {
        // A map is valid after every statement.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opening(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a principal, within its share. Where that is used up, the one of its sessions that nobody has
    /// used for longest ends: agents come and go without a word.
    fn enter(host: &Arc<Host>, principal: &Arc<str>) -> Result<Opening, Refusal> {
        let caps = host.config.caps;
        let all = match host.config.server.sessions {
            Sharing::Isolated => caps.processes,
            Sharing::Shared => caps.sessions,
        };
        let share = (all / PARTS).max(1);
        let sessions = &host.sessions;
        let mut opening = sessions.opening();
        let beginning = opening.get(principal).copied().unwrap_or(0);
        let own: Vec<(Box<str>, Arc<Session>)> = sessions
            .locked()
            .iter()
            .filter(|(_, session)| session.principal.as_ref() == Some(principal))
            .map(|(id, session)| (id.clone(), Arc::clone(session)))
            .collect();
        if own.len() + beginning >= share {
            let unused = own.iter().filter_map(|(id, session)| {
                let since = session.process.board().unused_since(session.key)?;
                Some((since, id, session))
            });
            let (_, id, session) = unused
                .min_by_key(|(since, _, _)| *since)
                .ok_or(Refusal::Busy("this principal has as many sessions of the server as one may have"))?;
            sessions.delete(id, session);
        }
        *opening.entry(Arc::clone(principal)).or_default() += 1;
        Ok(Opening { host: Arc::clone(host), principal: Arc::clone(principal) })
    }

    /// The session of this id, if it is this principal's. To anyone else it does not exist.
    pub(crate) fn find(&self, id: &str, principal: Option<&str>) -> Result<Arc<Session>, Refusal> {
        let found = self.locked().get(id).cloned();
        found.filter(|session| session.principal.as_deref() == principal).ok_or(Refusal::NoSession)
    }

    /// Ends a session at its client's wish.
    pub(crate) fn delete(&self, id: &str, session: &Session) {
        self.locked().remove(id);
        close(session.sharing, &session.process, session.key, Instant::now());
    }

    /// Ends the session that has this key on this process's board.
    pub(crate) fn end(&self, process: &Arc<Process>, key: u64, now: Instant) {
        let mut ended = None;
        self.locked().retain(|_, session| {
            let is_it = session.key == key && Arc::ptr_eq(&session.process, process);
            if is_it {
                ended = Some(session.sharing);
            }
            !is_it
        });
        if let Some(sharing) = ended {
            close(sharing, process, key, now);
        }
    }

    /// Forgets the sessions of a process that is gone.
    pub(crate) fn forget(&self, process: &Arc<Process>) {
        self.locked().retain(|_, session| !Arc::ptr_eq(&session.process, process));
    }

    /// Opens a session: a process of its own, or a place in the shared one.
    pub(crate) async fn open(
        host: &Arc<Host>,
        request: &Request<'_>,
        text: &str,
        principal: Option<Arc<str>>,
    ) -> Result<Opened, Refusal> {
        let sharing = host.config.server.sessions;
        // None where nobody says whose sessions they are: whoever comes by a port of its own has the bridge for itself.
        let _opening = principal.as_ref().map(|principal| Self::enter(host, principal)).transpose()?;
        let (process, key, greeting, kind) = match sharing {
            Sharing::Isolated => {
                let process = host.start(sharing, None).await?;
                // From here on, whatever ends this future ends the process too.
                let unless_kept = CloseUnlessKept(Some(Arc::clone(&process)));
                let key = process.board().open_session(Instant::now())?;
                let (kind, greeting) = greet(&process, OwnerKey::Session(key), text).await?;
                if kind == FrameKind::Result {
                    unless_kept.keep();
                }
                (process, key, Arc::new(greeting), kind)
            }
            Sharing::Shared => {
                let params = ours(request.params);
                let pooled =
                    Pool::get(host, host.pool.for_session(host.replicas(), host.starts()), Some(&params))
                        .await?;
                let key = pooled.process.board().open_session(Instant::now())?;
                let greeting = pooled.greeting.ok_or(Refusal::NoSession)?;
                (pooled.process, key, greeting, FrameKind::Result)
            }
        };
        match kind {
            FrameKind::Result => {}
            FrameKind::Ended => return Err(greeting.unavailable()),
            FrameKind::Error(_) | FrameKind::Message => {
                return Ok(Opened { id: None, text: greeting.text.clone() });
            }
        }
        host.works();
        let text = match &greeting.result {
            Some(result) => result_bytes(&request.id, result).into(),
            None => greeting.text.clone(),
        };
        let id = new_id()?;
        let session = Session {
            process: Arc::clone(&process),
            key,
            principal,
            revision: greeting.revision.clone(),
            sharing,
        };
        host.sessions.locked().insert(id.clone(), Arc::new(session));
        if process.is_closing() {
            // It ended meanwhile, perhaps before the session was there to be forgotten.
            host.sessions.forget(&process);
        }
        Ok(Opened { id: Some(id), text })
    }
}

fn close(sharing: Sharing, process: &Arc<Process>, key: u64, now: Instant) {
    match sharing {
        Sharing::Isolated => process.close(),
        Sharing::Shared => process.board().close_session(key, now),
    }
}

struct CloseUnlessKept(Option<Arc<Process>>);

impl CloseUnlessKept {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseUnlessKept {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            process.close();
        }
    }
}

/// Parameters of `initialize` in the bridge's own name: the revision of the first client, and no capabilities, since
/// no single client could answer what the server asks.
fn ours(params: Option<Value<'_>>) -> String {
    let asked = params.and_then(|params| params.get("protocolVersion")).map(Value::raw);
    let newest = format!("\"{}\"", Revision::NEWEST_WITH_SESSIONS);
    format!(
        "{{\"protocolVersion\":{},\"capabilities\":{{}},\"clientInfo\":{{\"name\":\"narrows-bridge\",\"version\":\"{}\"}}}}",
        asked.unwrap_or(&newest),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Sends one request for the bridge itself and waits for the answer.
pub(super) async fn ask(process: &Arc<Process>, owner: OwnerKey, text: &str) -> Result<Frame, Refusal> {
    let (sender, mut receiver) = mpsc::channel::<Frame>(1);
    let request = {
        let document = Document::parse(text.as_bytes(), &Limits::CLIENT).map_err(Refusal::Json)?;
        match parse(document.root(), Sender::Client).map_err(Refusal::Envelope)? {
            Message::Request(request) => {
                process.board().direct_request(owner, &request, sender, Instant::now())?
            }
            Message::Notification(_) | Message::Response(_) => return Err(Refusal::NoSession),
        }
    };
    let _unless_answered = Abandon { process: Arc::clone(process), request };
    receiver.recv().await.ok_or_else(|| Refusal::Ended("the server's process is ending".into()))
}

/// Sends `initialize` and waits for the answer.
pub(super) async fn greet(
    process: &Arc<Process>,
    owner: OwnerKey,
    text: &str,
) -> Result<(FrameKind, Greeting), Refusal> {
    let answered = tokio::time::timeout(GREETING, ask(process, owner, text)).await;
    let frame = answered.map_err(|_| Refusal::Slow("the server did not answer `initialize` in time"))??;
    let document = Document::parse(&frame.data, &Limits::SERVER).map_err(Refusal::Json)?;
    let result = document.root().get("result");
    let revision = result.and_then(|result| result.get("protocolVersion")).and_then(Value::as_string);
    let greeting = Greeting {
        text: frame.data.clone(),
        result: result.map(|result| result.raw().into()),
        revision: revision.unwrap_or_default().into(),
        ended: document.root().at(&["error", "message"]).and_then(Value::as_string).map(|text| text.into()),
    };
    Ok((frame.kind, greeting))
}

/// 128 random bits, in visible ASCII.
fn new_id() -> Result<Box<str>, Refusal> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(Refusal::Busy("the kernel has no random numbers")),
        }
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}
