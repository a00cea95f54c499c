//! What is different between two states, resource by resource and field by field.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Desired, Managers};
use crate::resource::{Object, ObjectKey, ResourceSet, Server};

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which.
    pub key: ObjectKey,
    /// As it is; none if it is new.
    pub before: Option<Object>,
    /// As it will be; none if it goes.
    pub after: Option<Object>,
    /// The file that it will follow; none if it is the API's.
    pub file: Option<Arc<str>>,
}

/// What that is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It was not there.
    Create,
    /// It is different.
    Update,
    /// It is there no more.
    Delete,
    /// It is the same, and follows another file or none.
    Adopt,
}

impl Operation {
    /// As it is written in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
        }
    }
}

impl ObjectChange {
    /// What it is, in a word.
    pub fn operation(&self) -> Operation {
        match (&self.before, &self.after) {
            (None, _) => Operation::Create,
            (Some(_), None) => Operation::Delete,
            (Some(before), Some(after)) if before == after => Operation::Adopt,
            (Some(_), Some(_)) => Operation::Update,
        }
    }

    /// Whether a server is to have more or fewer processes, and nothing else is different.
    pub fn is_of_replicas(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(Object::Server(before)), Some(Object::Server(after))) => {
                before.replicas != after.replicas
                    && *before == Server { replicas: before.replicas, ..after.clone() }
            }
            (_, _) => false,
        }
    }

    /// Whether a server is to have fewer processes or none, and nothing else is different.
    pub fn lowers_replicas(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(Object::Server(before)), Some(Object::Server(after))) => {
                self.is_of_replicas() && after.replicas < before.replicas
            }
            (_, _) => false,
        }
    }

    /// The fields that are different, in the order of their paths; none for a resource that comes or goes.
    pub fn fields(&self) -> Vec<FieldChange> {
        let mut fields = Vec::new();
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            compare("", &before.manifest(), &after.manifest(), &mut fields);
        }
        fields
    }
}

/// A field that is different.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldChange {
    /// Such as `spec.command[2]`.
    pub path: String,
    /// What it is; none if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it will be; none if it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What is different in a new set of resources with these managers, in the order of keys.
pub(super) fn difference(
    current: &Desired,
    resources: &ResourceSet,
    managers: &Managers,
) -> Vec<ObjectChange> {
    let file = |key: &ObjectKey| managers.file(key).cloned();
    let mut changes = between(&current.resources, resources);
    for change in &mut changes {
        change.file = file(&change.key).filter(|_| change.after.is_some());
    }
    if let Managers::Files(after) = managers {
        // Of a state that does not say, whatever follows a file from now on is new.
        let nothing = BTreeMap::new();
        let before = match &current.managers {
            Managers::Unknown => &nothing,
            Managers::Files(files) => files,
        };
        let changed: std::collections::BTreeSet<ObjectKey> =
            changes.iter().map(|change| change.key.clone()).collect();
        for object in resources.objects() {
            let key = object.key();
            if before.get(&key) != after.get(&key) && !changed.contains(&key) {
                let file = file(&key);
                changes.push(ObjectChange { key, before: Some(object.clone()), after: Some(object), file });
            }
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    changes
}

/// What is different between two sets of resources, in the order of keys. Files are not said.
pub fn between(before: &ResourceSet, after: &ResourceSet) -> Vec<ObjectChange> {
    let (before, after) = (before.objects(), after.objects());
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key().cmp(&new.key()),
        };
        let (old, new) = match order {
            Ordering::Less => (before.next(), None),
            Ordering::Greater => (None, after.next()),
            Ordering::Equal => (before.next(), after.next()),
        };
        let Some(key) = old.as_ref().or(new.as_ref()).map(Object::key) else { return changes };
        if old != new {
            changes.push(ObjectChange { key, before: old, after: new, file: None });
        }
    }
}

fn compare(path: &str, before: &Value, after: &Value, fields: &mut Vec<FieldChange>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                either(&path, old.get(name), new.get(name), fields);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                either(&format!("{path}[{index}]"), old.get(index), new.get(index), fields);
            }
        }
        (before, after) if before == after => {}
        (before, after) => either_is(path, Some(before), Some(after), fields),
    }
}

fn either(path: &str, before: Option<&Value>, after: Option<&Value>, fields: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(before), Some(after)) => compare(path, before, after, fields),
        (before, after) => either_is(path, before, after, fields),
    }
}

fn either_is(path: &str, before: Option<&Value>, after: Option<&Value>, fields: &mut Vec<FieldChange>) {
    fields.push(FieldChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
}
