//! What goes over the wire, both ways. JSON; times are RFC 3339 in UTC.

use std::fmt;

use narrows_core::{
    audit::record_time,
    change::{FieldChange, ObjectChange, Operation},
    governance::{self, Effect},
    lifecycle::Phase,
    ports::RevisionEntry,
    resource::{Object, ObjectKey},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A resource by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// As written in `kind:`.
    pub kind: String,
    /// `namespace/name` for a server, a name for all else.
    pub name: String,
}

impl From<&ObjectKey> for Named {
    fn from(key: &ObjectKey) -> Self {
        Self { kind: key.kind.to_string(), name: key.full_name().to_owned() }
    }
}

/// YAML or JSON text of resources, and what it is called in messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// What problems in it are named after.
    pub name: String,
    /// Any number of documents.
    pub text: String,
}

/// A change that somebody asks for: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeRequest {
    /// Resources to put in place, besides all others or instead of those of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
    /// Resources to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Named>,
    /// The revision that this was made for, by number or as it is called: `"12"`, `"12-0123456789abcdef"`; any, if it is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Say what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Take resources that follow a file away from it.
    #[serde(default)]
    pub take_over: bool,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A revision to go back to: whole, or in one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreRequest {
    /// This resource only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Named>,
    /// As in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// As in a change.
    #[serde(default)]
    pub dry_run: bool,
    /// Let resources that followed a file then, and are not there now, come back without it. Otherwise that is refused:
    /// the file may name them again.
    #[serde(default)]
    pub take_over: bool,
    /// As in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Whether it is in force. False for a dry run, and where nothing is different.
    pub applied: bool,
    /// The revision that it was held against: its number, a hyphen, its digest.
    pub base: String,
    /// The one that it leads to, or would; the same where nothing is different.
    pub revision: String,
    /// What is different, in the order of kinds and names.
    pub changes: Vec<ObjectDifference>,
    /// What of it does not comply with policies, and is carried out nevertheless: they warn of it, or somebody is exempted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
}

/// That a resource does not comply with a rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Violation {
    /// The policy.
    pub policy: String,
    /// Its rule.
    pub rule: String,
    /// `deny`, `warn` or `exempted`.
    pub effect: String,
    /// Which resource.
    pub object: Named,
    /// The field that is looked at; absent, as the two that follow, where the rule names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Its value, shortened, and without what could be a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// What to do.
    pub message: String,
    /// What exempts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exemption>,
}

/// Why a violation is none that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// The PolicyExemption.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// Until when.
    pub expires: String,
}

impl From<&governance::Violation> for Violation {
    fn from(violation: &governance::Violation) -> Self {
        let governance::Violation { object, policy, rule, field, expected, actual, message, effect } =
            violation;
        let exemption = match effect {
            Effect::Deny | Effect::Warn => None,
            Effect::Exempted { exemption, owner, expires } => Some(Exemption {
                name: exemption.to_string(),
                owner: owner.to_string(),
                expires: expires.to_string(),
            }),
        };
        Self {
            policy: policy.to_string(),
            rule: rule.to_string(),
            effect: effect.as_str().to_owned(),
            object: object.into(),
            field: field.as_deref().map(str::to_owned),
            expected: expected.as_deref().map(str::to_owned),
            actual: actual.clone(),
            message: message.clone(),
            exemption,
        }
    }
}

impl Violation {
    /// What it comes to, in a word for people.
    pub fn outcome(&self) -> &str {
        match self.effect.as_str() {
            "deny" => "denied",
            "warn" => "warning",
            other => other,
        }
    }
}

/// For people, in one line: resource, rule, what to do, and what was found.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} `{}`: {}/{}: {}",
            self.object.kind, self.object.name, self.policy, self.rule, self.message
        )?;
        if let (Some(field), Some(actual)) = (&self.field, &self.actual) {
            write!(f, "; `{field}` is {actual}")?;
        }
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        if let Some(Exemption { name, owner, expires }) = &self.exemption {
            write!(f, "; exempted by `{name}` of {owner} until {expires}")?;
        }
        Ok(())
    }
}

/// What is different between two revisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// The one.
    pub from: String,
    /// The other.
    pub to: String,
    /// What is different, in the order of kinds and names.
    pub changes: Vec<ObjectDifference>,
}

/// What is different in one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectDifference {
    /// Which.
    pub object: Named,
    /// What is done to it; `adopt` where only the file that it follows is another.
    pub operation: Operation,
    /// The file that it follows from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The whole resource, in its written form; absent if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The whole resource; absent if it is there no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The fields of it that are different.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

impl From<&ObjectChange> for ObjectDifference {
    fn from(change: &ObjectChange) -> Self {
        Self {
            object: Named::from(&change.key),
            operation: change.operation(),
            file: change.file.as_deref().map(str::to_owned),
            before: change.before.as_ref().map(Object::manifest),
            after: change.after.as_ref().map(Object::manifest),
            fields: change.fields(),
        }
    }
}

/// Resources of one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Which revision.
    pub revision: String,
    /// In the order of kinds and names.
    pub items: Vec<Resource>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// In its written form.
    pub manifest: Value,
    /// The file that it follows; absent if it is the API's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Some revisions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revisions {
    /// In this order.
    pub items: Vec<Revision>,
    /// `before` for those that follow; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One revision, without its resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// Number and digest, as records name it.
    pub revision: String,
    /// Since when.
    pub time: String,
    /// Who asked for it; absent, as all that follows, for a revision of a version that did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Files, or `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id that the change's records have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// What was done to which resource.
    #[serde(default)]
    pub objects: Vec<Done>,
}

/// What was done to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Done {
    /// Which.
    pub object: Named,
    /// What it was.
    pub operation: Operation,
}

impl From<RevisionEntry> for Revision {
    fn from(entry: RevisionEntry) -> Self {
        let RevisionEntry { number, saved_at, digest, change } = entry;
        let revision = format!("{number}-{digest}");
        let time = record_time(saved_at);
        let Some(change) = change else {
            return Self {
                number,
                revision,
                time,
                actor: None,
                origin: None,
                reason: None,
                change: None,
                objects: Vec::new(),
            };
        };
        let objects = change.objects.iter();
        Self {
            number,
            revision,
            time,
            actor: Some(change.actor),
            origin: Some(change.origin),
            reason: change.reason,
            change: Some(change.id),
            objects: objects
                .map(|(key, operation)| Done { object: key.into(), operation: *operation })
                .collect(),
        }
    }
}

/// How servers fare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Servers {
    /// The revision that is in force.
    pub revision: String,
    /// In the order of their names.
    pub items: Vec<Server>,
}

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// How it fares, in a word; absent where nothing runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Phase>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// How many processes it is to have.
    pub replicas: u32,
    /// How often it was started anew by request since Narrows was started.
    pub restarts: u64,
    /// The revision from which on it is wanted as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The same of the version that serves; another if the new one did not come up, and absent if none serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<u64>,
    /// The revision of MCP that it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Its name and version, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The file that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How many processes a server is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleRequest {
    /// None: it is stopped.
    pub replicas: u32,
    /// As in a change; the one in force if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// As in a change.
    #[serde(default)]
    pub dry_run: bool,
    /// As in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// That a server is to be started anew, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestartRequest {
    /// As in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A server to be as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackRequest {
    /// In this revision; the one before its last change if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// As in a change; the one in force if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// As in a change.
    #[serde(default)]
    pub dry_run: bool,
    /// As in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
