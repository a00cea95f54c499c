use std::fmt::Write as _;

use super::*;
use crate::{golden, policy::Snapshot, problem::Problem};

/// The example of the documentation: every kind, every field that is accepted.
const GOOD: &str = r#"
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: dev, labels: { team: platform } }
spec: { environment: dev, mode: observe, observeUntil: 2027-01-31 }
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: { namespace: dev, name: files, labels: { team: platform } }
spec:
  transport: stdio
  command: [npx, -y, "@modelcontextprotocol/server-filesystem@2026.8.31", /srv/docs]
  env:
    - { name: LOG_LEVEL, value: info }
  replicas: 1
  resources: { cpu: 500m, memory: 256Mi, processes: 32, openFiles: 256 }
  sessions: shared
  files: { read: [/srv/docs], write: [/srv/docs/drafts] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: { namespace: dev, name: vendor }
spec: { transport: http, url: "https://mcp.vendor.example/mcp" }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: { name: file-reader }
spec:
  rules:
    - { effect: allow, namespaces: [dev], servers: [files], tools: ["read_*", "list_*"], resources: ["*"] }
    - { effect: deny,  namespaces: [dev], servers: [files], tools: [read_file], when: 'args.path.contains("/secret/")' }
    - effect: allow
      namespaces: ["*"]
      servers: ["vend?r"]
      resourceTemplates: ["file:///{path}"]
      prompts: [greet]
      methods: ["tasks/*"]
---
apiVersion: narrows.dev/v1alpha1
kind: McpRoleBinding
metadata: { name: dev-readers }
spec: { role: file-reader, subjects: [{ group: dev }, { user: "alice@example.com", provider: corp }, { serviceAccount: ci }] }
---
apiVersion: narrows.dev/v1alpha1
kind: IdentityProvider
metadata: { name: corp }
spec:
  issuer: "https://login.example.com"
  audiences: ["https://mcp.example.com/mcp"]
  claims: { subject: sub, groups: groups }
  jwksUrl: https://login.example.com/keys
  algorithms: [ES256, RS256]
  maxTokenLifetime: 1h
  tokenType: at+jwt
  allowMultipleAudiences: true
  clientIds: [agent]
---
apiVersion: narrows.dev/v1alpha1
kind: GovernancePolicy
metadata: { name: pinned-images, labels: { team: platform } }
spec:
  namespaces: ["*"]
  environments: [prod, "prod-*"]
  elsewhere: warn
  kinds: [McpServer, GovernedNamespace, McpRole, McpServer]
  action: deny
  rules:
    - name: digest
      expression: '!has(object.spec.image) || object.spec.image.contains("@sha256:")'
      message: "pin the image by digest"
      field: spec.image
      expected: "name@sha256:…"
    - { name: other, expression: 'true', message: never }
---
apiVersion: narrows.dev/v1alpha1
kind: PolicyExemption
metadata: { name: moving }
spec:
  policy: pinned-images
  rules: [digest]
  namespaces: [dev]
  servers: ["fi*"]
  owner: alice@example.com
  reason: it moves
  expires: 2027-01-31T18:00:00+02:00
---
apiVersion: narrows.dev/v1alpha1
kind: PolicyExemption
metadata: { name: built-in }
spec: { policy: narrows-secrets, namespaces: ["*"], owner: bob, reason: so, expires: 2027-01-31 }
"#;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.into(), text: text.to_owned() }
}

fn parse(text: &str) -> Result<ResourceSet, Vec<Problem>> {
    parse_files(&[file("f.yaml", text)])
}

#[test]
fn every_field_is_read() {
    let set = parse(GOOD).unwrap();
    let json = serde_json::to_string_pretty(&set).unwrap();
    golden::compare("src/resource/good.json", &(json + "\n"));
}

#[test]
fn defaults_are_safe() {
    let set = parse(
        "
apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: a }
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: { namespace: a, name: s }
spec: { transport: stdio, command: [x] }
---
apiVersion: narrows.dev/v1alpha1
kind: IdentityProvider
metadata: { name: p }
spec: { issuer: 'https://i.example' }
",
    )
    .unwrap();
    assert_eq!(set.namespaces[0].mode, crate::decision::Mode::Enforce);
    let Transport::Stdio(stdio) = &set.servers[0].transport else { panic!("stdio") };
    assert_eq!(stdio.sessions, Sessions::Isolated);
    assert_eq!(stdio.limits, Limits::default());
    let provider = &set.providers[0];
    assert_eq!((provider.subject_claim.as_str(), provider.groups_claim.as_str()), ("sub", "groups"));
    assert_eq!(provider.algorithms, Algorithm::DEFAULT);
    assert_eq!(provider.max_lifetime_secs, 86_400);
    assert_eq!(provider.token_type, TokenType::Any);
    assert_eq!(provider.allow_multiple_audiences, MultipleAudiences::Refuse);
    assert!(provider.audiences.is_empty() && provider.required_client_ids.is_empty());
}

#[test]
fn json_is_read_as_yaml_is() {
    let json = r#"{"apiVersion":"narrows.dev/v1alpha1","kind":"GovernedNamespace","metadata":{"name":"dev"},"spec":{"mode":"enforce"}}"#;
    assert_eq!(parse(json).unwrap().namespaces[0].name.as_str(), "dev");
    assert_eq!(parse("").unwrap(), ResourceSet::default());
    assert_eq!(parse("# nothing\n---\n---\n").unwrap(), ResourceSet::default());
}

#[test]
fn canonical_json_is_stable_and_read_back() {
    let set = parse(GOOD).unwrap();
    let json = set.to_canonical_json().unwrap();
    assert_eq!(ResourceSet::from_json(&json).unwrap(), set);
    let mut shuffled = set.clone();
    shuffled.servers.reverse();
    assert_eq!(shuffled.to_canonical_json().unwrap(), json);
    assert_eq!(shuffled.digest().unwrap(), set.digest().unwrap());
    assert_eq!(set.digest().unwrap().len(), 16);
    let mut other = set.clone();
    other.roles[0].rules[0].effect = RuleEffect::Deny;
    assert_ne!(other.digest().unwrap(), set.digest().unwrap());
    assert!(ResourceSet::from_json(&json.replacen("\"labels\"", "\"lables\"", 1)).is_err());
    assert!(ResourceSet::from_json(r#"{"namespaces":[],"servers":[],"roles":[],"bindings":[]}"#).is_err());
    assert!(json.starts_with(r#"{"bindings":[{"name":"dev-readers","role":"#), "{json}");
}

/// A state of a version that knew no policies is still the one that was saved.
#[test]
fn a_set_without_policies_is_written_as_before() {
    let set = parse(AROUND).unwrap();
    let json = set.to_canonical_json().unwrap();
    assert!(!json.contains("policies") && !json.contains("exemptions"), "{json}");
    assert_eq!(ResourceSet::from_json(&json).unwrap().digest().unwrap(), set.digest().unwrap());
}

/// What people get back is what they may write, and means the same.
#[test]
fn a_manifest_is_read_as_the_same_resource() {
    let check = |text: &str| {
        let set = parse(text).unwrap();
        for object in set.objects() {
            let manifest = object.manifest().to_string();
            let alone = Documents::read(&[file("again", &manifest)]);
            let again: Vec<_> = alone.objects().into_iter().map(|(object, _)| object).collect();
            assert_eq!(again, [object], "{manifest}");
        }
        let all: Vec<_> = set.objects().iter().map(|object| object.manifest().to_string()).collect();
        assert_eq!(parse(&all.join("\n---\n")), Ok(set));
    };
    check(GOOD);
    let defaults = [
        namespace("{}").replace("name: ns", "name: dev"),
        server("  { transport: stdio, command: [a] }"),
        provider("{ issuer: https://a.example }"),
        policy("{ namespaces: [a], action: warn, rules: [{ name: r, expression: 'true', message: m }] }"),
    ];
    check(&defaults.join("\n---\n"));
    for resources in [
        "{ cpu: 2, memory: 4Mi }",
        "{ cpu: 1001m, memory: 4195328 }",
        "{ memory: 1.5Gi }",
        "{ memory: 4194305 }",
    ] {
        let one = server(&format!("  {{ transport: stdio, command: [a], resources: {resources} }}"));
        check(&[namespace("{}").replace("name: ns", "name: dev"), one].join("\n---\n"));
    }
    for lifetime in ["90s", "90m", "24h", "61s"] {
        check(&provider(&format!("{{ issuer: https://a.example, maxTokenLifetime: {lifetime} }}")));
    }
}

#[test]
fn documents_in_any_order_and_file_are_one_set() {
    let whole = parse(GOOD).unwrap();
    let mut documents: Vec<&str> = GOOD.split("---\n").collect();
    documents.reverse();
    let files: Vec<SourceFile> =
        documents.iter().enumerate().map(|(number, text)| file(&format!("{number}.yaml"), text)).collect();
    assert_eq!(parse_files(&files).unwrap(), whole);
}

#[test]
fn a_duplicate_names_both_places() {
    let namespace =
        "apiVersion: narrows.dev/v1alpha1\nkind: GovernedNamespace\nmetadata: { name: dev }\nspec: {}\n";
    let problems =
        parse_files(&[file("a.yaml", namespace), file("b.yaml", &format!("# other\n{namespace}"))])
            .unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "b.yaml:4:19: GovernedNamespace `dev` is there twice, first at a.yaml:3:19\n  hint: rename or remove one of them"
    );
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_stored_set_is_checked_when_compiled() {
    let mut set = parse(GOOD).unwrap();
    set.namespaces.clear();
    set.roles[0].rules[1].when = Some("nonsense(".into());
    let problems = Snapshot::compile(1, set.into()).unwrap_err();
    let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(
        said[4].starts_with("McpRole `file-reader`: `spec.rules[1].when`: not a CEL expression"),
        "{said:#?}"
    );
}

/// The schema in the repository is the one that is enforced.
#[test]
fn the_schema_is_committed() {
    let path = "../../schemas/narrows.dev_v1alpha1.json";
    let text = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("NARROWS_REWRITE").is_some() {
        golden::compare(path, &text);
    }
    // Compared as values: the order of members depends on features of serde_json.
    let committed = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let committed: serde_json::Value = serde_json::from_str(&committed).unwrap();
    assert!(committed == json_schema(), "run with NARROWS_REWRITE=1 and read what changed");
}

const HEAD: &str = "apiVersion: narrows.dev/v1alpha1\n";

/// A valid surrounding, so that each bad input is wrong in one way only.
const AROUND: &str = r#"apiVersion: narrows.dev/v1alpha1
kind: GovernedNamespace
metadata: { name: dev }
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: McpServer
metadata: { namespace: dev, name: files }
spec: { transport: stdio, command: [files] }
---
apiVersion: narrows.dev/v1alpha1
kind: McpRole
metadata: { name: reader }
spec: { rules: [{ effect: allow, namespaces: [dev], servers: [files], tools: ["*"] }] }
"#;

fn server(spec: &str) -> String {
    format!("{HEAD}kind: McpServer\nmetadata: {{ namespace: dev, name: s }}\nspec:\n{spec}\n")
}

fn rule(rule: &str) -> String {
    format!("{HEAD}kind: McpRole\nmetadata: {{ name: r }}\nspec:\n  rules:\n    - {rule}\n")
}

fn binding(spec: &str) -> String {
    format!("{HEAD}kind: McpRoleBinding\nmetadata: {{ name: b }}\nspec: {spec}\n")
}

fn provider(spec: &str) -> String {
    format!("{HEAD}kind: IdentityProvider\nmetadata: {{ name: corp }}\nspec: {spec}\n")
}

fn policy(spec: &str) -> String {
    format!("{HEAD}kind: GovernancePolicy\nmetadata: {{ name: p }}\nspec: {spec}\n")
}

/// A policy with one rule more than its name, expression and message.
fn policy_rule(rule: &str) -> String {
    policy(&format!(
        "\n  namespaces: [\"*\"]\n  action: deny\n  rules:\n    - {{ name: r, message: m, {rule} }}"
    ))
}

fn exemption(spec: &str) -> String {
    format!(
        "{HEAD}kind: PolicyExemption\nmetadata: {{ name: e }}\nspec: {{ owner: bob, reason: so, expires: 2027-01-31, {spec} }}\n"
    )
}

fn namespace(spec: &str) -> String {
    format!("{HEAD}kind: GovernedNamespace\nmetadata: {{ name: ns }}\nspec: {spec}\n")
}

fn bad_inputs() -> Vec<(&'static str, String)> {
    let good_rule = "effect: allow, namespaces: [dev], servers: [files]";
    vec![
        ("not YAML", "kind: [".to_owned()),
        ("a quote that is not closed", "kind: 'x".to_owned()),
        ("a repeated key", format!("{HEAD}kind: McpRole\nkind: McpRole\n")),
        ("an unknown tag", format!("{HEAD}kind: !secret McpRole\n")),
        ("a merge key", "a: &a { x: 1 }\nb: { <<: *a }\n".to_owned()),
        ("nested too deeply", format!("a: {}1{}", "[".repeat(40), "]".repeat(40))),
        ("no resource", "just text".to_owned()),
        ("a list", "- kind: McpRole".to_owned()),
        ("no kind", format!("{HEAD}metadata: {{ name: x }}\nspec: {{}}\n")),
        ("no apiVersion", "kind: GovernedNamespace\nmetadata: { name: x }\nspec: {}\n".to_owned()),
        (
            "another apiVersion",
            "apiVersion: narrows.dev/v1\nkind: GovernedNamespace\nmetadata: { name: x }\nspec: {}\n"
                .to_owned(),
        ),
        ("a mistyped kind", format!("{HEAD}kind: MCPServer\n")),
        ("an unknown kind", format!("{HEAD}kind: Deployment\n")),
        (
            "a kind of a later version",
            format!("{HEAD}kind: NotificationChannel\nmetadata: {{ name: p }}\nspec: {{}}\n"),
        ),
        ("no metadata and no spec", format!("{HEAD}kind: GovernedNamespace\n")),
        (
            "an unknown field of the document",
            format!("{HEAD}kind: GovernedNamespace\nmetadata: {{ name: x }}\nspecs: {{}}\n"),
        ),
        ("no name", format!("{HEAD}kind: McpRole\nmetadata: {{}}\nspec: {{ rules: [] }}\n")),
        ("a bad name", format!("{HEAD}kind: GovernedNamespace\nmetadata: {{ name: Dev_1 }}\nspec: {{}}\n")),
        (
            "a name that is a number",
            format!("{HEAD}kind: GovernedNamespace\nmetadata: {{ name: 123 }}\nspec: {{}}\n"),
        ),
        (
            "a label that is a number",
            format!(
                "{HEAD}kind: GovernedNamespace\nmetadata: {{ name: x, labels: {{ a: 1 }} }}\nspec: {{}}\n"
            ),
        ),
        (
            "a server with a bad namespace name",
            format!(
                "{HEAD}kind: McpServer\nmetadata: {{ namespace: a/b, name: s }}\nspec: {{ transport: stdio, command: [x] }}\n"
            ),
        ),
        (
            "a server without namespace",
            format!(
                "{HEAD}kind: McpServer\nmetadata: {{ name: s }}\nspec: {{ transport: stdio, command: [x] }}\n"
            ),
        ),
        (
            "a server in no namespace",
            format!(
                "{HEAD}kind: McpServer\nmetadata: {{ namespace: dve, name: s }}\nspec: {{ transport: stdio, command: [x] }}\n"
            ),
        ),
        ("an unknown mode", namespace("{ mode: audit }")),
        ("observeUntil with enforce", namespace("{ mode: enforce, observeUntil: 2027-01-01 }")),
        ("observeUntil that is no date", namespace("{ mode: observe, observeUntil: next week }")),
        ("observeUntil on a day that is not there", namespace("{ mode: observe, observeUntil: 2027-02-30 }")),
        ("no transport", server("  command: [x]")),
        ("an unknown transport", server("  transport: sse\n  url: https://x.example/sse")),
        ("stdio without command", server("  transport: stdio")),
        ("an empty command", server("  transport: stdio\n  command: []")),
        ("an empty program", server("  transport: stdio\n  command: [\"\"]")),
        ("a command that is a text", server("  transport: stdio\n  command: npx -y files")),
        ("an argument that is a number", server("  transport: stdio\n  command: [x, --port, 80]")),
        ("both command and url", server("  transport: stdio\n  command: [x]\n  url: https://x.example/mcp")),
        (
            "http with what is for stdio",
            server(
                "  transport: http\n  url: https://x.example/mcp\n  command: [x]\n  sessions: shared\n  env: [{ name: A, value: b }]\n  resources: { cpu: 1 }\n  files: {}",
            ),
        ),
        ("http without url", server("  transport: http")),
        ("a url with credentials", server("  transport: http\n  url: https://u:p@x.example/mcp")),
        ("a url with empty credentials", server("  transport: http\n  url: https://@x.example/mcp")),
        ("a url with a fragment", server("  transport: http\n  url: https://x.example/mcp#a")),
        ("a url of another scheme", server("  transport: http\n  url: file:///etc/passwd")),
        ("a relative url", server("  transport: http\n  url: /mcp")),
        ("a url with a backslash", server("  transport: http\n  url: 'https://x.example\\@y.example/'")),
        ("a url with a tab", server("  transport: http\n  url: \"https://x.exa\\tmple/\"")),
        ("an image", server("  transport: stdio\n  image: registry/x@sha256:00")),
        (
            "egress",
            server("  transport: stdio\n  command: [x]\n  egress: { allow: [\"api.example.com:443\"] }"),
        ),
        (
            "a secret",
            server(
                "  transport: stdio\n  command: [x]\n  env:\n    - { name: KEY, secretRef: { name: s, key: k } }",
            ),
        ),
        (
            "a bad variable",
            server(
                "  transport: stdio\n  command: [x]\n  env:\n    - { name: 1A, value: b }\n    - { name: \"A B\", value: b }\n    - { name: \"\", value: b }",
            ),
        ),
        (
            "a variable of the loader",
            server("  transport: stdio\n  command: [x]\n  env: [{ name: LD_PRELOAD, value: /x.so }]"),
        ),
        (
            "a variable set twice",
            server(
                "  transport: stdio\n  command: [x]\n  env: [{ name: A, value: b }, { name: A, value: c }]",
            ),
        ),
        (
            "a variable that is a number",
            server("  transport: stdio\n  command: [x]\n  env: [{ name: A, value: 1 }]"),
        ),
        ("a variable without value", server("  transport: stdio\n  command: [x]\n  env: [{ name: A }]")),
        ("more than one replica", server("  transport: stdio\n  command: [x]\n  replicas: 3")),
        (
            "too many replicas",
            server("  transport: stdio\n  command: [x]\n  sessions: shared\n  replicas: 65"),
        ),
        (
            "replicas of a remote server",
            server("  transport: http\n  url: https://mcp.example.com/\n  replicas: 2"),
        ),
        ("a negative number of replicas", server("  transport: stdio\n  command: [x]\n  replicas: -1")),
        (
            "bad quantities",
            server(
                "  transport: stdio\n  command: [x]\n  resources: { cpu: half, memory: 256, processes: 0, openFiles: 3 }",
            ),
        ),
        (
            "paths that are not absolute",
            server("  transport: stdio\n  command: [x]\n  files: { read: [docs, /a/../b], write: [~/x] }"),
        ),
        ("a mistyped field", server("  transport: stdio\n  comand: [x]")),
        ("an empty field", server("  transport: stdio\n  command: [x]\n  sessions:\n  env:")),
        ("no rules", format!("{HEAD}kind: McpRole\nmetadata: {{ name: r }}\nspec: {{ rules: [] }}\n")),
        (
            "actions",
            format!(
                "{HEAD}kind: McpRole\nmetadata: {{ name: r }}\nspec: {{ rules: [{{ {good_rule}, actions: [servers.deploy] }}] }}\n"
            ),
        ),
        ("a rule without effect", rule("{ namespaces: [dev], servers: [files], tools: [x] }")),
        ("an unknown effect", rule("{ effect: Allow, namespaces: [dev], servers: [files], tools: [x] }")),
        ("a rule that covers nothing", rule(&format!("{{ {good_rule} }}"))),
        ("a rule that covers nothing, said explicitly", rule(&format!("{{ {good_rule}, tools: [] }}"))),
        (
            "a rule without namespaces",
            rule("{ effect: allow, namespaces: [], servers: [files], tools: [x] }"),
        ),
        ("a mistyped category", rule(&format!("{{ {good_rule}, tool: [x] }}"))),
        ("a category that is a text", rule(&format!("{{ {good_rule}, tools: read_file }}"))),
        ("an empty pattern", rule(&format!("{{ {good_rule}, tools: [\"\"] }}"))),
        ("a double star", rule(&format!("{{ {good_rule}, resources: [\"file:///srv/**\"] }}"))),
        ("a pattern with a line break", rule(&format!("{{ {good_rule}, tools: [\"a\\nb\"] }}"))),
        (
            "a pattern that no server has",
            rule("{ effect: allow, namespaces: [dev], servers: [\"F*\"], tools: [x] }"),
        ),
        (
            "namespaces and servers in the patterns of other tools",
            rule("{ effect: deny, namespaces: [\"!dev\"], servers: [\"[a-z]*\", \"{a,b}\"], tools: [x] }"),
        ),
        (
            "names in the patterns of other tools",
            rule(
                "{ effect: deny, namespaces: [dev], servers: [files], tools: [\"[rw]*\", \"{a,b}\", \"!x\", \"a|b\", \"^a\", \"(a)\", 'a\\*', \"a,b\", \"a b\"], prompts: [\"!x\"], methods: [\"tasks/{get,list}\"] }",
            ),
        ),
        (
            "URIs in the patterns of other tools",
            rule(&format!(
                "{{ {good_rule}, resources: [\"!file:///a\", \"file:///a b\"], resourceTemplates: [\"!file:///{{p}}\", \" file:///{{p}}\"] }}"
            )),
        ),
        (
            "a namespace that is not there",
            rule("{ effect: allow, namespaces: [dve], servers: [files], tools: [x] }"),
        ),
        (
            "a server that is not there",
            rule("{ effect: allow, namespaces: [dev], servers: [file], tools: [x] }"),
        ),
        (
            "a server that is in no namespace of the pattern",
            rule("{ effect: allow, namespaces: [\"d*\"], servers: [vendor], tools: [x] }"),
        ),
        (
            "a condition that is no expression",
            rule(&format!("{{ {good_rule}, tools: [x], when: 'args.path ==' }}")),
        ),
        (
            "a condition over what is not there",
            rule(&format!(
                "{{ {good_rule}, tools: [x], when: 'arg.path == \"/\" && principal.subjct == \"a\"' }}"
            )),
        ),
        (
            "a condition that is a text",
            rule(&format!("{{ {good_rule}, tools: [x], when: 'principal.subject' }}")),
        ),
        (
            "a condition with a pattern of the request",
            rule(&format!("{{ {good_rule}, tools: [x], when: 'args.a.matches(args.b)' }}")),
        ),
        ("a condition that is a bool of YAML", rule(&format!("{{ {good_rule}, tools: [x], when: true }}"))),
        ("a role that is not there", binding("{ role: reeder, subjects: [{ user: a }] }")),
        ("no subjects", binding("{ role: reader, subjects: [] }")),
        ("a subject of two kinds", binding("{ role: reader, subjects: [{ user: a, group: b }] }")),
        ("a subject of no kind", binding("{ role: reader, subjects: [{}] }")),
        ("a subject that is a pattern", binding("{ role: reader, subjects: [{ user: \"*\" }] }")),
        (
            "a subject with white space",
            binding("{ role: reader, subjects: [{ group: \" dev\" }, { group: \"\" }] }"),
        ),
        (
            "a service account by its token's subject",
            binding("{ role: reader, subjects: [{ user: \"system:serviceaccount:ci\" }] }"),
        ),
        (
            "a subject of an unknown provider",
            binding("{ role: reader, subjects: [{ user: a, provider: crop }] }"),
        ),
        (
            "subjects that two providers could name",
            binding(
                "{ role: reader, subjects: [{ user: a }, { group: g }, { serviceAccount: ci }, { user: b, provider: corp }] }",
            ) + "---\n"
                + &provider("{ issuer: \"https://a.example\" }")
                + "---\n"
                + &provider("{ issuer: \"https://b.example\" }").replace("corp", "corp2"),
        ),
        (
            "a provider named builtin",
            provider("{ issuer: \"https://a.example\" }").replace("corp", "builtin"),
        ),
        (
            "two providers of one issuer",
            provider("{ issuer: \"https://a.example\" }")
                + "---\n"
                + &provider("{ issuer: \"https://a.example\" }").replace("corp", "corp2"),
        ),
        ("an issuer over http", provider("{ issuer: \"http://login.example.com\" }")),
        ("an issuer that is no URL", provider("{ issuer: login.example.com }")),
        ("an issuer with a query", provider("{ issuer: \"https://login.example.com/?a=b\" }")),
        (
            "keys over http",
            provider("{ issuer: \"http://127.0.0.1:8080\", jwksUrl: \"http://keys.example.com\" }"),
        ),
        ("a symmetric algorithm", provider("{ issuer: \"https://a.example\", algorithms: [HS256] }")),
        ("no algorithm", provider("{ issuer: \"https://a.example\", algorithms: [] }")),
        ("the algorithm none", provider("{ issuer: \"https://a.example\", algorithms: [none] }")),
        ("lifetimes", provider("{ issuer: \"https://a.example\", maxTokenLifetime: forever }")),
        (
            "a lifetime that is too long",
            provider("{ issuer: \"https://a.example\", maxTokenLifetime: 8760h }"),
        ),
        (
            "a choice that is a text",
            provider("{ issuer: \"https://a.example\", allowMultipleAudiences: \"yes\" }"),
        ),
        (
            "empty audiences and claims",
            provider("{ issuer: \"https://a.example\", audiences: [\"\"], claims: { subject: \"\" } }"),
        ),
        ("an empty policy", policy("{}")),
        ("a policy without rules", policy("{ namespaces: [], action: deny, rules: [] }")),
        ("an unknown action", policy_rule("expression: 'true'").replace("deny", "refuse")),
        (
            "a kind that there is none of",
            policy_rule("expression: 'true'").replace("action", "kinds: [McpSever]\n  action"),
        ),
        (
            "a kind in no namespace",
            policy_rule("expression: 'true'").replace("[\"*\"]", "[dev]\n  kinds: [McpRole, McpServer]"),
        ),
        (
            "a kind in no environment",
            policy_rule("expression: 'true'")
                .replace("action", "environments: [prod]\n  kinds: [McpRole]\n  action"),
        ),
        (
            "elsewhere than anywhere",
            policy_rule("expression: 'true'").replace("action", "elsewhere: warn\n  action"),
        ),
        (
            "rules of one name",
            policy(
                "{ namespaces: [dev], action: deny, rules: [{ name: r, expression: 'true', message: m }, { name: r, expression: 'true', message: m }] }",
            ),
        ),
        ("an expression that is none", policy_rule("expression: 'object.spec.x =='")),
        ("an expression that is empty", policy_rule("expression: ' '")),
        ("an expression of another kind", policy_rule("expression: 'size(object.spec)'")),
        ("a name that there is none of", policy_rule("expression: 'objekt.spec.x == 1'")),
        ("a variable of roles", policy_rule("expression: 'args.path == \"\"'")),
        (
            "a field of the request that there is none of",
            policy_rule("expression: 'request.verb == \"CREATE\"'"),
        ),
        ("what a server says", policy_rule("expression: 'size(server.tools) < 10'")),
        ("a field that is in no part", policy_rule("expression: 'true', field: status.x")),
        ("a field that is no path", policy_rule("expression: 'true', field: 'spec.command[a]'")),
        ("an empty message", policy_rule("expression: 'true', expected: ''")),
        ("an exemption of nothing", exemption("policy: nobody, namespaces: [dev]")),
        ("an exemption of a mistyped policy", exemption("policy: narrows-package, namespaces: [dev]")),
        (
            "an exemption of an unknown rule",
            exemption("policy: narrows-packages, rules: [npx, npm], namespaces: [dev]"),
        ),
        (
            "an exemption of an unknown rule of one's own policy",
            policy_rule("expression: 'true'")
                + "---\n"
                + &exemption("policy: p, rules: [r, s], namespaces: [dev]")
                + "---\n"
                + &policy_rule("expression: 'true'").replace("name: p", "name: a"),
        ),
        (
            "no second problem for what refers to a broken policy",
            policy_rule("expression: ''") + "---\n" + &exemption("policy: p, rules: [s], namespaces: [dev]"),
        ),
        ("an exemption without places", exemption("policy: narrows-packages, rules: [], servers: []")),
        (
            "an exemption for ever",
            exemption("policy: narrows-packages, namespaces: [dev]").replace("2027-01-31", "never"),
        ),
        (
            "an exemption of nobody",
            exemption("policy: narrows-packages, namespaces: [dev]").replace("bob", "' '"),
        ),
        (
            "several mistakes in several documents",
            server("  transport: stdoi\n  commnad: [x]") + "---\nkind: [\n",
        ),
        (
            "no second problem for what refers to a broken resource",
            server("  transport: stdoi")
                + "---\n"
                + &rule("{ effect: allow, namespaces: [dev], servers: [s], tools: [x] }"),
        ),
    ]
}

#[test]
fn problems_say_what_where_and_what_to_do() {
    let mut text = String::new();
    for (name, input) in bad_inputs() {
        let files = [file("around.yaml", AROUND), file("bad.yaml", &input)];
        let problems = parse_files(&files).err().unwrap_or_else(|| panic!("`{name}` was accepted"));
        write!(text, "# {name}\n{}\n", input.trim_end()).unwrap();
        for problem in problems {
            assert_eq!(&*problem.place.file, "bad.yaml", "{name}: {problem}");
            writeln!(text, "=> {problem}").unwrap();
        }
        text.push('\n');
    }
    golden::compare("src/resource/problems.txt", &text);
}

#[test]
fn hostile_files_are_refused_quickly() {
    let laughs = (0..40).fold(String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"), |text, level| {
        let alias = format!("*a{level}, ");
        format!("{text}a{}: &a{} [{}]\n", level + 1, level + 1, alias.repeat(10))
    });
    for (name, text) in [
        ("aliases of aliases", laughs),
        ("an alias of itself", "a: &a [*a]".to_owned()),
        ("nesting", "[".repeat(100_000)),
        ("nesting in blocks", (0..200).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n")),
        ("a long key", format!("{}: 1", "k".repeat(1_000_000))),
        ("a NUL", "a: \0".to_owned()),
        ("a control character", "a: \u{7}".to_owned()),
        ("another tag for a map", "!!python/object:os.system {a: b}".to_owned()),
    ] {
        let started = std::time::Instant::now();
        assert!(parse(&text).is_err(), "{name}");
        assert!(started.elapsed().as_secs() < 5, "{name} took {:?}", started.elapsed());
    }
}
