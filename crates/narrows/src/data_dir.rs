//! The data directory: where what is, and that it is ours alone. A directory or key that others may read is refused
//! with the command that mends it; permissions are never changed behind the owner's back.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use narrows_gateway::identity::Issuer;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, keys::PrivatePem};

/// A data directory that exists and is ours alone.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Held while `up` runs; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// What distinguishes this installation from others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installation {
    /// A random UUID; part of the built-in issuer's name and of the log's.
    pub(crate) id: String,
}

impl Installation {
    /// The name of the audit log that this machine writes, and of the key that signs it.
    pub(crate) fn log_origin(&self) -> String {
        format!("narrows.dev/{}/{LOG_WRITER}", self.id)
    }

    /// The built-in issuer, whose tokens are good here alone.
    pub(crate) fn issuer(&self, key: &PrivatePem) -> Result<Issuer, Failure> {
        let issuer = format!("urn:narrows:{}", self.id);
        Issuer::load(key.as_str(), &issuer, &format!("{issuer}:mcp"))
            .map_err(|error| Failure::from_error(&error))
    }
}

/// The one writer of an installation on one machine.
pub(crate) const LOG_WRITER: &str = "local";

impl DataDir {
    /// Opens one that is there.
    pub(crate) fn open(root: PathBuf) -> Result<Self, Failure> {
        match std::fs::symlink_metadata(&root) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Failure::new(format!("there is no data directory `{}`", root.display()))
                    .hint("`narrows up` makes it at its first start; `--data-dir DIR` names another"));
            }
            Err(error) => return Err(unusable(&root, &error)),
        }
        check_private(&root, Kind::Directory)?;
        Ok(Self { root })
    }

    /// Opens one, or makes it with mode 0700.
    pub(crate) fn open_or_create(root: PathBuf) -> Result<Self, Failure> {
        make_private(&root)?;
        let opened = Self::open(root)?;
        make_private(&opened.keys())?;
        check_private(&opened.keys(), Kind::Directory)?;
        Ok(opened)
    }

    /// Takes the lock that one `up` holds at a time.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unusable(&path, &error))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Failure::new(format!("another `narrows` is using `{}`", self.root.display()))
                .hint("stop it first, or give this one a directory of its own with `--data-dir DIR`")
        })?;
        Ok(Lock { _file: file })
    }

    /// The installation's own record.
    pub(crate) fn installation(&self) -> Result<Installation, Failure> {
        let path = self.installation_file();
        let text = std::fs::read(&path).map_err(|error| unusable(&path, &error))?;
        serde_json::from_slice(&text).map_err(|error| {
            Failure::new(format!("`{}` is damaged: {error}", path.display()))
                .hint("restore it from a backup: tokens and the log's name depend on the id in it")
        })
    }

    /// The same, made with this id if there is none yet.
    pub(crate) fn installation_or(&self, id: String) -> Result<Installation, Failure> {
        let path = self.installation_file();
        if !path.exists() {
            let text = serde_json::to_vec(&Installation { id }).map_err(anyhow::Error::from)?;
            write_private(&path, &text)?;
        }
        self.installation()
    }

    fn installation_file(&self) -> PathBuf {
        self.root.join("installation.json")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("narrows.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn servers(&self) -> PathBuf {
        self.root.join("servers")
    }
}

/// Makes a directory with mode 0700, with its parents; one that exists is left as it is.
pub(crate) fn make_private(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))
}

/// Writes a file that did not exist, mode 0600, whole or not at all.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let temporary = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    };
    write().map_err(|error| unusable(path, &error))
}

/// What a path is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// Refuses what others may read or write, what is not ours, and what is a symbolic link.
pub(crate) fn check_private(path: &Path, kind: Kind) -> Result<(), Failure> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| unusable(path, &error))?;
    let shown = path.display();
    let (is_kind, noun, mode) = match kind {
        Kind::Directory => (metadata.is_dir(), "a directory", "700"),
        Kind::File => (metadata.is_file(), "an ordinary file", "600"),
    };
    if !is_kind {
        return Err(Failure::new(format!("`{shown}` is not {noun}"))
            .hint("move away what is there, or name another data directory with `--data-dir DIR`"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::new(format!("`{shown}` belongs to another user"))
            .hint("run narrows as its owner, or name another data directory with `--data-dir DIR`"));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode_now = metadata.mode() & 0o7777;
        return Err(Failure::new(format!("`{shown}` is open to others: its mode is {mode_now:04o}")).hint(format!(
            "`chmod {mode} {shown}`; if somebody may have read a key there, delete the key: a new one is made, and \
             the tokens of the old one end"
        )));
    }
    Ok(())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot use `{}`: {error}", path.display())).hint(match error.kind() {
        ErrorKind::StorageFull => {
            "the disk is full: free some space and try again, or name another directory with `--data-dir DIR`"
        }
        ErrorKind::QuotaExceeded => {
            "the disk quota is used up: free some space and try again, or name another directory with `--data-dir DIR`"
        }
        _ => "name a directory that you may write to with `--data-dir DIR`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_what_the_operating_system_said() {
        for (kind, hint) in [
            (ErrorKind::StorageFull, "hint: the disk is full: free some space"),
            (ErrorKind::QuotaExceeded, "hint: the disk quota is used up: free some space"),
            (ErrorKind::PermissionDenied, "hint: name a directory that you may write to"),
        ] {
            let said = unusable(Path::new("/data/lock"), &kind.into()).to_string();
            assert!(said.starts_with("error: cannot use `/data/lock`: ") && said.contains(hint), "{said}");
        }
    }
}
