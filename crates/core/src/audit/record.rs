//! One audit record, as JSON. Written once as bytes, hashed as those bytes, never re-encoded.

use serde::Serialize;

use crate::{
    change::{Aim, ObjectChange, Operation},
    ports::{LogIndex, Pairing},
    resource::ResourceKind,
};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum RecordKind {
    /// A request was authorised and is about to be sent: the intent.
    #[serde(rename = "request.admitted")]
    RequestAdmitted,
    /// A request was refused (in `observe` mode: would have been).
    #[serde(rename = "request.denied")]
    RequestDenied,
    /// A request ended: the outcome of an intent.
    #[serde(rename = "request.completed")]
    RequestCompleted,
    /// Requests without a valid token, counted over an interval.
    #[serde(rename = "authentication.failed")]
    AuthenticationFailed,
    /// The log was opened for writing, with what was found.
    #[serde(rename = "log.opened")]
    LogOpened,
    /// The log takes records again after a time in which it could not be written, with what was refused.
    #[serde(rename = "log.recovered")]
    LogRecovered,
    /// A new snapshot of the resources was published.
    #[serde(rename = "snapshot.published")]
    SnapshotPublished,
    /// A change was refused by policies, with what does not comply.
    #[serde(rename = "change.denied")]
    ChangeDenied,
    /// A server is about to be new: an intent, as all that follow but the last three.
    #[serde(rename = "server.deployed")]
    ServerDeployed,
    /// A server is about to be different.
    #[serde(rename = "server.updated")]
    ServerUpdated,
    /// A server is about to go.
    #[serde(rename = "server.removed")]
    ServerRemoved,
    /// A server is about to have more or fewer processes.
    #[serde(rename = "server.scaled")]
    ServerScaled,
    /// A server is about to be started anew, as it is.
    #[serde(rename = "server.restarted")]
    ServerRestarted,
    /// A server is about to be as it was in an older revision.
    #[serde(rename = "server.rolled_back")]
    ServerRolledBack,
    /// A namespace is about to come, go or be different.
    #[serde(rename = "namespace.changed")]
    NamespaceChanged,
    /// A role is.
    #[serde(rename = "role.changed")]
    RoleChanged,
    /// A binding is.
    #[serde(rename = "binding.changed")]
    BindingChanged,
    /// An identity provider is.
    #[serde(rename = "provider.changed")]
    ProviderChanged,
    /// A policy is.
    #[serde(rename = "policy.changed")]
    PolicyChanged,
    /// An exemption is.
    #[serde(rename = "exemption.changed")]
    ExemptionChanged,
    /// A server fares otherwise than before.
    #[serde(rename = "server.state_changed")]
    ServerStateChanged,
    /// A change is saved: the outcome of its intent.
    #[serde(rename = "change.applied")]
    ChangeApplied,
    /// A change was given up and left nothing: the outcome of its intent.
    #[serde(rename = "change.aborted")]
    ChangeAborted,
}

impl RecordKind {
    /// The kind of the record that announces this change.
    pub fn of_change(change: &ObjectChange, aim: Aim) -> Self {
        match (change.key.kind, change.operation()) {
            (ResourceKind::McpServer, Operation::Create | Operation::Update) if aim == Aim::RollBack => {
                Self::ServerRolledBack
            }
            (ResourceKind::McpServer, Operation::Create) => Self::ServerDeployed,
            (ResourceKind::McpServer, Operation::Update) if change.is_of_replicas() => Self::ServerScaled,
            (ResourceKind::McpServer, Operation::Update | Operation::Adopt) => Self::ServerUpdated,
            (ResourceKind::McpServer, Operation::Delete) => Self::ServerRemoved,
            (ResourceKind::GovernedNamespace, _) => Self::NamespaceChanged,
            (ResourceKind::McpRole, _) => Self::RoleChanged,
            (ResourceKind::McpRoleBinding, _) => Self::BindingChanged,
            (ResourceKind::IdentityProvider, _) => Self::ProviderChanged,
            (ResourceKind::GovernancePolicy, _) => Self::PolicyChanged,
            (ResourceKind::PolicyExemption, _) => Self::ExemptionChanged,
        }
    }
}

/// What a record is to the pairing of intents and outcomes, from its `kind` and `intent`. Kinds that are not known
/// stand alone unless they name an intent.
pub fn pairing(kind: &str, intent: Option<LogIndex>) -> Pairing {
    match intent {
        Some(intent) => Pairing::Outcome(intent),
        None if INTENTS.contains(&kind) => Pairing::Intent,
        None => Pairing::Event,
    }
}

/// The kinds that announce something and have an outcome.
const INTENTS: [&str; 13] = [
    "request.admitted",
    "server.deployed",
    "server.updated",
    "server.removed",
    "server.scaled",
    "server.restarted",
    "server.rolled_back",
    "namespace.changed",
    "role.changed",
    "binding.changed",
    "provider.changed",
    "policy.changed",
    "exemption.changed",
];

/// Who acted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor<'a> {
    /// `user`, `serviceAccount`, `operator` (whoever may use the data directory), `system` or `anonymous`.
    pub kind: &'a str,
    /// The token's issuer; empty where there is no token.
    pub issuer: &'a str,
    /// Who acted: the agent that a token names (RFC 8693 `act`), else the token's subject.
    pub subject: &'a str,
    /// The token's subject, where an agent acted for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<&'a str>,
    /// The groups that counted.
    pub groups: &'a [std::sync::Arc<str>],
}

/// Where it came from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source<'a> {
    /// The peer's address, without port.
    pub ip: &'a str,
    /// The `User-Agent` header, cut at 256 bytes.
    pub user_agent: &'a str,
}

/// What it was done to.
#[derive(Debug, Clone, Serialize)]
pub struct Object<'a> {
    /// A resource kind, for requests `McpServer`.
    pub kind: &'a str,
    /// Its namespace.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The request, without its arguments.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord<'a> {
    /// Our own id of the request, equal in intent and outcome.
    pub id: &'a str,
    /// A digest of the session handle, equal for all requests of a session; never the handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    /// The JSON-RPC method.
    pub method: &'a str,
    /// The tool, for `tools/call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<&'a str>,
    /// The resource's URI, for methods on resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<&'a str>,
    /// The prompt, for methods on prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<&'a str>,
    /// The protocol revision. Absent in an outcome, whose intent has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<&'a str>,
    /// `hmac-sha256:` and the hexadecimal HMAC, under the installation's key, of `params.arguments` as sent to the
    /// server (compact JSON). A keyed digest, since short arguments could be guessed from a plain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<&'a str>,
}

/// The decision, as made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord<'a> {
    /// `allow` or `deny`: what the roles say, whatever the mode.
    pub effect: &'a str,
    /// The rule that decided, `role/rules[index]`, or why there is none: `no grant`, `unknown server`.
    pub rule: &'a str,
    /// The snapshot that decided.
    pub snapshot_revision: &'a str,
    /// `enforce` or `observe`.
    pub mode: &'a str,
}

/// How it ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeRecord<'a> {
    /// `ok`, `error`, `cancelled` or `unknown`.
    pub status: &'a str,
    /// What went wrong, without data of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// From the intent to the end of the response, in milliseconds with three decimals.
    pub duration_ms: f64,
    /// Bytes of the response body.
    pub bytes: u64,
}

/// Which change a record belongs to. All records of one change have the same.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord<'a> {
    /// A UUID of its own.
    pub id: &'a str,
    /// `create`, `update`, `delete`, or `adopt` where only the file that it follows is another.
    pub operation: &'a str,
    /// The revision that it was made for.
    pub base: &'a str,
    /// The revision that it leads to.
    pub revision: &'a str,
    /// How many resources change with it.
    pub objects: u64,
    /// The file that the resource follows from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'a str>,
    /// Why, in the words of who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// One record. Absent parts are left out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// A UUID version 7 (RFC 9562), unique.
    pub id: &'a str,
    /// RFC 3339, UTC, microseconds.
    pub time: &'a str,
    /// What happened.
    pub kind: RecordKind,
    /// The intent that this closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<LogIndex>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor<'a>>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source<'a>>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object<'a>>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord<'a>>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord<'a>>,
    /// Which change it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeRecord<'a>>,
    /// The object before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<&'a serde_json::Value>,
    /// The object after; for aggregated events, their counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<&'a serde_json::Value>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeRecord<'a>>,
    /// The W3C trace id, where the request carried one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// One that says nothing yet but what it is.
    pub fn new(kind: RecordKind, id: &'a str, time: &'a str) -> Self {
        Self {
            id,
            time,
            kind,
            intent: None,
            actor: None,
            source: None,
            object: None,
            request: None,
            decision: None,
            change: None,
            before: None,
            after: None,
            outcome: None,
            trace: None,
        }
    }
}

impl Record<'_> {
    /// The record as the one line of JSON that is stored and hashed, without line feed.
    ///
    /// # Errors
    /// Only where a number can't be written as JSON; the caller refuses the request.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        super::encode::line(self)
    }
}
