//! The forms that people write, and their JSON Schema. Every field that is accepted is enforced; one that can't be
//! enforced yet has no place here and is refused by name.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{API_VERSION, Algorithm, PolicyAction, ResourceKind, RuleEffect, Sessions, TokenType};
use crate::decision::Mode;

/// The resource's name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metadata {
    /// 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit.
    pub(super) name: String,
    /// Labels, for people and selectors.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// The server's namespace and name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServerMetadata {
    /// The GovernedNamespace that it belongs to.
    pub(super) namespace: String,
    /// 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit.
    pub(super) name: String,
    /// Labels, for people and selectors.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// A namespace that servers are governed in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NamespaceSpec {
    /// What it is for, such as `dev` or `prod`. Policies go by it: those that are built in refuse in `prod` and
    /// `production`, and warn elsewhere.
    pub(super) environment: Option<String>,
    /// `enforce`, the default: a refusal refuses. `observe`: a refusal by roles is recorded and let through.
    pub(super) mode: Option<Mode>,
    /// With `observe`: the date (UTC) or RFC 3339 time from which refusals are enforced.
    pub(super) observe_until: Option<String>,
}

/// An MCP server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServerSpec {
    /// How it is reached.
    pub(super) transport: TransportName,
    /// With `stdio`: program and arguments, one list element each. No shell is involved.
    pub(super) command: Option<Vec<String>>,
    /// With `http`: the endpoint that speaks Streamable HTTP.
    pub(super) url: Option<String>,
    /// With `stdio`: the process's environment. Nothing else is passed on.
    #[serde(default)]
    pub(super) env: Vec<EnvSpec>,
    /// How many processes share the sessions, 1 by default; more with `sessions: shared` only. 0: the server is stopped.
    pub(super) replicas: Option<u32>,
    /// With `stdio`: bounds on what it may use.
    pub(super) resources: Option<ResourcesSpec>,
    /// With `stdio`: `isolated`, the default, is a process for each session; `shared` is one for all.
    pub(super) sessions: Option<Sessions>,
    /// With `stdio`: the files that it may touch, besides the system's libraries and programs and its own working
    /// directory. Without it: whatever the account that runs it may touch.
    pub(super) files: Option<FilesSpec>,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportName {
    /// A command that is run here.
    Stdio,
    /// A remote endpoint.
    Http,
}

/// An environment variable.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EnvSpec {
    /// Letters, digits and `_`, not beginning with a digit.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// Bounds on a process and its children.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResourcesSpec {
    /// Processors, as a Kubernetes quantity: `500m`, `2`.
    pub(super) cpu: Option<Quantity>,
    /// Memory, as a Kubernetes quantity: `256Mi`, `1Gi`.
    pub(super) memory: Option<Quantity>,
    /// Processes and threads.
    #[schemars(range(min = 1))]
    pub(super) processes: Option<u32>,
    /// Open files of one process.
    #[schemars(range(min = 16))]
    pub(super) open_files: Option<u32>,
}

/// A Kubernetes quantity: a number, or a text of a number and a unit.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Quantity {
    Integer(i64),
    Number(f64),
    Text(String),
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A Kubernetes quantity: a number, or a text of a number and a unit.",
            "type": ["number", "string"],
        })
    }
}

/// Absolute paths of files and directories, the latter with everything beneath.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FilesSpec {
    /// May be read and executed.
    #[serde(default)]
    pub(super) read: Vec<String>,
    /// May be read, executed, written, created and removed.
    #[serde(default)]
    pub(super) write: Vec<String>,
}

/// What may be done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RoleSpec {
    /// A deny rule wins over any allow rule; what no rule allows is denied.
    #[schemars(length(min = 1))]
    pub(super) rules: Vec<RuleSpec>,
}

/// One rule. In all patterns `*` stands for any run of characters and `?` for one; everything else, and upper and
/// lower case, counts as written. A category that is not named is not covered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RuleSpec {
    /// `allow` or `deny`.
    pub(super) effect: RuleEffect,
    /// Patterns of namespaces.
    #[schemars(length(min = 1))]
    pub(super) namespaces: Vec<String>,
    /// Patterns of servers in these namespaces.
    #[schemars(length(min = 1))]
    pub(super) servers: Vec<String>,
    /// Patterns of tools' names.
    #[serde(default)]
    pub(super) tools: Vec<String>,
    /// Patterns of resources' URIs.
    #[serde(default)]
    pub(super) resources: Vec<String>,
    /// Patterns of resource templates, as the server writes them.
    #[serde(default)]
    pub(super) resource_templates: Vec<String>,
    /// Patterns of prompts' names.
    #[serde(default)]
    pub(super) prompts: Vec<String>,
    /// Patterns of other methods, for example `tasks/get` or `sampling/createMessage`.
    #[serde(default)]
    pub(super) methods: Vec<String>,
    /// A CEL expression over `principal`, `request` and `args` that must be true besides. One that fails counts
    /// against the request.
    pub(super) when: Option<String>,
}

/// Who has a role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BindingSpec {
    /// The McpRole.
    pub(super) role: String,
    /// Who has it.
    #[schemars(length(min = 1))]
    pub(super) subjects: Vec<SubjectSpec>,
}

/// Exactly one of `user`, `group` and `serviceAccount`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SubjectSpec {
    /// A person's subject, as the provider gives it.
    pub(super) user: Option<String>,
    /// A group, as the provider gives it.
    pub(super) group: Option<String>,
    /// A service account of Narrows itself, without `system:serviceaccount:`.
    pub(super) service_account: Option<String>,
    /// The IdentityProvider that must vouch, or `builtin`. Needed for users and groups where more than one
    /// IdentityProvider is configured.
    pub(super) provider: Option<String>,
}

/// An OpenID Connect issuer whose tokens are accepted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProviderSpec {
    /// The exact `iss` of its tokens: an `https` URL.
    pub(super) issuer: String,
    /// Values of `aud` that are meant for this gateway, besides an endpoint's own URI.
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    /// Which claims say who it is.
    pub(super) claims: Option<ClaimsSpec>,
    /// Where its keys are. By default as its discovery document says.
    pub(super) jwks_url: Option<String>,
    /// Accepted signature algorithms; RS256, PS256, ES256 and EdDSA by default.
    pub(super) algorithms: Option<Vec<Algorithm>>,
    /// Longest accepted lifetime of a token, for example `1h` or `30m`; `24h` by default.
    pub(super) max_token_lifetime: Option<String>,
    /// `at+jwt` accepts only tokens of that `typ` (RFC 9068); `any` is the default.
    pub(super) token_type: Option<TokenType>,
    /// Whether a token may be meant for others besides this gateway; false by default.
    #[serde(default)]
    pub(super) allow_multiple_audiences: bool,
    /// Clients (`client_id` or `azp`) whose tokens are accepted; those of any client by default.
    #[serde(default)]
    pub(super) client_ids: Vec<String>,
}

/// Names of claims.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClaimsSpec {
    /// The claim that names the subject; `sub` by default.
    pub(super) subject: Option<String>,
    /// The claim that lists the groups; `groups` by default.
    pub(super) groups: Option<String>,
}

/// What resources must be like to be put in place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PolicySpec {
    /// Patterns of the namespaces whose resources it is for. A GovernedNamespace counts as in itself; what is in no
    /// namespace is covered by `*` alone.
    #[schemars(length(min = 1))]
    pub(super) namespaces: Vec<String>,
    /// Patterns of the namespaces' `environment`; any by default.
    #[schemars(length(min = 1))]
    pub(super) environments: Option<Vec<String>>,
    /// With `environments`: what happens in namespaces of others. By default it is not for them.
    pub(super) elsewhere: Option<PolicyAction>,
    /// The kinds of resources that it is for; `McpServer` by default.
    #[schemars(length(min = 1))]
    pub(super) kinds: Option<Vec<KindSpec>>,
    /// `deny`: a change to what does not comply is refused. `warn`: it is carried out, and said.
    pub(super) action: PolicyAction,
    /// What must be true of each of them.
    #[schemars(length(min = 1))]
    pub(super) rules: Vec<PolicyRuleSpec>,
}

/// One rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PolicyRuleSpec {
    /// Its name within the policy.
    pub(super) name: String,
    /// A CEL expression over `object`, `oldObject`, `namespaceObject` and `request`, true of what complies. One that
    /// fails counts as not complied with.
    pub(super) expression: String,
    /// What to do about what does not comply.
    pub(super) message: String,
    /// The field that is looked at, such as `spec.image`: its value is shown.
    pub(super) field: Option<String>,
    /// What the field should be, to be shown beside.
    pub(super) expected: Option<String>,
}

/// Who need not comply with a policy, and until when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ExemptionSpec {
    /// The GovernancePolicy, or one that is built in.
    pub(super) policy: String,
    /// Which of its rules; all by default.
    #[schemars(length(min = 1))]
    pub(super) rules: Option<Vec<String>>,
    /// Patterns of the namespaces whose resources it is for.
    #[schemars(length(min = 1))]
    pub(super) namespaces: Vec<String>,
    /// Patterns of the servers that it is for. By default it is for all resources of these namespaces, of any kind.
    #[schemars(length(min = 1))]
    pub(super) servers: Option<Vec<String>>,
    /// Who answers for it.
    pub(super) owner: String,
    /// Why it is so.
    pub(super) reason: String,
    /// The date (UTC) or RFC 3339 time from which it is as if it were not there.
    pub(super) expires: String,
}

/// A kind of resource by its name.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct KindSpec(pub(super) ResourceKind);

impl JsonSchema for KindSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ResourceKind::ALL.map(ResourceKind::as_str) })
    }
}

/// The JSON Schema (draft 2020-12) of one resource of any kind.
pub(super) fn json_schema() -> serde_json::Value {
    let mut generator = SchemaGenerator::default();
    let kinds: Vec<serde_json::Value> = ResourceKind::ALL
        .into_iter()
        .map(|kind| {
            let metadata = match kind {
                ResourceKind::McpServer => generator.subschema_for::<ServerMetadata>(),
                ResourceKind::GovernedNamespace
                | ResourceKind::McpRole
                | ResourceKind::McpRoleBinding
                | ResourceKind::IdentityProvider
                | ResourceKind::GovernancePolicy
                | ResourceKind::PolicyExemption => generator.subschema_for::<Metadata>(),
            };
            let spec = match kind {
                ResourceKind::GovernedNamespace => generator.subschema_for::<NamespaceSpec>(),
                ResourceKind::McpServer => generator.subschema_for::<ServerSpec>(),
                ResourceKind::McpRole => generator.subschema_for::<RoleSpec>(),
                ResourceKind::McpRoleBinding => generator.subschema_for::<BindingSpec>(),
                ResourceKind::IdentityProvider => generator.subschema_for::<ProviderSpec>(),
                ResourceKind::GovernancePolicy => generator.subschema_for::<PolicySpec>(),
                ResourceKind::PolicyExemption => generator.subschema_for::<ExemptionSpec>(),
            };
            serde_json::json!({
                "if": { "properties": { "kind": { "const": kind.as_str() } } },
                "then": { "properties": { "metadata": metadata, "spec": spec } },
            })
        })
        .collect();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Resources of Narrows, {API_VERSION}"),
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "enum": ResourceKind::ALL.map(ResourceKind::as_str) },
            "metadata": { "type": "object" },
            "spec": { "type": "object" },
        },
        "allOf": kinds,
        "$defs": generator.take_definitions(true),
    })
}
