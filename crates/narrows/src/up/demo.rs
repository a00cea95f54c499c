//! The demo: a server, two people with different roles, and what to try. The resources are an ordinary file in the
//! data directory, written anew at each start and watched like any other.

use std::path::{Path, PathBuf};

use narrows_core::ids::ServerId;
use narrows_gateway::identity::Issuer;
use url::Url;

use crate::{
    data_dir::{self, DataDir},
    failure::Failure,
    keys,
};

/// May do everything but what the deny rule says.
const ALICE: &str = "alice@example.com";
/// May look.
const BOB: &str = "bob@example.com";
/// How long the printed tokens are good for.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(8 * 60 * 60);

/// The demo's server.
pub(super) fn server() -> Option<ServerId> {
    "dev/demo".parse().ok()
}

/// Writes the resources, and makes the scratch directory. Returns the file.
pub(super) fn write(data_dir: &DataDir, executable: &Path) -> Result<PathBuf, Failure> {
    let scratch = data_dir.root().join("scratch");
    data_dir::make_private(&scratch)?;
    let file = data_dir.root().join("demo.yaml");
    let sandbox = match narrows_local::capabilities().landlock {
        Some(_) => format!("files: {{ read: [{:?}], write: [{scratch:?}] }}", executable),
        None => "# files: this kernel has no Landlock, so it could not be enforced".to_owned(),
    };
    data_dir::write_private(&file, resources(executable, &scratch, &sandbox).as_bytes())?;
    Ok(file)
}

fn resources(executable: &Path, scratch: &Path, sandbox: &str) -> String {
    format!(
        r#"# Written by `narrows up --demo` at each start. Edit it while it runs: a change is in force within a second.
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: {{ name: dev }}
spec: {{ environment: dev, mode: enforce }}
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: {{ namespace: dev, name: demo, labels: {{ team: demo }} }}
spec:
  transport: stdio
  command: [{executable:?}, demo-server, --root, {scratch:?}]
  resources: {{ cpu: 1, memory: 512Mi }}
  sessions: shared
  {sandbox}
---
# Everything on the demo server, but nothing may change `protected` or what is below it. The demo server takes a path
# in one spelling only (no `./`, `..` or `//`), so that the conditions can't be got around by another.
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: {{ name: editor }}
spec:
  rules:
    - effect: allow
      namespaces: [dev]
      servers: [demo]
      tools: ["*"]
      resources: ["*"]
      resourceTemplates: ["*"]
      prompts: ["*"]
    - effect: deny
      namespaces: [dev]
      servers: [demo]
      tools: [write_file, append_file, delete_file, make_directory]
      when: 'args.path == "protected" || args.path.startsWith("protected/")'
    - effect: deny
      namespaces: [dev]
      servers: [demo]
      tools: [move_file]
      when: >-
        args.from == "protected" || args.from.startsWith("protected/") ||
        args.to == "protected" || args.to.startsWith("protected/")
---
# Looking only.
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: {{ name: reader }}
spec:
  rules:
    - effect: allow
      namespaces: [dev]
      servers: [demo]
      tools: [read_file, list_files, file_info, search_text, csv_summary, json_query, todo_list, clock]
      resources: ["demo://*"]
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: {{ name: editors }}
spec: {{ role: editor, subjects: [{{ user: {ALICE} }}] }}
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: {{ name: readers }}
spec: {{ role: reader, subjects: [{{ user: {BOB} }}] }}
"#
    )
}

/// What is printed once everything answers: the address, the tokens, and lines that work as they stand.
pub(super) fn greeting(
    data_dir: &DataDir,
    executable: &Path,
    issuer: &Issuer,
    public_url: &Url,
) -> Result<String, Failure> {
    let token = |subject: &str| -> Result<String, Failure> {
        let now = jiff::Timestamp::now();
        let id = narrows_core::audit::record_id(now, keys::random()?);
        let token =
            issuer.issue(subject, &[], LIFETIME, now, &id).map_err(|error| Failure::from_error(&error))?;
        Ok(token.expose().to_owned())
    };
    let (alice, bob) = (token(ALICE)?, token(BOB)?);
    let url = format!("{}mcp/dev/demo", public_url);
    let narrows = shell_word(executable);
    let data = shell_word(data_dir.root());
    let file = data_dir.root().join("demo.yaml");
    let configuration = serde_json::json!({
        "mcpServers": {
            "narrows-demo": { "type": "http", "url": url, "headers": { "Authorization": format!("Bearer {alice}") } }
        }
    });
    Ok(format!(
        "Narrows is up. Ctrl-C ends it.\n\
         \n\
         URL        {url}\n\
         resources  {file}\n\
         \n\
         The token of {ALICE}, who may use every tool but not change what is in protected/:\n\
         {alice}\n\
         \n\
         The token of {BOB}, who may only read:\n\
         {bob}\n\
         \n\
         Both are good for 8 hours. An agent's configuration, with the first:\n\
         {configuration:#}\n\
         \n\
         In another terminal, write a file as the first:\n\
         {write}\n\
         \n\
         and be refused as the second:\n\
         {refused}\n\
         \n\
         See with MCP Inspector (Node.js 22.19 or later) what the second may use:\n\
         npx -y @modelcontextprotocol/inspector@2.12.0 --cli {url} --transport http --method tools/list \
         --header 'Authorization: Bearer {bob}'\n\
         \n\
         See what was recorded, and check that nothing of it was changed:\n\
         {narrows} audit tail --data-dir {data}\n\
         {narrows} audit verify --data-dir {data}\n\
         \n\
         Ask why:\n\
         {narrows} explain --data-dir {data} --as {BOB} --server dev/demo --tool write_file\n",
        file = file.display(),
        write = call(&url, &alice, "hello.txt"),
        refused = call(&url, &bob, "hello.txt"),
    ))
}

/// A call of `write_file` as the revision 2026-07-28 has it, which needs no session.
fn call(url: &str, token: &str, path: &str) -> String {
    let body = serde_json::json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "write_file",
            "arguments": { "path": path, "text": "written through Narrows\n" },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": { "name": "curl", "version": "1" }
            }
        }
    });
    let headers = [
        format!("Authorization: Bearer {token}"),
        "Content-Type: application/json".to_owned(),
        "Accept: application/json, text/event-stream".to_owned(),
        "MCP-Protocol-Version: 2026-07-28".to_owned(),
        "Mcp-Method: tools/call".to_owned(),
        "Mcp-Name: write_file".to_owned(),
    ];
    let headers: String = headers.iter().map(|header| format!(" -H '{header}'")).collect();
    format!("curl -sS{headers} {url} -d '{body}'")
}

/// A path as one word of a shell's command line.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use narrows_core::{
        action::{Action, Arguments, RequestFacts},
        decision::Verdict,
        policy::{Query, Snapshot},
        principal::{BUILTIN_PROVIDER, Principal, PrincipalKind},
        resource::{SourceFile, parse_files},
    };

    use super::*;

    /// Another spelling of these paths is refused by the server itself.
    #[test]
    fn protected_is_not_changed() {
        let text = resources(Path::new("/n"), Path::new("/s"), "");
        let set = parse_files(&[SourceFile { name: "demo.yaml".into(), text }]).unwrap();
        let snapshot = Snapshot::compile(1, Arc::new(set)).unwrap();
        let alice = Principal {
            kind: PrincipalKind::User,
            provider: BUILTIN_PROVIDER.parse().unwrap(),
            issuer: BUILTIN_PROVIDER.into(),
            subject: ALICE.into(),
            agent: None,
            groups: Vec::new().into(),
        };
        let check = |tool: &str, arguments: &serde_json::Value, allowed: bool| {
            let arguments = arguments.to_string();
            let query = Query {
                principal: &alice,
                server: &server().unwrap(),
                action: Action::CallTool { name: tool, arguments: Arguments::Known(&arguments) },
                request: RequestFacts { method: "tools/call", ..RequestFacts::default() },
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            let verdict = snapshot.decide(&snapshot.grants(&alice), &query).verdict;
            assert_eq!(matches!(verdict, Verdict::Allow(_)), allowed, "{tool} {arguments}: {verdict:?}");
        };
        for (path, allowed) in [
            ("protected", false),
            ("protected/x", false),
            ("protected/a/b", false),
            ("protected2", true),
            ("x", true),
        ] {
            for tool in ["write_file", "append_file", "delete_file", "make_directory"] {
                check(tool, &serde_json::json!({ "path": path }), allowed);
            }
            check("move_file", &serde_json::json!({ "from": path, "to": "free" }), allowed);
            check("move_file", &serde_json::json!({ "from": "free", "to": path }), allowed);
            check("read_file", &serde_json::json!({ "path": path }), true);
        }
    }

    #[test]
    fn the_demo_is_valid_with_any_path() {
        for path in ["/opt/narrows", "/home/a b/\"quoted\"/ü"] {
            let text = resources(
                Path::new(path),
                Path::new(path),
                &format!("files: {{ read: [], write: [{path:?}] }}"),
            );
            let file = SourceFile { name: "demo.yaml".into(), text };
            let set = parse_files(&[file]).unwrap();
            assert_eq!((set.servers.len(), set.roles.len(), set.bindings.len()), (1, 2, 2));
        }
        assert_eq!(shell_word(Path::new("/a/b-c")), "/a/b-c");
        assert_eq!(shell_word(Path::new("/a b/c'd")), r"'/a b/c'\''d'");
    }
}
