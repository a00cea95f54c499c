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
    fmt,
    str::FromStr,
    sync::Arc,
};

pub use difference::*;

use crate::{
    decision::Revision,
    governance::{self, Asked, Violation},
    policy::Snapshot,
    problem::{Place, Problem},
    resource::{Documents, Object, ObjectKey, ResourceSet},
};

/// The resources that follow a file, and which. All others are the API's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managers {
    /// A state of a version that did not write them down. The files that are followed next take all of it; an edit
    /// before that makes all of it the API's.
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

/// The revision that somebody has seen: `12`, or `12-0123456789abcdef` as it is written everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its number.
    pub number: u64,
    /// Its digest; none if any will do.
    pub digest: Option<Arc<str>>,
}

/// Why a text is not a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a revision: write its number, for example `12`, or what it is called, `12-0123456789abcdef`"
)]
pub struct InvalidBase(String);

impl FromStr for Base {
    type Err = InvalidBase;

    fn from_str(text: &str) -> Result<Self, InvalidBase> {
        let (number, digest) =
            text.split_once('-').map_or((text, None), |(number, digest)| (number, Some(digest)));
        let is_digest =
            |digest: &str| digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        match number.parse() {
            Ok(number) if digest.is_none_or(is_digest) => Ok(Self { number, digest: digest.map(Into::into) }),
            Ok(_) | Err(_) => Err(InvalidBase(text.to_owned())),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}-{digest}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

impl Base {
    /// Whether that is this one.
    pub fn is(&self, revision: &Revision) -> bool {
        self.number == revision.number && self.digest.as_ref().is_none_or(|digest| *digest == revision.digest)
    }
}

/// Resources to put in place and to remove, all or none.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// The revision that the proposer has seen; none if any will do.
    pub base: Option<Base>,
    /// In place of those of the same key, or besides all others.
    pub put: Documents,
    /// To be there no more.
    pub remove: Vec<ObjectKey>,
    /// Whether resources that follow a file may be taken from it.
    pub files: FollowedObjects,
    /// What it is for.
    pub aim: Aim,
}

/// What a change is for. It is carried out in the same way; the record names it by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aim {
    /// To have something as it was not before.
    #[default]
    Edit,
    /// To have something as it was.
    RollBack,
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
    warnings: Vec<Violation>,
    aim: Aim,
}

impl Accepted {
    /// What it is for.
    pub fn aim(&self) -> Aim {
        self.aim
    }

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

    /// What does not comply with policies, and is carried out nevertheless: they warn of it, or somebody is exempted.
    pub fn warnings(&self) -> &[Violation] {
        &self.warnings
    }
}

/// A change that policies refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The revision that it was held against.
    pub base: Revision,
    /// What would become of the resources that are refused, in the order of keys.
    pub changes: Vec<ObjectChange>,
    /// Everything in the change that does not comply, also what would not refuse it.
    pub violations: Vec<Violation>,
}

/// Why a change is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was made for another state than the one in force.
    Stale {
        /// The revision that it was made for.
        base: Base,
        /// The one in force.
        current: Revision,
    },
    /// These resources follow a file.
    Followed(Vec<(ObjectKey, Arc<str>)>),
    /// These resources, to be removed, are not there.
    Missing(Vec<ObjectKey>),
    /// These are to be put in place and removed at once.
    Both(Vec<ObjectKey>),
    /// The state that it would lead to is not sound.
    Problems(Vec<Problem>),
    /// It does not comply with policies.
    Denied(Box<Denied>),
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

    /// Holds a proposal against this state, and against the policies of the state that it leads to.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is changed then.
    pub fn review(
        &self,
        proposal: Proposal,
        following: Following,
        asked: &Asked,
    ) -> Result<Reviewed, Refusal> {
        let aim = match &proposal {
            Proposal::Files(_) => Aim::Edit,
            Proposal::Edits(edits) => edits.aim,
        };
        let (resources, managers) = match proposal {
            Proposal::Files(files) => self.with_files(files)?,
            Proposal::Edits(edits) => self.with_edits(edits, following)?,
        };
        let changes = difference(self, &resources, &managers);
        if changes.is_empty() {
            return Ok(Reviewed::Unchanged);
        }
        let snapshot =
            Snapshot::compile(self.revision.number + 1, Arc::new(resources)).map_err(Refusal::Problems)?;
        let base = self.revision.clone();
        let violations = governance::judge(&changes, snapshot.resources(), asked);
        if violations.iter().any(Violation::denies) {
            return Err(denied(base, changes, violations));
        }
        Ok(Reviewed::Change(Box::new(Accepted {
            base,
            snapshot: Arc::new(snapshot),
            managers,
            changes,
            warnings: violations,
            aim,
        })))
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
        let Edits { base, put, remove, files, aim: _ } = edits;
        if let Some(base) = base.filter(|base| !base.is(&self.revision)) {
            return Err(Refusal::Stale { base, current: self.revision.clone() });
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

fn denied(base: Revision, mut changes: Vec<ObjectChange>, violations: Vec<Violation>) -> Refusal {
    let refused: BTreeSet<&ObjectKey> =
        violations.iter().filter(|violation| violation.denies()).map(|violation| &violation.object).collect();
    changes.retain(|change| refused.contains(&change.key));
    Refusal::Denied(Box::new(Denied { base, changes, violations }))
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
