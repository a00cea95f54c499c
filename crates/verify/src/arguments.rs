//! What was asked for on the command line.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::key::TrustedKey;

/// How to use it.
pub(crate) const USAGE: &str = "\
Checks an exported audit log of Narrows, or a copy of a log's directory.

Usage: narrows-verify --key KEY [--checkpoint FILE]... [--output text|json] DIRECTORY

  DIRECTORY          what `narrows audit export` wrote, or one writer's directory in it
  --key KEY          the log's public key: a verifier key (`name+id+key`), or a file with one or with a PEM public
                     key. Take it from where the log could not have been changed together with it.
  --checkpoint FILE  a checkpoint of this log that was kept elsewhere: shows a log that was cut or rolled back
  --output FORMAT    text (default) or json

Exit status: 0 the log is as it was written, 1 it is not or could not be read, 2 wrong usage.";

/// What to do.
#[derive(Debug)]
pub(crate) enum Asked {
    Help,
    Version,
    Check(Options),
}

/// What to check.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) keys: Vec<TrustedKey>,
    pub(crate) kept: Vec<PathBuf>,
    pub(crate) output: Output,
    pub(crate) directory: PathBuf,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut arguments = arguments.peekable();
    let (mut keys, mut kept, mut output, mut directory) = (Vec::new(), Vec::new(), Output::Text, None);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(OsString::from(value))),
            _ => (text, None),
        };
        let mut value = || {
            let value = inline.clone().or_else(|| arguments.next());
            value.filter(|value| !value.is_empty()).ok_or(format!("`{name}` needs a value"))
        };
        match name.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "-V" | "--version" => return Ok(Asked::Version),
            "--key" => keys.push(key(&value()?)?),
            "--checkpoint" => kept.push(PathBuf::from(value()?)),
            "--output" => {
                output = match value()?.to_str() {
                    Some("text") => Output::Text,
                    Some("json") => Output::Json,
                    _ => return Err("`--output` is `text` or `json`".to_owned()),
                }
            }
            option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            _ if directory.is_none() => directory = Some(PathBuf::from(argument)),
            _ => return Err("one directory, please".to_owned()),
        }
    }
    if keys.is_empty() {
        return Err("`--key` is missing".to_owned());
    }
    let directory = directory.ok_or("which directory?".to_owned())?;
    Ok(Asked::Check(Options { keys, kept, output, directory }))
}

fn key(value: &OsString) -> Result<TrustedKey, String> {
    let path = Path::new(value);
    let text = match value.to_str().filter(|text| text.contains('+') && !path.exists()) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the key `{}`: {error}", path.display()))?,
    };
    TrustedKey::parse(&text)
        .ok_or_else(|| format!("`{}` is neither a verifier key nor a PEM public key", path.display()))
}
