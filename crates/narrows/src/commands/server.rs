//! `narrows server`: how servers fare, and what is done to them. What changes one is a change of resources, and then a wait
//! for what comes of it.

use std::{collections::BTreeSet, time::Duration};

use narrows_console::{
    Change, ChangeRequest, Document, Named, Resources, RestartRequest, Revision, Revisions, RollbackRequest,
    ScaleRequest, Server, Servers,
};
use narrows_core::{
    ids::ServerId,
    lifecycle::Phase,
    resource::{Documents, ResourceKind},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    api::Api,
    cli::{
        HowArgs, ServerDeployArgs, ServerHistoryArgs, ServerListArgs, ServerOnlyArgs, ServerRemoveArgs,
        ServerRestartArgs, ServerRollbackArgs, ServerScaleArgs, ServerUpdateArgs, WaitArgs,
    },
    commands::{change, differences},
    failure::Failure,
    output::{self, Table},
};

/// Between two looks at how a server fares.
const BETWEEN: Duration = Duration::from_millis(150);

/// `list`: how all of them fare.
pub(crate) async fn list(api: &Api, args: ServerListArgs) -> Result<(), Failure> {
    let namespace = args.namespace.map(|namespace| format!("?namespace={namespace}")).unwrap_or_default();
    let found: Servers = api.get(&format!("/servers{namespace}")).await?;
    if found.items.is_empty() {
        eprintln!("no servers");
    }
    if found.items.iter().any(|server| server.state.is_none()) {
        eprintln!("no `narrows up` runs on this data directory: nothing serves");
    }
    output::print(args.output, &found, |found| table(&found.items))
}

/// `status`: how one fares, whole.
pub(crate) async fn status(api: &Api, args: ServerOnlyArgs) -> Result<(), Failure> {
    let found = look(api, &args.server).await?;
    output::print(args.output, &found, details)
}

/// `deploy`: puts what is in the files in place, and waits until its servers serve.
pub(crate) async fn deploy(api: &Api, args: ServerDeployArgs) -> Result<(), Failure> {
    let files = change::read(&args.files)?;
    let named = Documents::read(&files);
    let documents = files.into_iter().map(change::document).collect();
    let request = ChangeRequest { documents, ..change::asked(&args.how) };
    let done: Change = api.post("/changes", &request).await?;
    // Also one that is already as the files have it: it need not serve.
    let objects = named.objects();
    let keys = objects.iter().map(|(object, _)| object.key());
    let servers = keys.filter(|key| key.kind == ResourceKind::McpServer);
    let servers = servers.filter_map(|key| key.full_name().parse().ok());
    change::print(&done, args.how.output, args.how.run())?;
    waited(api, servers.collect(), &args.how, &args.wait).await
}

/// `scale`: another number of processes.
pub(crate) async fn scale(api: &Api, args: ServerScaleArgs) -> Result<(), Failure> {
    let ServerScaleArgs { server, replicas, how, wait } = args;
    let HowArgs { dry_run, base, reason, .. } = &how;
    let base = base.as_ref().map(ToString::to_string);
    let request = ScaleRequest { replicas, base, dry_run: *dry_run, reason: reason.clone() };
    let done: Change = api.post(&format!("/servers/{server}/scale"), &request).await?;
    changed(api, &done, &how, &wait).await
}

/// `rollback`: as it was before, or in a revision.
pub(crate) async fn rollback(api: &Api, args: ServerRollbackArgs) -> Result<(), Failure> {
    let ServerRollbackArgs { server, to, how, wait } = args;
    let HowArgs { dry_run, base, reason, .. } = &how;
    let request = RollbackRequest {
        to: to.map(|to| to.number),
        base: base.as_ref().map(ToString::to_string),
        dry_run: *dry_run,
        reason: reason.clone(),
    };
    let done: Change = api.post(&format!("/servers/{server}/rollback"), &request).await?;
    changed(api, &done, &how, &wait).await
}

/// `update`: some of its fields otherwise.
pub(crate) async fn update(api: &Api, args: ServerUpdateArgs) -> Result<(), Failure> {
    let found: Resources = api.get(&format!("/resources?kind=McpServer&name={}", args.server)).await?;
    let Some(item) = found.items.into_iter().next() else {
        return Err(Failure::new(format!("there is no server `{}`", args.server))
            .hint("`narrows server list` says which there are"));
    };
    let manifest = edited(item.manifest, &args)?;
    let name = args.server.to_string();
    let documents = vec![Document { name, text: manifest.to_string() }];
    // What was worked out holds for this state only.
    let base = args.how.base.as_ref().map_or(found.revision, ToString::to_string);
    let request = ChangeRequest { documents, base: Some(base), ..change::asked(&args.how) };
    let done: Change = api.post("/changes", &request).await?;
    changed(api, &done, &args.how, &args.wait).await
}

/// `remove`: it is there no more.
pub(crate) async fn remove(api: &Api, args: ServerRemoveArgs) -> Result<(), Failure> {
    let name = args.server.to_string();
    let remove = vec![Named { kind: ResourceKind::McpServer.to_string(), name }];
    let request = ChangeRequest { remove, ..change::asked(&args.how) };
    let done: Change = api.post("/changes", &request).await?;
    change::print(&done, args.how.output, args.how.run())
}

/// `restart`: started anew, as it is.
pub(crate) async fn restart(api: &Api, args: ServerRestartArgs) -> Result<(), Failure> {
    let request = RestartRequest { reason: args.reason };
    let asked: Server = api.post(&format!("/servers/{}/restart", args.server), &request).await?;
    let now = match args.wait.no_wait {
        true => asked,
        false => settled(api, &args.server, &args.wait).await?,
    };
    let printed = output::print(args.output, &now, details);
    failed(&now).map_or(printed, Err)
}

/// `history`: its changes.
pub(crate) async fn history(api: &Api, args: ServerHistoryArgs) -> Result<(), Failure> {
    let before = args.before.as_ref().map(|before| format!("&before={}", before.number)).unwrap_or_default();
    let path = format!("/servers/{}/history?limit={}{before}", args.server, args.limit);
    let found: Revisions = api.get(&path).await?;
    output::print(args.output, &found, |found| changes(&found.items))?;
    if let Some(next) = found.next {
        eprintln!("there are older ones: `--before {next}`");
    }
    Ok(())
}

/// Prints what was changed, and waits for the servers among it.
async fn changed(api: &Api, done: &Change, how: &HowArgs, wait: &WaitArgs) -> Result<(), Failure> {
    change::print(done, how.output, how.run())?;
    let server = |named: &Named| (named.kind == "McpServer").then(|| named.name.parse::<ServerId>().ok())?;
    let there = done.changes.iter().filter(|change| change.after.is_some());
    waited(api, there.filter_map(|change| server(&change.object)).collect(), how, wait).await
}

/// Waits until each of these servers serves, or is known not to.
async fn waited(
    api: &Api,
    servers: BTreeSet<ServerId>,
    how: &HowArgs,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    if how.dry_run || wait.no_wait {
        return Ok(());
    }
    let mut first = None;
    for id in servers {
        let now = settled(api, &id, wait).await?;
        if now.state.is_none() {
            eprintln!("no `narrows up` runs on this data directory: `{id}` comes up with it");
        } else {
            eprintln!("{}", line(&now));
        }
        first = first.or_else(|| failed(&now));
    }
    first.map_or(Ok(()), Err)
}

/// How a server fares once what is wanted of it serves, or is known not to.
async fn settled(api: &Api, id: &ServerId, wait: &WaitArgs) -> Result<Server, Failure> {
    let deadline = Instant::now() + Duration::from_secs(wait.timeout);
    loop {
        let now = look(api, id).await?;
        match now.state {
            Some(Phase::Pending | Phase::Probing) if Instant::now() >= deadline => {
                return Err(Failure::new(format!(
                    "`{id}` did not come up within {} seconds: it is {}",
                    wait.timeout,
                    state(&now)
                ))
                .hint(format!(
                    "it is still being tried; `narrows server logs {id}` has what it wrote, if it is run here"
                )));
            }
            Some(Phase::Pending | Phase::Probing) => tokio::time::sleep(BETWEEN).await,
            None | Some(Phase::Running | Phase::Degraded | Phase::Failed | Phase::Held | Phase::Stopped) => {
                return Ok(now);
            }
        }
    }
}

async fn look(api: &Api, id: &ServerId) -> Result<Server, Failure> {
    api.get(&format!("/servers/{id}")).await
}

/// That it does not serve as it should; none if it does.
fn failed(server: &Server) -> Option<Failure> {
    let name = format!("{}/{}", server.namespace, server.name);
    let reason = server.reason.as_deref().unwrap_or("no reason is known");
    match server.state? {
        Phase::Failed => {
            let failure = Failure::new(format!("`{name}` did not come up: {reason}"));
            Some(match server.serving {
                Some(serving) => failure.hint(format!(
                    "what it was in revision {serving} goes on serving; `narrows server logs {name}` has what the new \
                     one wrote, `narrows server rollback {name}` takes the change back"
                )),
                None => failure.hint(format!("`narrows server logs {name}` has what it wrote, if it is run here")),
            })
        }
        Phase::Degraded => {
            let failure = Failure::new(format!("something is wrong with `{name}`: {reason}"));
            Some(failure.hint(format!("`narrows server logs {name}` has what it wrote, if it is run here")))
        }
        Phase::Held => Some(Failure::new(format!("`{name}` is held: {reason}"))),
        Phase::Pending | Phase::Probing | Phase::Running | Phase::Stopped => None,
    }
}

/// The manifest with what was asked for.
fn edited(mut manifest: Value, args: &ServerUpdateArgs) -> Result<Value, Failure> {
    let spec = member(&mut manifest, "spec")?;
    if !args.command.is_empty() {
        spec.insert("command".to_owned(), json!(args.command));
    }
    if let Some(url) = &args.url {
        spec.insert("url".to_owned(), json!(url.as_str()));
    }
    let mut env: Vec<Value> = spec.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = |variable: &Value, name: &str| variable.get("name").and_then(Value::as_str) == Some(name);
    for name in &args.unset_env {
        if !env.iter().any(|variable| named(variable, name)) {
            return Err(Failure::new(format!("`{}` has no variable `{name}`", args.server))
                .hint("`narrows get server NS/NAME --output yaml` shows those that it has"));
        }
        env.retain(|variable| !named(variable, name));
    }
    for text in &args.env {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::new(format!("`{text}` has no `=`")).hint("write NAME=VALUE"));
        };
        env.retain(|variable| !named(variable, name));
        env.push(json!({ "name": name, "value": value }));
    }
    if !args.env.is_empty() || !args.unset_env.is_empty() {
        spec.insert("env".to_owned(), Value::Array(env));
    }
    Ok(manifest)
}

fn member<'a>(manifest: &'a mut Value, name: &str) -> Result<&'a mut Map<String, Value>, Failure> {
    let found = manifest.get_mut(name).and_then(Value::as_object_mut);
    found.ok_or_else(|| Failure::new(format!("the server's manifest has no `{name}`")))
}

fn state(server: &Server) -> String {
    server.state.map_or_else(|| "-".to_owned(), |state| state.to_string())
}

/// One server, in a line.
fn line(server: &Server) -> String {
    let Server { namespace, name, tools, .. } = server;
    let tools = tools.as_ref().map(|tools| format!(", {} tools", tools.len())).unwrap_or_default();
    output::printable(&format!("`{namespace}/{name}` is {}{tools}", state(server)))
}

fn table(servers: &[Server]) -> String {
    let mut table =
        Table::new(&["SERVER", "STATE", "REPLICAS", "REVISION", "SERVING", "TOOLS", "SINCE", "REASON"]);
    let said = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for server in servers {
        table.row(vec![
            format!("{}/{}", server.namespace, server.name),
            state(server),
            server.replicas.to_string(),
            said(server.revision.map(|revision| revision.to_string())),
            said(server.serving.map(|serving| serving.to_string())),
            said(server.tools.as_ref().map(|tools| tools.len().to_string())),
            said(server.since.clone()),
            said(server.reason.clone()),
        ]);
    }
    if servers.is_empty() { String::new() } else { table.render() }
}

fn details(server: &Server) -> String {
    let mut table = Table::default();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row(vec![name.to_owned(), value]);
        }
    };
    row("server", Some(format!("{}/{}", server.namespace, server.name)));
    row("state", Some(state(server)));
    row("reason", server.reason.clone());
    row("since", server.since.clone());
    row("next try", server.retry.clone());
    row("replicas", Some(server.replicas.to_string()));
    row("restarts", Some(server.restarts.to_string()));
    row("wanted since revision", server.revision.map(|revision| revision.to_string()));
    row("serving since revision", server.serving.map(|serving| serving.to_string()));
    row("calls itself", server.server.clone());
    row("protocol", server.protocol.clone());
    row("tools", server.tools.as_ref().map(|tools| tools.join(" ")));
    row("follows", server.file.clone());
    table.render_rows()
}

fn changes(revisions: &[Revision]) -> String {
    let mut table = Table::new(&["REVISION", "TIME", "ACTOR", "FROM", "CHANGE", "REASON"]);
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for revision in revisions {
        let done = revision.objects.first().map_or("-", |done| differences::done(done.operation));
        table.row(vec![
            revision.revision.clone(),
            revision.time.clone(),
            said(&revision.actor),
            said(&revision.origin),
            done.to_owned(),
            said(&revision.reason),
        ]);
    }
    table.render()
}
