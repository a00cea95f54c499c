//! Finds the file that a command names, so that what is wrong with it can be said in words. It is run by that path:
//! nothing is searched a second time.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Why a command can't be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRunnable {
    /// There is no such file.
    #[error("command `{0}` was not found\nhint: install it, or write its absolute path in `spec.command`")]
    NotFound(String),
    /// It has a `/` but does not begin with one.
    #[error(
        "command `{0}` is a relative path\nhint: write an absolute path, or a bare name to be found on PATH"
    )]
    Relative(String),
    /// It is there and may not be run.
    #[error(
        "command `{0}` may not be run: permission denied\nhint: is it a file, and executable for this account?"
    )]
    Denied(String),
    /// Neither a program nor a script that names its interpreter. Running it would need a shell.
    #[error(
        "command `{0}` is neither a program nor a script that begins with `#!`\nhint: name the interpreter as the first word of `spec.command`"
    )]
    Format(String),
    /// The command is empty.
    #[error("the command is empty")]
    Empty,
    /// Anything else.
    #[error("command `{command}` can't be run: {source}")]
    Other {
        /// The command.
        command: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The file that `program` names. A bare name is looked for in the absolute directories of `path`.
pub(crate) fn find(program: &str, path: &str) -> Result<PathBuf, NotRunnable> {
    if program.is_empty() {
        return Err(NotRunnable::Empty);
    }
    if program.starts_with('/') {
        let file = PathBuf::from(program);
        return check(&file, program).map(|()| file);
    }
    if program.contains('/') {
        return Err(NotRunnable::Relative(program.to_owned()));
    }
    let mut worst = NotRunnable::NotFound(program.to_owned());
    for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
        let file = Path::new(directory).join(program);
        match check(&file, program) {
            Ok(()) => return Ok(file),
            Err(NotRunnable::NotFound(_)) => {}
            Err(other) => worst = other,
        }
    }
    Err(worst)
}

fn check(file: &Path, program: &str) -> Result<(), NotRunnable> {
    let told = |source: io::Error| {
        let kind = source.kind();
        if kind == io::ErrorKind::NotFound || kind == io::ErrorKind::NotADirectory {
            NotRunnable::NotFound(program.to_owned())
        } else if kind == io::ErrorKind::PermissionDenied {
            NotRunnable::Denied(program.to_owned())
        } else {
            NotRunnable::Other { command: program.to_owned(), source }
        }
    };
    let meta = fs::metadata(file).map_err(told)?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Err(NotRunnable::Denied(program.to_owned()));
    }
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).map_err(|error| told(error.into()))?;
    // What may be run but not read is left to the kernel to judge.
    let Ok(mut open) = File::open(file) else { return Ok(()) };
    let mut head = [0_u8; 4];
    let read = open.read(&mut head).map_err(told)?;
    match head.get(..read) {
        Some([0x7f, b'E', b'L', b'F'] | [b'#', b'!', ..]) => Ok(()),
        _ => Err(NotRunnable::Format(program.to_owned())),
    }
}

#[cfg(test)]
mod tests;
