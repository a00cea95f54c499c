//! Asks a server whether it answers MCP, before anyone is led to it: a handshake and the list of its tools, first as a client
//! with sessions, then as one of 2026-07-28. Nothing is called. What a server says is read strictly, and no more of it than a
//! bound; none of it decides anything about who may do what.

mod wire;

use std::{collections::HashSet, time::Duration};

use http::HeaderValue;
use narrows_core::lifecycle::{Endpoint, Surface};
use narrows_egress::EgressError;
use narrows_mcp::{json::Value, revision::Revision};
use serde_json::json;

use crate::upstream::Reach;
use wire::Conversation;

/// Connections of one probe: the session's end may go over another than its beginning.
const CONNECTIONS: usize = 4;
/// For all of it. Some servers fetch themselves when they are first started.
const PATIENCE: Duration = Duration::from_secs(150);
/// Tools, and pages of them, that are read.
const MOST_TOOLS: usize = 10_000;
const MOST_PAGES: usize = 200;
/// Bytes of a cursor.
const LONGEST_CURSOR: usize = 4096;
/// Bytes of a server's name, of its version, and of a tool's name that are kept.
const LONGEST_NAME: usize = 256;

/// Why a server does not answer MCP, for people.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    /// No exchange with it.
    #[error("it can't be reached")]
    Unreachable(#[from] EgressError),
    /// It took too long.
    #[error("it did not answer within {} seconds", PATIENCE.as_secs())]
    Late,
    /// It answered with an HTTP status that is none of MCP's.
    #[error("it answered `{method}` with HTTP status {status}")]
    Status {
        /// What it was asked.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// It answered with an error.
    #[error("it answered `{method}` with an error: {message} ({code})")]
    Refused {
        /// What it was asked.
        method: &'static str,
        /// The error's code.
        code: i64,
        /// The error's message, cut.
        message: String,
    },
    /// Its bridge says that it is not there.
    #[error("{0}")]
    Unavailable(String),
    /// It answered with something else than MCP.
    #[error("its answer to `{method}` is not MCP: {reason}")]
    NotMcp {
        /// What it was asked.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ProbeFailure {
    /// Whether a server may answer so that speaks the other era alone.
    fn may_be_of_the_other_era(&self) -> bool {
        match self {
            Self::Status { status, .. } => (400..500).contains(status),
            Self::Refused { .. } | Self::NotMcp { .. } => true,
            Self::Unreachable(_) | Self::Late | Self::Unavailable(_) => false,
        }
    }
}

/// Asks what is there.
pub(crate) async fn probe(endpoint: &Endpoint, reach: &Reach) -> Result<Surface, ProbeFailure> {
    let client = reach.client(endpoint, CONNECTIONS)?;
    let principal = match endpoint {
        Endpoint::Local(_) => Some(HeaderValue::from_static("probe")),
        Endpoint::Remote(_) => None,
    };
    let asking = async {
        let mut conversation = Conversation::new(client, principal);
        let first = match with_session(&mut conversation).await {
            Err(failure) if failure.may_be_of_the_other_era() => failure,
            ended => return ended,
        };
        // What it said first is what its owner can do something about, unless it speaks the newer era.
        stateless(&mut conversation).await.map_err(|_| first)
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(ProbeFailure::Late))
}

/// As a client of the revisions with sessions (2025-11-25, basic/lifecycle).
async fn with_session(conversation: &mut Conversation) -> Result<Surface, ProbeFailure> {
    let params = json!({
        "protocolVersion": Revision::NEWEST_WITH_SESSIONS.as_str(),
        "capabilities": {},
        "clientInfo": client_info(),
    });
    let greeting = conversation.ask("initialize", &params, |result| {
        let revision = result.get("protocolVersion").and_then(Value::as_string);
        let revision = revision.ok_or_else(|| "its result has no `protocolVersion`".to_owned())?;
        Ok((short(&revision), server_info(result.get("serverInfo")), has_tools(result)))
    });
    let (revision, server, has_tools) = greeting.await?;
    conversation.speak(&revision);
    let listed = async {
        conversation.tell("notifications/initialized").await?;
        if has_tools { tools(conversation, None).await } else { Ok(Vec::new()) }
    };
    let listed = listed.await;
    conversation.end().await;
    Ok(Surface { revision, server, tools: listed? })
}

/// As a client of 2026-07-28, in which each request stands alone (server/discover).
async fn stateless(conversation: &mut Conversation) -> Result<Surface, ProbeFailure> {
    let revision = Revision::V2026_07_28.as_str();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    conversation.stand_alone(revision);
    let params = json!({ "_meta": meta });
    let discovered = conversation.ask("server/discover", &params, |result| {
        let versions = result.get("supportedVersions");
        let mut versions = versions.into_iter().flat_map(Value::elements).filter_map(Value::as_string);
        if !versions.any(|version| version == revision) {
            return Err(format!("it does not speak {revision}"));
        }
        Ok((server_info(result.get("serverInfo")), has_tools(result)))
    });
    let (server, has_tools) = discovered.await?;
    let tools = if has_tools { tools(conversation, Some(&meta)).await? } else { Vec::new() };
    Ok(Surface { revision: revision.to_owned(), server, tools })
}

/// The names of its tools, page by page.
async fn tools(
    conversation: &mut Conversation,
    meta: Option<&serde_json::Value>,
) -> Result<Vec<String>, ProbeFailure> {
    const METHOD: &str = "tools/list";
    let mut names = Vec::new();
    let mut cursors: HashSet<String> = HashSet::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut params = serde_json::Map::new();
        params.extend(meta.map(|meta| ("_meta".to_owned(), meta.clone())));
        params.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.into())));
        let params = params.into();
        let page = conversation.ask(METHOD, &params, |result| {
            let tools = result.get("tools").ok_or_else(|| "its result has no `tools`".to_owned())?;
            let names: Option<Vec<String>> =
                tools.elements().map(|tool| Some(short(&tool.get("name")?.as_string()?))).collect();
            let names = names.ok_or_else(|| "a tool has no name".to_owned())?;
            Ok((names, result.get("nextCursor").and_then(Value::as_string).map(|next| next.into_owned())))
        });
        let (page, next) = page.await?;
        names.extend(page);
        let not_mcp = |reason: &str| ProbeFailure::NotMcp { method: METHOD, reason: reason.to_owned() };
        if next.as_ref().is_some_and(|next| next.len() > LONGEST_CURSOR) {
            return Err(not_mcp("a cursor is too long"));
        }
        if names.len() > MOST_TOOLS || cursors.len() >= MOST_PAGES {
            return Err(not_mcp("the list of its tools does not end"));
        }
        match next {
            None => return Ok(names),
            Some(next) if cursors.insert(next.clone()) => cursor = Some(next),
            Some(_) => return Err(not_mcp("a cursor comes again")),
        }
    }
}

fn client_info() -> serde_json::Value {
    json!({ "name": "narrows", "version": env!("CARGO_PKG_VERSION") })
}

/// Its name and version, as it calls itself.
fn server_info(info: Option<Value<'_>>) -> String {
    let text = |name: &str| info.and_then(|info| info.get(name)).and_then(Value::as_string);
    let said = [text("name"), text("version")].into_iter().flatten().map(|text| short(&text));
    said.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn has_tools(result: Value<'_>) -> bool {
    result.at(&["capabilities", "tools"]).is_some()
}

/// As much of a text as is kept.
fn short(text: &str) -> String {
    text.chars()
        .scan(0, |bytes, char| {
            *bytes += char.len_utf8();
            (*bytes <= LONGEST_NAME).then_some(char)
        })
        .collect()
}
