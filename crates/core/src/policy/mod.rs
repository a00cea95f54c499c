//! Roles compiled to a snapshot, and the one evaluator over it. Listing, calling and explaining all ask
//! [`Snapshot::decide`]; nothing else in the system says yes. It must never allow what no rule allows, and never
//! depend on the order in which resources were read.

mod compile;
mod condition;
mod decide;
mod explain;
mod index;
mod rule;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

pub(crate) use condition::{
    ArgumentsError, Condition, EvaluationError, Fault, Kind, Names, Record, Vocabulary, read_map,
};
pub use explain::{Considered, Explanation, Held, Said};

use self::{
    compile::{CompiledRole, Given},
    index::{Numbers, RuleIndex, RuleNumber, ServerNumber},
    rule::CompiledRule,
};
use crate::{
    action::{Action, RequestFacts},
    decision::{Mode, Revision},
    ids::{NamespaceName, ResourceName, ServerId},
    principal::{BUILTIN_PROVIDER, Principal, PrincipalKind},
    resource::{ResourceSet, Server, Who},
};

/// One question to the evaluator.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// Of which server.
    pub server: &'a ServerId,
    /// What.
    pub action: Action<'a>,
    /// How it came.
    pub request: RequestFacts<'a>,
    /// When.
    pub now: jiff::Timestamp,
}

/// A published state of all resources, compiled. Immutable; replaced whole.
#[derive(Debug)]
pub struct Snapshot {
    revision: Arc<Revision>,
    resources: Arc<ResourceSet>,
    numbers: Numbers,
    /// Sorted by name, so that a role's number orders as its name does.
    roles: Vec<CompiledRole>,
    index: RuleIndex,
    bindings: HashMap<Who, Vec<Given>>,
}

/// The roles that a principal has in one snapshot, resolved once and cheap to clone.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Shared with the snapshot that made it, and known by its address.
    revision: Arc<Revision>,
    /// Ascending.
    roles: Arc<[u32]>,
}

impl Grants {
    fn roles(&self) -> &[u32] {
        &self.roles
    }
}

impl Snapshot {
    /// Knows nothing and denies everything. Revision 0.
    pub fn empty() -> Self {
        Self {
            revision: Arc::new(Revision { number: 0, digest: "0000000000000000".into() }),
            resources: Arc::new(ResourceSet::default()),
            numbers: Numbers::default(),
            roles: Vec::new(),
            index: RuleIndex::default(),
            bindings: HashMap::new(),
        }
    }

    /// Number and digest.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What it was compiled from.
    pub fn resources(&self) -> &ResourceSet {
        &self.resources
    }

    /// The same, shared.
    pub fn shared_resources(&self) -> &Arc<ResourceSet> {
        &self.resources
    }

    /// A server, if there is one of this name.
    pub fn server(&self, id: &ServerId) -> Option<&Server> {
        let number = self.server_number(id)?.server;
        self.resources.servers.get(usize::try_from(number).ok()?)
    }

    /// The mode of a namespace; `enforce` where there is none.
    pub fn mode(&self, namespace: &NamespaceName, now: jiff::Timestamp) -> Mode {
        let number = self.numbers.namespaces.get(namespace.as_str()).copied();
        number
            .and_then(|number| self.resources.namespaces.get(usize::try_from(number).ok()?))
            .map_or(Mode::Enforce, |namespace| namespace.mode_at(now))
    }

    /// The roles that a principal has: those bound to its subject, to one of its groups, or to its service account.
    pub fn grants(&self, principal: &Principal) -> Grants {
        let mut roles: Vec<u32> = Vec::new();
        for who in identities(principal) {
            let given = self.bindings.get(&who).map(Vec::as_slice).unwrap_or_default();
            let vouched = given.iter().filter(|given| vouches(&who, given.provider.as_ref(), principal));
            roles.extend(vouched.map(|given| given.role));
        }
        roles.sort_unstable();
        roles.dedup();
        Grants { revision: Arc::clone(&self.revision), roles: roles.into() }
    }

    fn made(&self, grants: &Grants) -> bool {
        Arc::ptr_eq(&self.revision, &grants.revision)
    }

    fn role(&self, number: u32) -> Option<&CompiledRole> {
        self.roles.get(usize::try_from(number).ok()?)
    }

    fn rule(&self, number: RuleNumber) -> Option<&CompiledRule> {
        self.role(number.role)?.rules.get(usize::try_from(number.rule).ok()?)
    }

    fn server_number(&self, id: &ServerId) -> Option<ServerNumber> {
        self.numbers.servers.get(id).copied()
    }
}

/// The names under which a principal can be bound.
fn identities(principal: &Principal) -> impl Iterator<Item = Who> {
    let own = match principal.kind {
        PrincipalKind::User => Who::User(Arc::clone(&principal.subject)),
        PrincipalKind::ServiceAccount => Who::ServiceAccount(Arc::clone(&principal.subject)),
    };
    std::iter::once(own).chain(principal.groups.iter().map(|group| Who::Group(Arc::clone(group))))
}

/// Whether the principal's provider is one that a binding of `who` takes the word of.
fn vouches(who: &Who, wanted: Option<&ResourceName>, principal: &Principal) -> bool {
    match (wanted, who) {
        (Some(provider), _) => *provider == principal.provider,
        (None, Who::User(_) | Who::Group(_)) => true,
        (None, Who::ServiceAccount(_)) => principal.provider.as_str() == BUILTIN_PROVIDER,
    }
}
