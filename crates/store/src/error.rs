//! What can go wrong with files and databases: what failed, and what to do about it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use narrows_core::ports::LogIndex;

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A verb: `open`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot use the database `{}`", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Another file has taken the place of the database that is open.
    #[error("the database `{}` was replaced while it was in use", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The database was last written by a newer version.
    #[error("database schema {found} is newer than this binary's {known}")]
    NewerSchema {
        /// The schema of the file.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// The database was last written by an older version, and was opened for reading.
    #[error("database schema {found} is older than this binary's {known}")]
    OlderSchema {
        /// The schema of the file.
        found: u32,
        /// The one that is read.
        known: u32,
    },
    /// Another process writes this log.
    #[error("the audit log `{}` is being written by another process", path.display())]
    Locked {
        /// The writer's directory.
        path: PathBuf,
    },
    /// The log is not as it was written.
    #[error("the audit log `{}` is damaged at record {}: {damage}", path.display(), index.0)]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first record concerned.
        index: LogIndex,
        /// What is wrong.
        damage: Damage,
    },
    /// A key is not usable.
    #[error("the key is not usable: {0}")]
    Key(&'static str),
    /// The log is signed by another key.
    #[error("the audit log `{}` is signed by another key", path.display())]
    OtherKey {
        /// The writer's directory.
        path: PathBuf,
    },
    /// There is no such log.
    #[error("there is no audit log in `{}`", path.display())]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// What was queued could not be written before the deadline.
    #[error("the audit log did not finish writing before the deadline")]
    CloseTimeout,
    /// The operating system gave no thread or no random bytes.
    #[error("the operating system gave no {0}")]
    System(&'static str),
}

/// How a log is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line is not one JSON object.
    #[error("the line is not a JSON object")]
    NotJson,
    /// A segment does not begin where the one before ends.
    #[error("records are missing before this segment")]
    Gap,
    /// There are fewer records than the checkpoint covers.
    #[error("the signed checkpoint covers more records than there are")]
    Shorter,
    /// The tree's root is not the checkpoint's.
    #[error("the records are not those of the signed checkpoint")]
    Root,
    /// The checkpoint is missing or not signed by the log's key.
    #[error("the checkpoint is not one that the log's key signed")]
    Checkpoint,
}

const FULL: &str = "the disk is full; free some space and try again";

const IO_HINTS: [(ErrorKind, &str); 5] = [
    (
        ErrorKind::PermissionDenied,
        "the data directory must belong to the user that runs narrows, with mode 0700",
    ),
    (
        ErrorKind::ReadOnlyFilesystem,
        "the file system is mounted read-only; choose another place with `--data-dir`",
    ),
    (ErrorKind::StorageFull, FULL),
    (ErrorKind::QuotaExceeded, "the disk quota is used up; free some space and try again"),
    (ErrorKind::NotFound, "look at `--data-dir`: the directory is not one that `narrows up` made"),
];

impl StoreError {
    /// Wraps an error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Wraps an error of SQLite.
    pub(crate) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Database { path: path.clone(), source }
    }

    /// What to do, as a sentence without capital or full stop.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => {
                IO_HINTS.iter().find(|(kind, _)| *kind == source.kind()).map(|(_, hint)| *hint)
            }
            Self::Database { source, .. } => {
                Some(match source.sqlite_error().map(|error| error.extended_code) {
                    Some(rusqlite::ffi::SQLITE_FULL) => FULL,
                    // SQLite says no more of it than that the index of its log can't grow.
                    Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
                        "the disk is most likely full; free some space and try again"
                    }
                    _ => {
                        "check that the file is writable and its disk not full; a copy of the directory restores it"
                    }
                })
            }
            Self::Replaced { .. } => {
                Some("put the file back that was there, or stop `narrows up` before exchanging it")
            }
            Self::NewerSchema { .. } => {
                Some("run the newer binary that wrote it, or restore the copy made before the upgrade")
            }
            Self::OlderSchema { .. } => {
                Some("`narrows up` of this version brings it up to date when it starts")
            }
            Self::Locked { .. } => Some("stop the other `narrows up`, or give this one its own `--data-dir`"),
            Self::Damaged { .. } => Some(
                "run `narrows audit verify` for all that is wrong, keep a copy as evidence, then move the \
                 directory away to begin a new log",
            ),
            Self::Key(_) => {
                Some("an Ed25519 private key in PKCS#8 PEM, or a verifier key `name+id+key`, is needed")
            }
            Self::OtherKey { .. } => {
                Some("restore `keys/log-signing.pem`, or move the log's directory away to begin a new log")
            }
            Self::NoLog { .. } => Some("look at `--data-dir`: `narrows up` makes the log at its first start"),
            Self::CloseTimeout => Some("the disk hangs; what was acknowledged is on it, the rest is not"),
            Self::System(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_whoever_finds_it() {
        let path = Path::new("/data/narrows.db");
        let code = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        for (error, full) in [
            (StoreError::io("write", path)(ErrorKind::StorageFull.into()), true),
            (StoreError::database(path)(code(rusqlite::ffi::SQLITE_FULL)), true),
            (StoreError::database(path)(code(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)), true),
            (StoreError::database(path)(code(rusqlite::ffi::SQLITE_IOERR)), false),
        ] {
            let hint = error.hint().unwrap();
            assert_eq!(hint.ends_with("full; free some space and try again"), full, "{hint}");
        }
    }
}
