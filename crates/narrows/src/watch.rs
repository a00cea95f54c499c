//! Tells when files of resources may have changed. The kernel's notices are only a wake-up: what is there is then
//! looked at as a whole, and a slow look without a notice makes up for those that get lost (network file systems, a
//! directory that is replaced). It never reads a file's contents; who is woken does.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Quiet for this long after a notice, before looking: an editor writes in several steps.
const SETTLE: Duration = Duration::from_millis(100);
/// Looked at this often even without a notice.
const LOOK: Duration = Duration::from_secs(1);

/// Watches paths for change.
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Trace>,
    watched: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    wake: mpsc::Receiver<()>,
}

/// What of a path changes when its contents do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trace {
    path: PathBuf,
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl Watch {
    /// Begins to watch; what changes from now on is told by [`Self::changed`].
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let (notice, wake) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Looking at a directory opens it: heeding that would wake the one who looks.
            if event.is_ok_and(|event| event.kind.is_access()) {
                return;
            }
            // Full means that a wake-up is waiting already.
            let _ = notice.try_send(());
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "no notices of changed files: looking each second instead"),
            )
            .ok();
        let mut watch = Self { paths, seen: Vec::new(), watched: BTreeSet::new(), watcher, wake };
        watch.follow();
        watch.seen = watch.traces();
        watch
    }

    /// Resolves when something may have changed since the last call.
    pub(crate) async fn changed(&mut self) {
        loop {
            tokio::select! {
                Some(()) = self.wake.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while self.wake.try_recv().is_ok() {}
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.traces();
            if now != self.seen {
                self.seen = now;
                self.follow();
                return;
            }
        }
    }

    /// Watches the directories that hold the paths, and those that symbolic links lead to.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = BTreeSet::new();
        for path in &self.paths {
            for end in [Some(path.clone()), std::fs::canonicalize(path).ok()].into_iter().flatten() {
                wanted.insert(if end.is_dir() { end } else { parent(&end).to_owned() });
            }
        }
        for gone in self.watched.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        // Watched anew each time: a directory may have been replaced by another of the same name.
        wanted.retain(|directory| watcher.watch(directory, RecursiveMode::NonRecursive).is_ok());
        self.watched = wanted;
    }

    fn traces(&self) -> Vec<Trace> {
        let mut traces = Vec::new();
        for path in &self.paths {
            traces.push(trace(path.clone()));
            let Ok(entries) = std::fs::read_dir(path) else { continue };
            let mut inside: Vec<_> = entries.flatten().map(|entry| trace(entry.path())).collect();
            inside.sort_by(|a, b| a.path.cmp(&b.path));
            traces.append(&mut inside);
        }
        traces
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn trace(path: PathBuf) -> Trace {
    // Follows links, so that a link to another file is another state.
    let state = std::fs::metadata(&path)
        .ok()
        .map(|found| (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()));
    Trace { path, state }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn is_told(watch: &mut Watch, change: impl FnOnce()) -> bool {
        change();
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn every_way_of_changing_a_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("a.yaml"), "1").unwrap();
        let mut watch = Watch::new(vec![at("a.yaml")]);
        assert!(
            is_told(&mut watch, || std::fs::write(at("a.yaml"), "22").unwrap()).await,
            "written in place"
        );
        let replace = || {
            std::fs::write(at("a.yaml.tmp"), "33").unwrap();
            std::fs::rename(at("a.yaml.tmp"), at("a.yaml")).unwrap();
        };
        assert!(is_told(&mut watch, replace).await, "replaced");
        assert!(is_told(&mut watch, || std::fs::remove_file(at("a.yaml")).unwrap()).await, "removed");
        assert!(is_told(&mut watch, || std::fs::write(at("a.yaml"), "4").unwrap()).await, "made again");
        let other = tokio::time::timeout(Duration::from_millis(1500), watch.changed()).await;
        assert!(other.is_err(), "told without a change");
    }

    #[tokio::test]
    async fn a_swapped_link_is_told() {
        // As Kubernetes mounts a ConfigMap: the files are links through `..data`, which is replaced whole.
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["..one", "..two"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        symlink("..one", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        for paths in [vec![at("a.yaml")], vec![directory.path().to_owned()]] {
            let mut watch = Watch::new(paths);
            let target = std::fs::read_link(at("..data")).unwrap();
            let next = if target == Path::new("..one") { "..two" } else { "..one" };
            let swap = || {
                symlink(next, at("..data_tmp")).unwrap();
                std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
            };
            assert!(is_told(&mut watch, swap).await);
        }
    }
}
