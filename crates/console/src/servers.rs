//! Servers: how they fare, and what is done to them. All that changes one is a change like any other.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Path, RawQuery, State},
    routing::{get, post},
};
use narrows_control::{
    Controller,
    lifecycle::{ServerError, ServerStatus},
};
use narrows_core::{
    audit::record_time,
    change::{Aim, Base, Desired, Edits, FollowedObjects, Operation},
    ids::ServerId,
    resource::{Documents, Object, ObjectKey, ResourceKind, Server as Declared},
};

use crate::{
    Change, RestartRequest, Revision, Revisions, RollbackRequest, ScaleRequest, Server, Servers,
    answer::Json,
    body::{Body, Query},
    problem::{Kind, Refused},
    router::{Caller, Plane, Restoring, parsed, propose, requester, restoring, run},
};

/// Changes of a server in one answer, unless fewer are asked for.
const PAGE: u64 = 100;
/// How long an answer waits for the wishes of the newest revision to be looked at.
const ANSWER: Duration = Duration::from_secs(5);
/// Revisions that are looked through at once.
const STRIDE: usize = 256;

pub(crate) fn routes() -> Router<Plane> {
    Router::new()
        .route("/servers", get(list))
        .route("/servers/{namespace}/{name}", get(one))
        .route("/servers/{namespace}/{name}/history", get(history))
        .route("/servers/{namespace}/{name}/scale", post(scale))
        .route("/servers/{namespace}/{name}/restart", post(restart))
        .route("/servers/{namespace}/{name}/rollback", post(rollback))
}

async fn list(State(plane): State<Plane>, RawQuery(query): RawQuery) -> Result<Json<Servers>, Refused> {
    let query = Query::read(query.as_deref(), &["namespace"])?;
    let wanted = |id: &ServerId| query.text("namespace").is_none_or(|wanted| id.namespace.as_str() == wanted);
    let desired = plane.controller.current();
    let statuses = plane.servers.as_ref().map(|servers| servers.statuses(wanted)).unwrap_or_default();
    let mut items: Vec<Server> = desired
        .resources
        .servers
        .iter()
        .filter(|server| wanted(&server.id))
        .map(|server| described(&desired, server, statuses.get(&server.id)))
        .collect();
    items.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    Ok(Json(Servers { revision: desired.revision.to_string(), items }))
}

async fn one(
    State(plane): State<Plane>,
    Path(named): Path<(String, String)>,
) -> Result<Json<Server>, Refused> {
    let desired = plane.controller.current();
    if let Some(servers) = &plane.servers {
        // So that whoever has just changed it is not told how it fared before.
        let _ = tokio::time::timeout(ANSWER, servers.answered(desired.revision.number)).await;
    }
    let server = declared(&desired, &id(&named)?)?;
    Ok(Json(current(&plane, &desired, &server)))
}

/// A server's changes, newest first; each with that server alone.
async fn history(
    State(controller): State<Controller>,
    Path(named): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Revisions>, Refused> {
    let query = Query::read(query.as_deref(), &["before", "limit"])?;
    let limit = query.number("limit")?.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Refused::new(Kind::BadRequest).detail(format!("`limit` is not between 1 and {PAGE}")));
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let key = key(&id(&named)?)?;
    let mut found = changes_of(&controller, &key, query.number("before")?, limit + 1).await?;
    if found.is_empty() {
        return Err(Refused::new(Kind::NotFound)
            .detail(format!("no revision has changed {key}"))
            .hint("`narrows server list` says which servers there are"));
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|revision| revision.number).filter(|_| more);
    Ok(Json(Revisions { items: found, next }))
}

/// The newest revisions before this one that changed a resource, each with that alone.
async fn changes_of(
    controller: &Controller,
    key: &ObjectKey,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Revision>, Refused> {
    let (mut found, mut before) = (Vec::new(), before);
    loop {
        let page = controller.revisions(before, STRIDE).await?;
        let Some(last) = page.last().map(|entry| entry.number) else { return Ok(found) };
        for mut entry in page {
            let Some(change) = &mut entry.change else { continue };
            change.objects.retain(|(changed, _)| changed == key);
            if !change.objects.is_empty() {
                found.push(Revision::from(entry));
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        before = Some(last);
    }
}

async fn scale(
    State(controller): State<Controller>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: http::HeaderMap,
    Body(request): Body<ScaleRequest>,
) -> Result<Json<Change>, Refused> {
    Query::read(query.as_deref(), &[])?;
    let ScaleRequest { replicas, base, dry_run, reason } = request;
    let desired = controller.current();
    let scaled = declared(&desired, &id(&named)?)?.scaled(replicas).map_err(|invalid| {
        Refused::new(Kind::Invalid).detail(format!("`replicas`: {invalid}")).hint(invalid.hint())
    })?;
    let edits = Edits {
        // What was worked out holds for this state only.
        base: Some(parsed(base)?.unwrap_or_else(|| seen(&desired))),
        put: Documents::of(vec![Object::Server(scaled)]),
        remove: Vec::new(),
        files: FollowedObjects::Keep,
        aim: Aim::Edit,
    };
    propose(&controller, edits, requester(caller, &headers, reason)?, run(dry_run)).await
}

async fn restart(
    State(plane): State<Plane>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: http::HeaderMap,
    Body(request): Body<RestartRequest>,
) -> Result<Json<Server>, Refused> {
    Query::read(query.as_deref(), &[])?;
    let id = id(&named)?;
    let desired = plane.controller.current();
    let server = declared(&desired, &id)?;
    let servers = plane.servers.as_ref().ok_or(ServerError::NotRunning)?;
    servers.restart(&id, requester(caller, &headers, request.reason)?).await?;
    Ok(Json(current(&plane, &desired, &server)))
}

async fn rollback(
    State(controller): State<Controller>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: http::HeaderMap,
    Body(request): Body<RollbackRequest>,
) -> Result<Json<Change>, Refused> {
    Query::read(query.as_deref(), &[])?;
    let RollbackRequest { to, base, dry_run, reason } = request;
    let id = id(&named)?;
    let key = key(&id)?;
    // What is worked out from here on holds for this state only.
    let base = parsed(base)?.unwrap_or_else(|| seen(&controller.current()));
    let to = match to {
        Some(to) => to,
        None => before_the_last_change(&controller, &key).await?,
    };
    let there = controller.revision(to).await?;
    if !there.resources.servers.iter().any(|server| server.id == id) {
        return Err(Refused::new(Kind::NotFound)
            .detail(format!("there was no server `{id}` in revision {to}"))
            .hint("`narrows server history` says when it was changed; `narrows server remove` removes it"));
    }
    let how = Restoring { object: Some(key), base: Some(base), take_over: false };
    let edits = restoring(&controller, to, how).await?;
    propose(&controller, edits, requester(caller, &headers, reason)?, run(dry_run)).await
}

/// The revision that was in force before a resource was changed last.
async fn before_the_last_change(controller: &Controller, key: &ObjectKey) -> Result<u64, Refused> {
    let mut before = None;
    let last = loop {
        let found = changes_of(controller, key, before, 1).await?;
        let Some(revision) = found.into_iter().next() else { break None };
        before = Some(revision.number);
        // Where only the file is another that it follows, it is what it was.
        if revision.objects.iter().any(|done| done.operation != Operation::Adopt) {
            break Some(revision.number.saturating_sub(1));
        }
    };
    let last = last.filter(|number| *number > 0);
    last.ok_or_else(|| {
        Refused::new(Kind::NotFound)
            .detail(format!("{key} has had only one form"))
            .hint("`narrows server history` says when it was changed")
    })
}

fn current(plane: &Plane, desired: &Desired, server: &Declared) -> Server {
    let status = plane.servers.as_ref().and_then(|servers| servers.status(&server.id));
    described(desired, server, status.as_ref())
}

fn described(desired: &Desired, server: &Declared, status: Option<&ServerStatus>) -> Server {
    let state = status.map(|status| &status.state);
    let surface = state.and_then(|state| state.surface.as_ref());
    let file = key(&server.id).ok().and_then(|key| desired.managers.file(&key).map(ToString::to_string));
    Server {
        namespace: server.id.namespace.to_string(),
        name: server.id.name.to_string(),
        state: state.map(|state| state.phase),
        reason: state.and_then(|state| state.reason.as_ref()).map(ToString::to_string),
        since: status.map(|status| record_time(status.since)),
        retry: state.and_then(|state| state.retry).map(record_time),
        replicas: server.replicas,
        restarts: status.map_or(0, |status| status.restarts),
        revision: state.map(|state| state.revision),
        serving: state.and_then(|state| state.serving),
        protocol: surface.map(|surface| surface.revision.clone()),
        server: surface.map(|surface| surface.server.clone()),
        tools: surface.map(|surface| surface.tools.clone()),
        file,
    }
}

fn declared(desired: &Desired, id: &ServerId) -> Result<Declared, Refused> {
    let found = desired.resources.servers.iter().find(|server| server.id == *id).cloned();
    found.ok_or_else(|| ServerError::NoServer(id.clone()).into())
}

fn seen(desired: &Desired) -> Base {
    Base { number: desired.revision.number, digest: Some(Arc::clone(&desired.revision.digest)) }
}

fn id((namespace, name): &(String, String)) -> Result<ServerId, Refused> {
    format!("{namespace}/{name}").parse().map_err(|error: narrows_core::ids::InvalidServerId| {
        Refused::new(Kind::BadRequest).detail(error.to_string())
    })
}

fn key(id: &ServerId) -> Result<ObjectKey, Refused> {
    ObjectKey::parse(ResourceKind::McpServer, &id.to_string())
        .map_err(|error| Refused::new(Kind::BadRequest).detail(error.to_string()))
}
