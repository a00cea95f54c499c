//! Roles compiled to a snapshot, and the one evaluator over it. Listing, calling and explaining all ask
//! [`Snapshot::decide`]; nothing else in the system says yes. It must never allow what no rule allows, and never
//! depend on the order in which resources were read.

use std::sync::Arc;

use crate::{
    action::{Action, RequestFacts},
    decision::{Decision, Denial, Mode, Revision, Verdict},
    ids::{NamespaceName, ServerId},
    principal::Principal,
    problem::Problem,
    resource::{ResourceSet, Server},
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
}

/// The roles that a principal has in one snapshot, resolved once and cheap to clone.
#[derive(Debug, Clone)]
pub struct Grants {
    revision: Arc<Revision>,
}

impl Snapshot {
    /// Knows nothing and denies everything. Revision 0.
    pub fn empty() -> Self {
        Self {
            revision: Arc::new(Revision { number: 0, digest: "0000000000000000".into() }),
            resources: Arc::new(ResourceSet::default()),
        }
    }

    /// Compiles a set of resources.
    ///
    /// # Errors
    /// Every problem at once; the last good snapshot stays in force.
    pub fn compile(number: u64, resources: Arc<ResourceSet>) -> Result<Self, Vec<Problem>> {
        Ok(Self { revision: Arc::new(Revision { number, digest: "".into() }), resources })
    }

    /// Number and digest.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What it was compiled from.
    pub fn resources(&self) -> &ResourceSet {
        &self.resources
    }

    /// A server, if there is one of this name.
    pub fn server(&self, id: &ServerId) -> Option<&Server> {
        self.resources.servers.iter().find(|server| server.id == *id)
    }

    /// The roles of a principal.
    pub fn grants(&self, principal: &Principal) -> Grants {
        let _ = principal;
        Grants { revision: Arc::clone(&self.revision) }
    }

    /// Allowed or denied, by which rule, in which mode.
    pub fn decide(&self, grants: &Grants, query: &Query<'_>) -> Decision {
        let _ = &grants.revision;
        Decision {
            verdict: Verdict::Deny(Denial::UnknownServer),
            mode: self.mode(&query.server.namespace, query.now),
            revision: self.revision.as_ref().clone(),
        }
    }

    /// The mode of a namespace; `enforce` where there is none.
    pub fn mode(&self, namespace: &NamespaceName, now: jiff::Timestamp) -> Mode {
        let _ = (namespace, now);
        Mode::Enforce
    }
}
