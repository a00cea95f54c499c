//! The directory that the demo server works in. Every path is opened beneath it by the kernel
//! (`openat2` with `RESOLVE_BENEATH`), so that neither `..` nor a symbolic link leads out; there is no check by
//! name that a race could outrun. It must never fall back to opening by a joined path.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags},
    io::Errno,
};

/// Largest file that is read or written, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;
/// Most entries that one listing returns.
pub(super) const MAX_ENTRIES: usize = 1000;
const MAX_PATH: usize = 512;
/// The scratch directory itself, as a path.
const ROOT: &str = ".";

/// Why a file operation was not done, in words for the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScratchError {
    #[error(
        "`{0}` is not a path here: write one relative to the scratch directory, without `.`, `..`, `//` or a `/` at its end"
    )]
    Outside(String),
    #[error("`{0}` does not exist")]
    Missing(String),
    #[error("`{0}` exists already")]
    Exists(String),
    #[error("`{path}` is {found}")]
    WrongKind { path: String, found: &'static str },
    #[error("`{path}` would have {bytes} bytes, more than the {MAX_FILE} allowed")]
    TooLarge { path: String, bytes: u64 },
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    #[error("`{path}`: {source}")]
    Io { path: String, source: std::io::Error },
}

/// Whether writing begins a file anew or adds to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteMode {
    Replace,
    Append,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path relative to the scratch directory.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    pub(super) bytes: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    Other,
}

/// An open scratch directory.
#[derive(Debug)]
pub(super) struct Scratch {
    root: OwnedFd,
}

impl Scratch {
    /// Opens `root`, which must be a directory.
    pub(super) fn open(root: &Path) -> Result<Self, ScratchError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty())
            .map_err(|error| failure(&root.display().to_string(), error))?;
        Ok(Self { root })
    }

    /// A file's bytes, at most [`MAX_FILE`].
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, ScratchError> {
        let file = File::from(self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let metadata = file.metadata().map_err(|source| io(path, source))?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() { "a directory" } else { "not an ordinary file" };
            return Err(ScratchError::WrongKind { path: path.into(), found });
        }
        within_limit(path, metadata.len())?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|source| io(path, source))?;
        within_limit(path, bytes.len() as u64)?;
        Ok(bytes)
    }

    /// A file's text.
    pub(super) fn read_text(&self, path: &str) -> Result<String, ScratchError> {
        String::from_utf8(self.read(path)?).map_err(|_| ScratchError::NotText(path.into()))
    }

    /// Writes `bytes` and returns the file's size afterwards.
    pub(super) fn write(&self, path: &str, bytes: &[u8], mode: WriteMode) -> Result<u64, ScratchError> {
        let before = match (mode, self.info(path)) {
            (WriteMode::Append, Ok(entry)) => entry.bytes,
            _ => 0,
        };
        let size = before.saturating_add(bytes.len() as u64);
        within_limit(path, size)?;
        let how = match mode {
            WriteMode::Replace => OFlags::TRUNC,
            WriteMode::Append => OFlags::APPEND,
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | how;
        let mut file = File::from(self.beneath(path, flags)?);
        file.write_all(bytes).map_err(|source| io(path, source))?;
        Ok(size)
    }

    /// What is at `path`.
    pub(super) fn info(&self, path: &str) -> Result<Entry, ScratchError> {
        let found = self.beneath(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let stat = rustix::fs::fstat(&found).map_err(|error| failure(path, error))?;
        Ok(entry(path.to_owned(), &stat))
    }

    /// The entries of a directory, sorted by name; `.` is the scratch directory itself.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, ScratchError> {
        let directory = self.beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        let reader = Dir::read_from(&directory).map_err(|error| failure(path, error))?;
        for found in reader.take(MAX_ENTRIES + 2) {
            let found = found.map_err(|error| failure(path, error))?;
            let name = found.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, found.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            let full = if path == ROOT { name } else { format!("{path}/{name}") };
            entries.push(entry(full, &stat));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Makes one directory; its parent must exist.
    pub(super) fn make_directory(&self, path: &str) -> Result<(), ScratchError> {
        let (parent, name) = self.parent_of(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)).map_err(|error| failure(path, error))
    }

    /// Renames without replacing.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), ScratchError> {
        let (from_parent, from_name) = self.parent_of(from)?;
        let (to_parent, to_name) = self.parent_of(to)?;
        rustix::fs::renameat_with(&from_parent, from_name, &to_parent, to_name, RenameFlags::NOREPLACE)
            .map_err(|error| failure(if error == Errno::EXIST { to } else { from }, error))
    }

    /// Removes a file or an empty directory.
    pub(super) fn remove(&self, path: &str) -> Result<(), ScratchError> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR),
            done => done,
        }
        .map_err(|error| failure(path, error))
    }

    fn parent_of<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), ScratchError> {
        if !is_normal(path) {
            return Err(ScratchError::Outside(path.into()));
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or((ROOT, path));
        Ok((self.beneath(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, ScratchError> {
        if path != ROOT && !is_normal(path) {
            return Err(ScratchError::Outside(path.into()));
        }
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)
            .map_err(|error| failure(path, error))
    }
}

/// Whether a path is written in the one way that a rule on arguments can be about. Two spellings of one file would
/// let a call around a condition on the other.
fn is_normal(path: &str) -> bool {
    path.len() <= MAX_PATH
        && !path.contains('\0')
        && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

fn entry(path: String, stat: &rustix::fs::Stat) -> Entry {
    let found = FileType::from_raw_mode(stat.st_mode);
    let kind = if found.is_file() {
        EntryKind::File
    } else if found.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    };
    Entry { path, kind, bytes: u64::try_from(stat.st_size).unwrap_or(0), modified: stat.st_mtime }
}

fn within_limit(path: &str, bytes: u64) -> Result<(), ScratchError> {
    if bytes > MAX_FILE as u64 { Err(ScratchError::TooLarge { path: path.into(), bytes }) } else { Ok(()) }
}

fn io(path: &str, source: std::io::Error) -> ScratchError {
    ScratchError::Io { path: path.into(), source }
}

fn failure(path: &str, error: Errno) -> ScratchError {
    match error {
        // What `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS` answer.
        Errno::XDEV | Errno::LOOP => ScratchError::Outside(path.into()),
        Errno::NOENT => ScratchError::Missing(path.into()),
        Errno::EXIST => ScratchError::Exists(path.into()),
        Errno::NOTDIR => ScratchError::WrongKind { path: path.into(), found: "not a directory" },
        Errno::ISDIR => ScratchError::WrongKind { path: path.into(), found: "a directory" },
        Errno::NOTEMPTY => {
            ScratchError::WrongKind { path: path.into(), found: "a directory that is not empty" }
        }
        other => io(path, other.into()),
    }
}
