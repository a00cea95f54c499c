//! `McpServer`.

use std::collections::BTreeSet;

use super::{Report, label};
use crate::{
    ids::{NamespaceName, ServerId, ServerName},
    resource::{
        EnvVar, FileAccess, HttpServer, InvalidReplicas as Replicas, Limits, Server, Sessions, StdioServer,
        Transport,
        quantity::{InvalidQuantity, cpu_millis, memory_bytes},
        written::{EnvSpec, FilesSpec, Quantity, ResourcesSpec, ServerMetadata, ServerSpec, TransportName},
    },
};

/// Variables that make the dynamic loader load something else.
const LOADER_VARIABLES: &[&str] = &["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"];

pub(super) fn server(metadata: ServerMetadata, spec: ServerSpec, report: &mut Report<'_>) -> Option<Server> {
    let namespace: Option<NamespaceName> = label("metadata.namespace", &metadata.namespace, report);
    let name: Option<ServerName> = label("metadata.name", &metadata.name, report);
    let replicas = spec.replicas.unwrap_or(1);
    let transport = match spec.transport {
        TransportName::Stdio => stdio(spec, report).map(Transport::Stdio),
        TransportName::Http => http(&spec, report).map(Transport::Http),
    };
    if let Some(transport) = &transport
        && let Err(invalid) = Replicas::check(replicas, transport)
    {
        report.field("spec.replicas", &format!(": {invalid}"), invalid.hint());
    }
    Some(Server {
        id: ServerId { namespace: namespace?, name: name? },
        labels: metadata.labels,
        transport: transport?,
        replicas,
    })
}

fn stdio(spec: ServerSpec, report: &mut Report<'_>) -> Option<StdioServer> {
    if spec.url.is_some() {
        report.field(
            "spec.url",
            " has no meaning with `transport: stdio`",
            "remove it, or write `transport: http` and remove `command`",
        );
    }
    let command = spec.command.unwrap_or_default();
    match command.first().map(|program| program.trim()) {
        None => {
            report.field("spec.command", " is empty", "name the program and its arguments: `[npx, -y, …]`")
        }
        Some("") => report.field("spec.command[0]", " is empty", "name a program"),
        Some(_) => {}
    }
    for (index, argument) in command.iter().enumerate() {
        if argument.contains('\0') {
            report.field(&format!("spec.command[{index}]"), " has a NUL character", "");
        }
    }
    let env = environment(spec.env, report);
    let limits = spec.resources.map(|resources| limits(&resources, report)).unwrap_or_default();
    let files = spec.files.map_or(FileAccess::Unrestricted, |files| files_of(files, report));
    let sessions = spec.sessions.unwrap_or(Sessions::Isolated);
    report.is_clean().then_some(StdioServer { command, env, limits, sessions, files })
}

fn http(spec: &ServerSpec, report: &mut Report<'_>) -> Option<HttpServer> {
    let only_stdio = [
        ("command", spec.command.is_some()),
        ("env", !spec.env.is_empty()),
        ("resources", spec.resources.is_some()),
        ("sessions", spec.sessions.is_some()),
        ("files", spec.files.is_some()),
    ];
    for (field, _) in only_stdio.into_iter().filter(|(_, is_there)| *is_there) {
        report.field(
            &format!("spec.{field}"),
            " has no meaning with `transport: http`",
            "remove it, or write `transport: stdio` to run a command",
        );
    }
    let Some(url) = &spec.url else {
        report.field("spec.url", " is missing", "write where the server is: `https://…/mcp`");
        return None;
    };
    match checked_url(url) {
        Ok(url) => Some(HttpServer { url: url.into() }),
        Err(reason) => {
            report.field(
                "spec.url",
                &format!(": {reason}"),
                "write an absolute URL such as `https://host/mcp`",
            );
            None
        }
    }
}

/// An absolute `http` or `https` URL that no reader can take for another one.
pub(super) fn checked_url(text: &str) -> Result<url::Url, &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("it has white space, a control character or a backslash");
    }
    let url = url::Url::parse(text).map_err(|_| "it is not an absolute URL")?;
    if url.scheme() != "http" && url.scheme() != "https" {
        return Err("it is neither `http` nor `https`");
    }
    if !url.has_host() || url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') && has_userinfo(text) {
        return Err("it has user information before the host; credentials don't belong into a URL");
    }
    if url.fragment().is_some() {
        return Err("it has a fragment, which is never sent");
    }
    Ok(url)
}

/// Also an empty user name, which the parser drops: `https://@host`.
fn has_userinfo(text: &str) -> bool {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn environment(written: Vec<EnvSpec>, report: &mut Report<'_>) -> Vec<EnvVar> {
    let mut names = BTreeSet::new();
    let mut variables = Vec::with_capacity(written.len());
    for (index, EnvSpec { name, value }) in written.into_iter().enumerate() {
        let path = format!("spec.env[{index}].name");
        let first = name.bytes().next();
        let is_name = first.is_some_and(|byte| !byte.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let hint = "use letters, digits and `_`, not beginning with a digit";
            report.field(&path, &format!(": `{name}` is not the name of a variable"), hint);
        } else if LOADER_VARIABLES.contains(&name.as_str()) {
            let hint = "it would make the system load other code into the server; remove it";
            report.field(&path, &format!(": `{name}` can't be set"), hint);
        } else if !names.insert(name.clone()) {
            report.field(&path, &format!(": `{name}` is set twice"), "remove one of them");
        }
        if value.contains('\0') {
            report.field(&format!("spec.env[{index}].value"), " has a NUL character", "");
        }
        variables.push(EnvVar { name, value });
    }
    variables
}

fn limits(resources: &ResourcesSpec, report: &mut Report<'_>) -> Limits {
    let cpu = resources.cpu.as_ref().map(text);
    let cpu_millis = cpu.and_then(|text| {
        cpu_millis(&text)
            .map_err(|error| wrong("spec.resources.cpu", &text, error, "`500m` or `2`", report))
            .ok()
    });
    let memory = resources.memory.as_ref().map(text);
    let memory_bytes = memory.and_then(|text| {
        memory_bytes(&text)
            .map_err(|error| wrong("spec.resources.memory", &text, error, "`256Mi` or `1Gi`", report))
            .ok()
    });
    Limits { cpu_millis, memory_bytes, processes: resources.processes, open_files: resources.open_files }
}

fn wrong(path: &str, text: &str, error: InvalidQuantity, example: &str, report: &mut Report<'_>) {
    report.field(path, &format!(": `{text}` {error}"), &format!("write for example {example}"));
}

fn text(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Integer(number) => number.to_string(),
        Quantity::Number(number) => number.to_string(),
        Quantity::Text(text) => text.clone(),
    }
}

fn files_of(files: FilesSpec, report: &mut Report<'_>) -> FileAccess {
    for (list, paths) in [("read", &files.read), ("write", &files.write)] {
        for (index, path) in paths.iter().enumerate() {
            let is_plain = path.starts_with('/')
                && !path.contains('\0')
                && !path.split('/').any(|part| part == ".." || part == ".");
            if !is_plain {
                report.field(
                    &format!("spec.files.{list}[{index}]"),
                    &format!(": `{path}` is not an absolute path without `.` and `..`"),
                    "",
                );
            }
        }
    }
    FileAccess::Only { read: files.read, write: files.write }
}
