//! A change before anything of it is written: what is proposed, held against what is in force. Pure. The one way to a
//! new state is [`Desired::review`]; what it returns is what is recorded, saved and put in force, whoever proposed it.
//!
//! A resource has one manager: a file that is given with `-f`, which it follows, or the people's API. Neither changes
//! what is the other's.

mod difference;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use difference::*;

use crate::{
    decision::Revision,
    policy::Snapshot,
    problem::{Place, Problem},
    resource::{Documents, Object, ObjectKey, ResourceSet},
};

/// Largest resource in its written form, in bytes: what it was and what it is fit into one record.
pub const LARGEST_OBJECT: usize = 400 * 1024;

/// The resources that follow a file, and which. All others are the API's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managers {
    /// A state of a version that did not write them down: whoever names a resource first manages it.
    Unknown,
    /// These, and no others.
    Files(BTreeMap<ObjectKey, Arc<str>>),
}

impl Managers {
    /// The file that a resource follows; none if it is the API's.
    pub fn file(&self, key: &ObjectKey) -> Option<&Arc<str>> {
        match self {
            Self::Unknown => None,
            Self::Files(files) => files.get(key),
        }
    }
}

/// A state of the installation: what should be.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Which state it is.
    pub revision: Revision,
    /// All resources.
    pub resources: Arc<ResourceSet>,
    /// Who manages them.
    pub managers: Managers,
}

/// What somebody would like to change.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// The followed files, whole: what is in them is to be, and what was in them and is not any more is to go.
    Files(FollowedFiles),
    /// Single resources.
    Edits(Edits),
}

/// What is in the followed files.
#[derive(Debug, Clone)]
pub struct FollowedFiles {
    /// All of it.
    pub documents: Documents,
    /// The absolute path that the files' names are relative to, where they are.
    pub directory: Arc<str>,
}

impl FollowedFiles {
    /// The absolute path of one of them: a name that means the same wherever it is read.
    fn path(&self, name: &Arc<str>) -> Arc<str> {
        if name.starts_with('/') { Arc::clone(name) } else { format!("{}/{name}", self.directory).into() }
    }
}

/// Resources to put in place and to remove, all or none.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// The revision that the proposer has seen; none if any will do.
    pub base: Option<u64>,
    /// In place of those of the same key, or besides all others.
    pub put: Documents,
    /// To be there no more.
    pub remove: Vec<ObjectKey>,
    /// Whether resources that follow a file may be taken from it.
    pub files: FollowedObjects,
}

/// What becomes of resources that follow a file, if an edit names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FollowedObjects {
    /// The edit is refused.
    #[default]
    Keep,
    /// They are the API's from then on.
    TakeOver,
}

/// Whether this process follows files now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// It does; a resource that follows one can't be taken from it.
    Files,
    /// It does not.
    Nothing,
}

/// What the review found.
#[derive(Debug)]
pub enum Reviewed {
    /// The state is already so.
    Unchanged,
    /// A change that may be recorded and carried out.
    Change(Box<Accepted>),
}

/// A change that was reviewed: the state that it leads to, compiled, and what is different there.
#[derive(Debug)]
pub struct Accepted {
    /// The revision that it was held against.
    base: Revision,
    snapshot: Arc<Snapshot>,
    managers: Managers,
    changes: Vec<ObjectChange>,
}

impl Accepted {
    /// The revision that it was held against.
    pub fn base(&self) -> &Revision {
        &self.base
    }

    /// The state that it leads to.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The same with the managers.
    pub fn desired(&self) -> Desired {
        Desired {
            revision: self.snapshot.revision().clone(),
            resources: Arc::clone(self.snapshot.shared_resources()),
            managers: self.managers.clone(),
        }
    }

    /// What is different, in the order of keys; never empty.
    pub fn changes(&self) -> &[ObjectChange] {
        &self.changes
    }
}

/// Why a change is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was made for another state than the one in force.
    Stale {
        /// The revision that it was made for.
        base: u64,
        /// The one in force.
        current: u64,
    },
    /// These resources follow a file.
    Followed(Vec<(ObjectKey, Arc<str>)>),
    /// These resources, to be removed, are not there.
    Missing(Vec<ObjectKey>),
    /// These are to be put in place and removed at once.
    Both(Vec<ObjectKey>),
    /// The state that it would lead to is not sound.
    Problems(Vec<Problem>),
}

impl Desired {
    /// The empty state before the first.
    pub fn nothing() -> Self {
        Self {
            revision: Snapshot::empty().revision().clone(),
            resources: Arc::default(),
            managers: Managers::Files(BTreeMap::new()),
        }
    }

    /// Holds a proposal against this state.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub fn review(&self, proposal: Proposal, following: Following) -> Result<Reviewed, Refusal> {
        let (resources, managers) = match proposal {
            Proposal::Files(files) => self.with_files(files)?,
            Proposal::Edits(edits) => self.with_edits(edits, following)?,
        };
        let changes = difference(self, &resources, &managers);
        if changes.is_empty() {
            return Ok(Reviewed::Unchanged);
        }
        let too_large: Vec<Problem> = changes.iter().filter_map(too_large).collect();
        if !too_large.is_empty() {
            return Err(Refusal::Problems(too_large));
        }
        let snapshot =
            Snapshot::compile(self.revision.number + 1, Arc::new(resources)).map_err(Refusal::Problems)?;
        let base = self.revision.clone();
        Ok(Reviewed::Change(Box::new(Accepted { base, snapshot: Arc::new(snapshot), managers, changes })))
    }

    fn with_files(&self, followed: FollowedFiles) -> Result<(ResourceSet, Managers), Refusal> {
        let in_files = followed.documents.objects();
        let named: BTreeMap<ObjectKey, (&Object, &Arc<str>)> =
            in_files.iter().map(|(object, file)| (object.key(), (object, file))).collect();
        let base = match &self.managers {
            // The whole state was the files' then.
            Managers::Unknown => ResourceSet::default(),
            Managers::Files(files) => {
                let mut kept = ResourceSet::default();
                let mut theirs = Vec::new();
                for object in self.resources.objects() {
                    let key = object.key();
                    match (files.contains_key(&key), named.get(&key)) {
                        (true, _) => {}
                        (false, Some((said, file))) if **said != object => {
                            theirs.push(managed_elsewhere(&key, file));
                        }
                        (false, _) => kept.push(object),
                    }
                }
                if !theirs.is_empty() {
                    return Err(Refusal::Problems(theirs));
                }
                kept
            }
        };
        let managers = named.into_iter().map(|(key, (_, file))| (key, followed.path(file))).collect();
        let resources = followed.documents.over(base).map_err(Refusal::Problems)?;
        Ok((resources, Managers::Files(managers)))
    }

    fn with_edits(&self, edits: Edits, following: Following) -> Result<(ResourceSet, Managers), Refusal> {
        let Edits { base, put, remove, files } = edits;
        if let Some(base) = base.filter(|base| *base != self.revision.number) {
            return Err(Refusal::Stale { base, current: self.revision.number });
        }
        let removed: BTreeSet<ObjectKey> = remove.into_iter().collect();
        let there: BTreeMap<ObjectKey, Object> =
            self.resources.objects().into_iter().map(|object| (object.key(), object)).collect();
        let missing: Vec<_> = removed.iter().filter(|key| !there.contains_key(key)).cloned().collect();
        if !missing.is_empty() {
            return Err(Refusal::Missing(missing));
        }
        let named = put.objects();
        let both: Vec<_> =
            named.iter().map(|(object, _)| object.key()).filter(|key| removed.contains(key)).collect();
        if !both.is_empty() {
            return Err(Refusal::Both(both));
        }
        // One that stays as it is is no edit.
        let edited = named.iter().filter(|(object, _)| there.get(&object.key()) != Some(object));
        let touched: BTreeSet<ObjectKey> = match files {
            FollowedObjects::Keep => {
                edited.map(|(object, _)| object.key()).chain(removed.iter().cloned()).collect()
            }
            FollowedObjects::TakeOver => {
                named.iter().map(|(object, _)| object.key()).chain(removed.iter().cloned()).collect()
            }
        };
        let followed: Vec<_> = touched
            .iter()
            .filter_map(|key| self.managers.file(key).map(|file| (key.clone(), Arc::clone(file))))
            .collect();
        let mut managers = match &self.managers {
            // From the first edit on it is written down.
            Managers::Unknown => BTreeMap::new(),
            Managers::Files(files) => files.clone(),
        };
        match (files, following) {
            (FollowedObjects::TakeOver, Following::Nothing) => {
                managers.retain(|key, _| !touched.contains(key));
            }
            (FollowedObjects::TakeOver, Following::Files) | (FollowedObjects::Keep, _) => {
                if !followed.is_empty() {
                    return Err(Refusal::Followed(followed));
                }
            }
        }
        let base = there.into_iter().filter(|(key, _)| !removed.contains(key)).map(|(_, object)| object);
        let resources = put.over(base.collect()).map_err(Refusal::Problems)?;
        Ok((resources, Managers::Files(managers)))
    }
}

fn managed_elsewhere(key: &ObjectKey, file: &Arc<str>) -> Problem {
    Problem {
        place: Place { file: Arc::clone(file), line: 0, column: 0 },
        message: format!("{key} is managed through the API and is different there"),
        hint: Some(format!(
            "remove it from the file, or from the API: `narrows delete {} {}`",
            key.kind,
            key.full_name()
        )),
    }
}

fn too_large(change: &ObjectChange) -> Option<Problem> {
    let size = change.after.as_ref()?.manifest().to_string().len();
    (size > LARGEST_OBJECT).then(|| Problem {
        place: Place { file: "resources".into(), line: 0, column: 0 },
        message: format!(
            "{} has {size} bytes in its written form, more than the {LARGEST_OBJECT} that a record holds",
            change.key
        ),
        hint: Some("divide it into several".to_owned()),
    })
}
