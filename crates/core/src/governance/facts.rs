//! What an expression of a policy may look at: the variables of Kubernetes' ValidatingAdmissionPolicy, as far as they have
//! a meaning here.

use cel::common::{
    types::{CelMap, CelNull, CelString},
    value::{CowVal, Val},
};
use serde_json::{Value, json};

use super::{Asked, Purpose};
use crate::{
    change::ObjectChange,
    policy::{ArgumentsError, Kind, Names, Record, Vocabulary, read_map},
};

const TEXT: Kind = Kind::Other("a text");

/// What an expression of a policy may name.
pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    records: &[Record {
        name: "request",
        example: "operation",
        fields: &[
            ("operation", TEXT),
            ("kind", TEXT),
            ("namespace", TEXT),
            ("name", TEXT),
            ("userInfo", Kind::Other("a map")),
            ("dryRun", Kind::Possible),
        ],
    }],
    maps: &["object", "oldObject", "namespaceObject"],
    later: &[(
        "server",
        ", what was found when a server was asked, can't be judged yet by this version",
        "judge what is written, `object`; what can't be enforced is refused, not ignored",
    )],
    if_empty: "write what is true of a resource that complies",
};

/// A resource in its written form, or null.
#[derive(Debug)]
pub(super) enum Tree {
    Is(CelMap<'static>),
    Null,
}

impl Tree {
    /// A resource that is there, or none.
    pub(super) fn of(manifest: Option<&Value>) -> Result<Self, ArgumentsError> {
        match manifest {
            Some(manifest) => read_map(&manifest.to_string()).map(Self::Is),
            None => Ok(Self::Null),
        }
    }

    fn value(&self) -> &dyn Val {
        static NULL: CelNull = CelNull;
        match self {
            Self::Is(map) => map,
            Self::Null => &NULL,
        }
    }
}

/// What the names stand for while one resource is judged.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    object: Tree,
    old: Tree,
    namespace: &'a Tree,
    request: Tree,
}

impl<'a> Facts<'a> {
    /// Of a change that creates or updates a resource.
    ///
    /// # Errors
    /// A part has a form that expressions can't look at.
    pub(super) fn new(
        change: &ObjectChange,
        object: &Value,
        namespace: &'a Tree,
        asked: &Asked,
    ) -> Result<Self, ArgumentsError> {
        let old = change.before.as_ref().map(crate::resource::Object::manifest);
        let request = json!({
            "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "kind": change.key.kind.as_str(),
            "namespace": change.key.namespace(),
            "name": change.key.name(),
            "userInfo": { "username": asked.username.as_ref(), "groups": asked.groups.as_ref() },
            "dryRun": match asked.purpose {
                Purpose::Look => true,
                Purpose::Change => false,
            },
        });
        Ok(Self {
            object: Tree::of(Some(object))?,
            old: Tree::of(old.as_ref())?,
            namespace,
            request: Tree::of(Some(&request))?,
        })
    }
}

impl Names for Facts<'_> {
    fn tree(&self, root: &str) -> Option<&dyn Val> {
        match root {
            "object" => Some(self.object.value()),
            "oldObject" => Some(self.old.value()),
            "namespaceObject" => Some(self.namespace.value()),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let Some(field) = name.strip_prefix("request.") else {
            return self.tree(name).map(CowVal::Borrowed);
        };
        let Tree::Is(request) = &self.request else { return None };
        let is_field =
            |key: &dyn Val| key.downcast_ref::<CelString<'_>>().is_some_and(|key| key.inner() == field);
        let member = request.inner().iter().find(|(key, _)| is_field(key.inner()));
        member.map(|(_, value)| CowVal::Borrowed(value.as_ref()))
    }
}
