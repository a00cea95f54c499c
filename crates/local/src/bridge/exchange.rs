//! Requests on their way to a process, and the form in which their answers come.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Response};
use narrows_core::resource::Sessions as Sharing;
use narrows_mcp::{
    envelope::Request,
    json::{Document, Limits, Value},
    revision::Revision,
};
use tokio::sync::mpsc;

use super::{
    annotated,
    answer::{Abandon, Body, Events, Opening, events, json, session_status, stateless_status},
    board::{EventId, Frame, FrameKind, OwnerKey},
    host::Host,
    pool::{Pool, PoolKey},
    process::Process,
    refusal::Refusal,
    sessions::{Session, ask},
};

/// The revision of a request that stands alone, in `params._meta`.
pub(super) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// An answer that takes longer than this is worth a stream that can be resumed.
const QUICK: Duration = Duration::from_millis(50);

/// A request of a session: answered with JSON if the answer comes at once and alone, else with a stream.
pub(super) async fn in_session(
    host: &Arc<Host>,
    session: &Session,
    request: &Request<'_>,
) -> Result<Response<Body>, Refusal> {
    let (sender, mut frames) = mpsc::channel(host.config.caps.queue.max(1));
    let stream = {
        let mut board = session.process.board();
        board.session_requests(session.key, std::slice::from_ref(request), sender, Instant::now())?
    };
    let primed = session.revision().is_some_and(|revision| revision >= Revision::V2025_11_25);
    let patience = if primed { QUICK } else { host.config.timing.keep_alive };
    let opening = match tokio::time::timeout(patience, frames.recv()).await {
        Ok(Some(frame)) if is_answer(frame.kind) => {
            return Ok(json(session_status(frame.kind), frame.data));
        }
        Ok(Some(frame)) => Opening::Frame(frame),
        Err(_) if primed => Opening::Priming(EventId { stream, position: 0 }),
        Ok(None) | Err(_) => Opening::Plain,
    };
    Ok(stream_of(host, frames, opening, None))
}

/// A request of 2026-07-28.
pub(super) async fn stand_alone(
    host: &Arc<Host>,
    principal: Option<&str>,
    headers: &HeaderMap,
    request: &Request<'_>,
) -> Result<Response<Body>, Refusal> {
    let principal: Arc<str> = principal.unwrap_or_default().into();
    let key = match host.config.server.sessions {
        Sharing::Isolated => PoolKey::Principal(Arc::clone(&principal)),
        Sharing::Shared => host.pool.for_request(host.replicas(), host.starts()),
    };
    let process = Pool::get(host, key, None).await?.process;
    if request.method == "tools/call" {
        let tool = request.params.and_then(|params| params.get("name")).and_then(Value::as_string);
        ask_for_tools(&process).await;
        let annotations = process.board().annotated.of(&tool.unwrap_or_default());
        annotated::check(&annotations, headers, request).map_err(Refusal::Headers)?;
    }
    let (sender, mut frames) = mpsc::channel(host.config.caps.queue.max(1));
    let owner = OwnerKey::Principal(principal);
    let number = process.board().direct_request(owner, request, sender, Instant::now())?;
    let abandon = Abandon { process, request: number };
    let opening = match tokio::time::timeout(host.config.timing.keep_alive, frames.recv()).await {
        Ok(Some(frame)) if is_answer(frame.kind) => {
            return Ok(json(stateless_status(frame.kind), frame.data));
        }
        Ok(Some(frame)) => Opening::Frame(frame),
        Ok(None) | Err(_) => Opening::Plain,
    };
    Ok(stream_of(host, frames, opening, Some(abandon)))
}

/// Lets the board learn which parameters of which tools must be in headers, once for each process and each time that
/// its tools have changed. A server that has no list to give has no such tools.
async fn ask_for_tools(process: &Arc<Process>) {
    const WITHIN: Duration = Duration::from_secs(10);
    const MOST_PAGES: usize = 64;
    if process.board().annotated.is_known() {
        return;
    }
    let pages = async {
        let mut cursor = String::new();
        for _ in 0..MOST_PAGES {
            let text = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\",\"params\":{{{cursor}\"_meta\":{{\"{META_VERSION}\":\
                 \"{}\",\"io.modelcontextprotocol/clientCapabilities\":{{}}}}}}}}",
                Revision::V2026_07_28
            );
            let page = ask(process, OwnerKey::Bridge, &text).await.ok()?;
            let page = Document::parse(&page.data, &Limits::SERVER).ok()?;
            let next = page.root().at(&["result", "nextCursor"]).filter(|next| next.as_string().is_some())?;
            cursor = format!("\"cursor\":{},", next.raw());
        }
        Some(())
    };
    let _ = tokio::time::timeout(WITHIN, pages).await;
    process.board().annotated.asked();
}

fn is_answer(kind: FrameKind) -> bool {
    match kind {
        FrameKind::Result | FrameKind::Error(_) | FrameKind::Ended => true,
        FrameKind::Message => false,
    }
}

pub(super) fn stream_of(
    host: &Host,
    frames: mpsc::Receiver<Frame>,
    opening: Opening,
    abandon: Option<Abandon>,
) -> Response<Body> {
    events(Events::new(frames, opening, host.config.timing.keep_alive, abandon))
}
