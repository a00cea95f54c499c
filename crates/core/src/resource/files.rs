//! All files as one set of resources, or everything that is wrong with them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    API_VERSION, ResourceKind, ResourceSet,
    document::{Node, documents},
    read::{self, Resource},
    references::{Broken, check_references_besides},
    report::{Report, place},
};
use crate::{
    problem::{Place, Problem},
    suggest::nearest,
};

/// Kinds of the design that are not in this version.
const LATER_KINDS: &[&str] = &["GovernancePolicy", "NotificationChannel"];

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
    let mut reader = Reader::default();
    for file in files {
        let (documents, problems) = documents(file);
        reader.problems.extend(problems);
        for document in documents {
            reader.document(file, document);
        }
    }
    let Reader { mut set, places, broken, mut problems } = reader;
    let locate = |kind: ResourceKind, name: &str, path: &str| {
        places.get(&(kind, name.to_owned())).map_or_else(
            || Place { file: "resources".into(), line: 0, column: 0 },
            |(file, document)| place(file, document.nearest(path)),
        )
    };
    problems.extend(check_references_besides(&set, &broken, &locate));
    if problems.is_empty() {
        set.sort();
        return Ok(set);
    }
    let order: HashMap<&str, usize> = files.iter().map(|file| file.name.as_ref()).zip(0..).collect();
    problems.sort_by_key(|problem| {
        let file = order.get(problem.place.file.as_ref()).copied().unwrap_or(usize::MAX);
        (file, problem.place.line, problem.place.column)
    });
    problems.dedup();
    Err(problems)
}

#[derive(Default)]
struct Reader {
    set: ResourceSet,
    /// Where each named resource was read first.
    places: BTreeMap<(ResourceKind, String), (Arc<str>, Node)>,
    /// Those of them that something is wrong with.
    broken: Broken,
    problems: Vec<Problem>,
}

impl Reader {
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
            Some(Resource::Namespace(namespace)) => self.set.namespaces.push(namespace),
            Some(Resource::Server(server)) => self.set.servers.push(server),
            Some(Resource::Role(role)) => self.set.roles.push(role),
            Some(Resource::Binding(binding)) => self.set.bindings.push(binding),
            Some(Resource::Provider(provider)) => self.set.providers.push(provider),
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
        | ResourceKind::IdentityProvider => Some(name.to_owned()),
    }
}

fn kinds() -> String {
    ResourceKind::ALL.map(|kind| format!("`{kind}`")).join(", ")
}
