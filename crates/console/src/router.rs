//! The routes. Each is one question to the control plane.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRef, Path, RawQuery, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use narrows_control::{ControlError, Controller, Origin, Requester, Run, lifecycle::Servers};
use narrows_core::{
    change::{Aim, Base, Desired, Edits, FollowedObjects, InvalidBase, Proposal, Refusal, between},
    resource::{Documents, Object, ObjectKey, ResourceKind, SourceFile},
};

use crate::{
    Change, ChangeRequest, Difference, Named, ObjectDifference, Resource, Resources, RestoreRequest,
    Revision, Revisions, Violation,
    answer::Json,
    body::{Body, Query, number},
    problem::{Kind, Refused},
    servers,
};

/// Revisions in one answer, unless fewer are asked for.
const PAGE: u64 = 100;
/// Longest reason, in bytes.
const LONGEST_REASON: usize = 1024;

/// Who asks, as whoever serves the router has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `user`, `serviceAccount` or `operator`.
    pub kind: &'static str,
    /// The token's issuer; empty where there is no token.
    pub issuer: Arc<str>,
    /// The subject.
    pub subject: Arc<str>,
    /// The groups that count.
    pub groups: Arc<[Arc<str>]>,
    /// The peer's address; empty where it has none.
    pub ip: String,
}

/// What the API asks.
#[derive(Clone)]
pub struct Plane {
    /// Of changes and revisions.
    pub controller: Controller,
    /// Of how servers fare; none where nothing runs.
    pub servers: Option<Servers>,
}

impl FromRef<Plane> for Controller {
    fn from_ref(plane: &Plane) -> Self {
        plane.controller.clone()
    }
}

/// All of `/api/v1`.
pub fn router(plane: Plane) -> Router {
    let routes = Router::new()
        .merge(servers::routes())
        .route("/resources", get(resources))
        .route("/changes", post(change))
        .route("/revisions", get(revisions))
        .route("/revisions/{number}", get(revision))
        .route("/revisions/{number}/diff", get(difference))
        .route("/revisions/{number}/restore", post(restore));
    Router::new()
        .nest("/api/v1", routes)
        .fallback(async || {
            Refused::new(Kind::NotFound).detail("no such address").hint("everything is below `/api/v1`")
        })
        .method_not_allowed_fallback(async || Refused::new(Kind::MethodNotAllowed))
        .layer(middleware::from_fn(known_callers))
        // The body's size is bounded where it is read.
        .layer(DefaultBodyLimit::disable())
        .with_state(plane)
}

/// Nothing is answered to nobody.
async fn known_callers(request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(_) => next.run(request).await,
        None => Refused::new(Kind::Unauthenticated).into_response(),
    }
}

async fn resources(
    State(controller): State<Controller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Resources>, Refused> {
    let query = Query::read(query.as_deref(), &["kind", "namespace", "name"])?;
    let kind = query.text("kind").map(kind).transpose()?;
    let wanted = |key: &ObjectKey| {
        kind.is_none_or(|kind| key.kind == kind)
            && query.text("namespace").is_none_or(|namespace| key.namespace() == namespace)
            && query.text("name").is_none_or(|name| key.full_name() == name)
    };
    Ok(Json(listed(&controller.current(), wanted)))
}

async fn change(
    State(controller): State<Controller>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: http::HeaderMap,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<Change>, Refused> {
    // What is asked is in the body; a `?dryRun=true` that is passed over would be a change.
    Query::read(query.as_deref(), &[])?;
    let ChangeRequest { documents, remove, base, dry_run, take_over, reason } = request;
    let files: Vec<SourceFile> = documents
        .into_iter()
        .map(|document| SourceFile { name: document.name.into(), text: document.text })
        .collect();
    // Reading very many takes seconds, on a thread that nobody else waits for.
    let read = tokio::task::spawn_blocking(move || Documents::read(&files)).await;
    let put = read.map_err(|_| Refused::from(ControlError::System("thread")))?;
    if put.is_empty() && remove.is_empty() {
        return Err(Refused::new(Kind::BadRequest)
            .detail("there is nothing to change: no resource in `documents`, and `remove` is empty")
            .hint("give at least one resource"));
    }
    let remove = remove.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let files = taken(take_over);
    let edits = Edits { base: parsed(base)?, put, remove, files, aim: Aim::Edit };
    propose(&controller, edits, requester(caller, &headers, reason)?, run(dry_run)).await
}

async fn restore(
    State(controller): State<Controller>,
    Extension(caller): Extension<Caller>,
    Path(revision): Path<String>,
    RawQuery(query): RawQuery,
    headers: http::HeaderMap,
    Body(request): Body<RestoreRequest>,
) -> Result<Json<Change>, Refused> {
    Query::read(query.as_deref(), &[])?;
    let RestoreRequest { object, base, dry_run, take_over, reason } = request;
    let object = object.as_ref().map(key).transpose()?;
    let how = Restoring { object, base: parsed(base)?, take_over };
    let edits = restoring(&controller, number("revision", &revision)?, how).await?;
    propose(&controller, edits, requester(caller, &headers, reason)?, run(dry_run)).await
}

/// What is to be as it was.
pub(crate) struct Restoring {
    /// This resource only.
    pub(crate) object: Option<ObjectKey>,
    /// The revision that it was made for.
    pub(crate) base: Option<Base>,
    /// Whether what followed a file may come back without it.
    pub(crate) take_over: bool,
}

/// The edits that bring a revision back.
pub(crate) async fn restoring(
    controller: &Controller,
    revision: u64,
    how: Restoring,
) -> Result<Edits, Refused> {
    let Restoring { object, base, take_over } = how;
    let then = controller.revision(revision).await?;
    let now = controller.current();
    let back = between(&now.resources, &then.resources);
    let back = back.into_iter().filter(|change| object.as_ref().is_none_or(|only| change.key == *only));
    let (mut put, mut remove, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    for change in back {
        if let (None, Some(file)) = (&change.before, then.managers.file(&change.key)) {
            followed.push((change.key.clone(), Arc::clone(file)));
        }
        match change.after {
            Some(object) => put.push(object),
            None => remove.push(change.key),
        }
    }
    if !followed.is_empty() && !take_over {
        return Err(followed_then(&followed, then.revision.number));
    }
    if let Some(key) = &object
        && !holds(&now, key)
        && !holds(&then, key)
    {
        return Err(Refused::new(Kind::NotFound)
            .detail(format!("{key} is neither in revision {} nor in force", then.revision.number)));
    }
    // What was worked out holds for this state only.
    let seen = Base { number: now.revision.number, digest: Some(Arc::clone(&now.revision.digest)) };
    let base = Some(base.unwrap_or(seen));
    let files = taken(take_over);
    Ok(Edits { base, put: Documents::of(put), remove, files, aim: Aim::RollBack })
}

pub(crate) async fn propose(
    controller: &Controller,
    edits: Edits,
    requester: Requester,
    run: Run,
) -> Result<Json<Change>, Refused> {
    match controller.propose(Proposal::Edits(edits), requester, run).await {
        Ok(done) => Ok(Json(Change {
            applied: run == Run::Real && !done.changes.is_empty(),
            base: done.base.to_string(),
            revision: done.revision.to_string(),
            changes: done.changes.iter().map(ObjectDifference::from).collect(),
            warnings: done.warnings.iter().map(Violation::from).collect(),
        })),
        Err(ControlError::Refused(Refusal::Stale { base, current })) => {
            let number = base.number;
            let mut problem = Refused::from(ControlError::Refused(Refusal::Stale { base, current }));
            // What was changed since; a revision that never was has no difference.
            if let Ok(then) = controller.revision(number).await {
                let changes = between(&then.resources, &controller.current().resources);
                problem.0.changes = changes.iter().map(ObjectDifference::from).collect();
            }
            Err(problem)
        }
        Err(error) => Err(error.into()),
    }
}

async fn revisions(
    State(controller): State<Controller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Revisions>, Refused> {
    let query = Query::read(query.as_deref(), &["before", "limit"])?;
    let limit = query.number("limit")?.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Refused::new(Kind::BadRequest).detail(format!("`limit` is not between 1 and {PAGE}")));
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let mut found = controller.revisions(query.number("before")?, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|entry| entry.number).filter(|_| more);
    Ok(Json(Revisions { items: found.into_iter().map(Revision::from).collect(), next }))
}

async fn revision(
    State(controller): State<Controller>,
    Path(revision): Path<String>,
) -> Result<Json<Resources>, Refused> {
    let desired = controller.revision(number("revision", &revision)?).await?;
    Ok(Json(listed(&desired, |_| true)))
}

async fn difference(
    State(controller): State<Controller>,
    Path(revision): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Difference>, Refused> {
    let query = Query::read(query.as_deref(), &["to"])?;
    let from = controller.revision(number("revision", &revision)?).await?;
    let to = match query.number("to")? {
        Some(number) => Arc::new(controller.revision(number).await?),
        None => controller.current(),
    };
    let changes = between(&from.resources, &to.resources);
    Ok(Json(Difference {
        from: from.revision.to_string(),
        to: to.revision.to_string(),
        changes: changes.iter().map(ObjectDifference::from).collect(),
    }))
}

fn listed(desired: &Desired, wanted: impl Fn(&ObjectKey) -> bool) -> Resources {
    let objects = desired.resources.objects().into_iter().filter(|object| wanted(&object.key()));
    let item = |object: Object| Resource {
        manifest: object.manifest(),
        file: desired.managers.file(&object.key()).map(ToString::to_string),
    };
    Resources { revision: desired.revision.to_string(), items: objects.map(item).collect() }
}

pub(crate) fn run(dry_run: bool) -> Run {
    if dry_run { Run::Dry } else { Run::Real }
}

pub(crate) fn parsed(base: Option<String>) -> Result<Option<Base>, Refused> {
    base.map(|base| base.parse())
        .transpose()
        .map_err(|error: InvalidBase| Refused::new(Kind::BadRequest).detail(format!("`base`: {error}")))
}

/// Resources that are not there now, and would be in the way of the file that they followed.
fn followed_then(followed: &[(ObjectKey, Arc<str>)], number: u64) -> Refused {
    let names: Vec<_> = followed.iter().map(|(key, file)| format!("{key} followed `{file}`")).collect();
    Refused::new(Kind::Followed)
        .detail(format!("in revision {number} {}", names.join(", ")))
        .hint("put it into the file again; or let it come back without, with `takeOver` (`--take-over`)")
        .objects(followed.iter().map(|(key, _)| key))
}

fn taken(take_over: bool) -> FollowedObjects {
    if take_over { FollowedObjects::TakeOver } else { FollowedObjects::Keep }
}

fn holds(desired: &Desired, key: &ObjectKey) -> bool {
    desired.resources.objects().iter().any(|object| object.key() == *key)
}

fn kind(name: &str) -> Result<ResourceKind, Refused> {
    ResourceKind::from_name(name).ok_or_else(|| {
        let known = ResourceKind::ALL.map(ResourceKind::as_str).join("`, `");
        Refused::new(Kind::BadRequest)
            .detail(format!("`{name}` is not a kind of resource"))
            .hint(format!("there are `{known}`"))
    })
}

fn key(named: &Named) -> Result<ObjectKey, Refused> {
    ObjectKey::parse(kind(&named.kind)?, &named.name)
        .map_err(|error| Refused::new(Kind::BadRequest).detail(error.to_string()))
}

pub(crate) fn requester(
    caller: Caller,
    headers: &http::HeaderMap,
    reason: Option<String>,
) -> Result<Requester, Refused> {
    if reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(Refused::new(Kind::BadRequest)
            .detail(format!("`reason` has more than {LONGEST_REASON} bytes"))
            .hint("keep it short, and say where more is written"));
    }
    // Nothing said is no reason.
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let agent =
        headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let agent: String = agent.chars().take(256).collect();
    let Caller { kind, issuer, subject, groups, ip } = caller;
    Ok(Requester { kind, issuer, subject, groups, source: Some((ip, agent)), origin: Origin::Api, reason })
}
