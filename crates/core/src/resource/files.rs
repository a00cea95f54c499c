//! All files as one set of resources, or everything that is wrong with them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    API_VERSION, Object, ObjectKey, ResourceKind, ResourceSet,
    document::{Node, documents},
    read,
    references::{Broken, check_references_besides},
    report::{Report, place},
};
use crate::{
    problem::{Place, Problem},
    suggest::nearest,
};

/// What resources are said to be in that are in no file.
const NOWHERE: &str = "resources";

/// Kinds of the design that are not in this version.
const LATER_KINDS: &[&str] = &["NotificationChannel"];

/// Largest resource in its written form, in bytes: what it was and what it is fit into one record.
pub const LARGEST_OBJECT: usize = 400 * 1024;

/// A file's name as the user gave it, for messages, and its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As it is to be named in a [`Problem`].
    pub name: Arc<str>,
    /// The YAML (or JSON) text, of any number of documents.
    pub text: String,
}

/// Reads and checks all files as one set.
///
/// # Errors
/// Every problem in every file, in the order of files and lines. Nothing of a set with a problem is returned.
pub fn parse_files(files: &[SourceFile]) -> Result<ResourceSet, Vec<Problem>> {
    Documents::read(files).over(ResourceSet::default())
}

/// Documents that were read, each checked by itself. What is wrong with them is kept, to be said with what is wrong
/// between them and others.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    set: ResourceSet,
    /// Where each named resource was read first.
    places: BTreeMap<(ResourceKind, String), (Arc<str>, Node)>,
    /// Those of them that something is wrong with.
    broken: Broken,
    problems: Vec<Problem>,
    /// The files' places in the order that they were given in.
    order: HashMap<Arc<str>, usize>,
}

impl Documents {
    /// Resources that are sound already, from no file.
    pub fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        Self { set: objects.into_iter().collect(), ..Self::default() }
    }

    /// Reads all documents of all files.
    pub fn read(files: &[SourceFile]) -> Self {
        let mut read = Self {
            order: files.iter().map(|file| Arc::clone(&file.name)).zip(0..).collect(),
            ..Self::default()
        };
        for file in files {
            let (documents, problems) = documents(file);
            read.problems.extend(problems);
            for document in documents {
                read.document(file, document);
            }
        }
        read
    }

    /// The good ones, with the file that each is from; a name in place of one where there is none.
    pub fn objects(&self) -> Vec<(Object, Arc<str>)> {
        let file = |object: &Object| -> Arc<str> {
            let key = object.key();
            let place = self.places.get(&(key.kind, key.full_name().to_owned()));
            place.map_or_else(|| NOWHERE.into(), |(file, _)| Arc::clone(file))
        };
        self.set
            .objects()
            .into_iter()
            .map(|object| {
                let file = file(&object);
                (object, file)
            })
            .collect()
    }

    /// Where a field of a resource was written, or the nearest around it; none if the resource is in no file.
    pub fn place(&self, key: &ObjectKey, path: &str) -> Option<Place> {
        let (file, document) = self.places.get(&(key.kind, key.full_name().to_owned()))?;
        Some(place(file, document.nearest(path)))
    }

    /// What is wrong with each of them by itself.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Nothing is in them, not even something that is wrong.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.places.is_empty() && self.problems.is_empty()
    }

    /// The documents, and what of `base` they don't replace, as one set.
    ///
    /// # Errors
    /// Every problem within the documents and between all resources, in the order of files and lines.
    pub fn over(self, base: ResourceSet) -> Result<ResourceSet, Vec<Problem>> {
        let Self { set, places, broken, mut problems, order } = self;
        let replaced: HashSet<ObjectKey> = set.objects().iter().map(Object::key).collect();
        let kept = base.objects().into_iter().filter(|object| !replaced.contains(&object.key()));
        let whole: ResourceSet = kept.chain(set.objects()).collect();
        let locate = |kind: ResourceKind, name: &str, path: &str| {
            places.get(&(kind, name.to_owned())).map_or_else(
                || Place { file: NOWHERE.into(), line: 0, column: 0 },
                |(file, document)| place(file, document.nearest(path)),
            )
        };
        problems.extend(check_references_besides(&whole, &broken, &locate));
        if problems.is_empty() {
            return Ok(whole);
        }
        problems.sort_by_key(|problem| {
            let file = order.get(&problem.place.file).copied().unwrap_or(usize::MAX);
            (file, problem.place.line, problem.place.column)
        });
        problems.dedup();
        Err(problems)
    }

    fn document(&mut self, file: &SourceFile, document: Node) {
        let Some(kind) = self.kind(file, &document) else { return };
        let name = full_name(kind, &document);
        let mut report = Report::new(&file.name, &document, kind, name.clone());
        let resource = read::resource(&document, &mut report);
        self.problems.extend(report.into_problems());
        let Some(name) = name else { return };
        let key = (kind, name);
        if let Some((first_file, first)) = self.places.get(&key) {
            let at = document.nearest("metadata.name");
            self.problems.push(Problem {
                place: place(&file.name, at),
                message: format!(
                    "{kind} `{}` is there twice, first at {}",
                    key.1,
                    place(first_file, first.nearest("metadata.name"))
                ),
                hint: Some("rename or remove one of them".to_owned()),
            });
            return;
        }
        match resource {
            None => {
                self.broken.insert(key.clone());
            }
            Some(object) => {
                let size = object.manifest().to_string().len();
                if size > LARGEST_OBJECT {
                    self.problems.push(Problem {
                        place: place(&file.name, document.nearest("spec")),
                        message: format!(
                            "{} has {size} bytes in its written form, more than the {LARGEST_OBJECT} that a record holds",
                            object.key()
                        ),
                        hint: Some("divide it into several".to_owned()),
                    });
                }
                self.set.push(object);
            }
        }
        self.places.insert(key, (Arc::clone(&file.name), document));
    }

    /// The document's kind, if it is one of ours.
    fn kind(&mut self, file: &SourceFile, document: &Node) -> Option<ResourceKind> {
        let mut report = |node: &Node, message: String, hint: Option<String>| {
            self.problems.push(Problem { place: place(&file.name, node), message, hint });
        };
        if document.members().is_empty() {
            let hint = format!("it begins with `apiVersion: {API_VERSION}` and `kind: …`");
            report(document, format!("{} is no resource", document.described()), Some(hint));
            return None;
        }
        let version = document.get("apiVersion");
        match version.map(|version| (version, version.text())) {
            Some((_, Some(API_VERSION))) => {}
            None => {
                let hint = format!("write `apiVersion: {API_VERSION}`");
                report(document, "`apiVersion` is missing".to_owned(), Some(hint));
            }
            Some((node, _)) => {
                let message = format!("`apiVersion` is {}, not `{API_VERSION}`", node.described());
                report(node, message, Some("only this version is known".to_owned()));
            }
        }
        let Some(written) = document.get("kind") else {
            let hint = format!("there are {}", kinds());
            report(document, "`kind` is missing".to_owned(), Some(hint));
            return None;
        };
        let name = written.text().unwrap_or_default();
        if let Some(kind) = ResourceKind::from_name(name) {
            return Some(kind);
        }
        if LATER_KINDS.contains(&name) {
            let hint = "remove it; what can't be enforced is refused, not ignored";
            report(written, format!("the kind `{name}` is not in this version"), Some(hint.to_owned()));
            return None;
        }
        let hint = match nearest(name, ResourceKind::ALL.map(ResourceKind::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", kinds()),
        };
        report(written, format!("`kind` can't be {}", written.described()), Some(hint));
        None
    }
}

/// The name that a resource is known by, as far as it is written.
fn full_name(kind: ResourceKind, document: &Node) -> Option<String> {
    let metadata = document.get("metadata")?;
    let name = metadata.get("name")?.text()?;
    match kind {
        ResourceKind::McpServer => Some(format!("{}/{name}", metadata.get("namespace")?.text()?)),
        ResourceKind::GovernedNamespace
        | ResourceKind::McpRole
        | ResourceKind::McpRoleBinding
        | ResourceKind::IdentityProvider
        | ResourceKind::GovernancePolicy
        | ResourceKind::PolicyExemption => Some(name.to_owned()),
    }
}

fn kinds() -> String {
    ResourceKind::ALL.map(|kind| format!("`{kind}`")).join(", ")
}
