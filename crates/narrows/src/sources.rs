//! The files that hold resources: which they are, and their text. A directory stands for the files directly in it,
//! in the order of their names. What can't be read is a problem like any other, reported with the rest.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use narrows_core::{
    problem::{Place, Problem},
    resource::SourceFile,
};

/// Most bytes that one file may have.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads all of `paths` that can be read, and says what can't.
pub(crate) fn read(paths: &[PathBuf]) -> (Vec<SourceFile>, Vec<Problem>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match expand(path) {
            Ok(found) => {
                for file in found {
                    match read_file(&file) {
                        Ok(text) => files.push(SourceFile { name: file.display().to_string().into(), text }),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    (files, problems)
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let metadata = std::fs::metadata(path).map_err(|error| problem(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| problem(path, &error))? {
        let file = entry.map_err(|error| problem(path, &error))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_resource = matches!(file.extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json"));
        if is_resource && !hidden && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let metadata = std::fs::metadata(path).map_err(|error| problem(path, &error))?;
    if metadata.len() > MAX_FILE {
        return Err(Problem {
            place: place(path),
            message: format!("the file has {} bytes, more than the {MAX_FILE} that are read", metadata.len()),
            hint: Some("divide it".to_owned()),
        });
    }
    let bytes = std::fs::read(path).map_err(|error| problem(path, &error))?;
    String::from_utf8(bytes).map_err(|error| Problem {
        place: place(path),
        message: format!(
            "the file is not UTF-8: byte {} is not part of a character",
            error.utf8_error().valid_up_to()
        ),
        hint: Some("save it as UTF-8".to_owned()),
    })
}

fn place(path: &Path) -> Place {
    Place { file: path.display().to_string().into(), line: 0, column: 0 }
}

fn problem(path: &Path, error: &std::io::Error) -> Problem {
    let hint = if error.kind() == std::io::ErrorKind::NotFound {
        "check the path"
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        "let the account that runs narrows read it"
    } else {
        "see whether the disk and the path are sound"
    };
    Problem { place: place(path), message: format!("cannot be read: {error}"), hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "d.txt", ".e.yaml"] {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        std::fs::create_dir(directory.path().join("f.yaml")).unwrap();
        let texts: Vec<_> =
            read(&[directory.path().to_owned()]).0.into_iter().map(|file| file.text).collect();
        assert_eq!(texts, ["a.yaml", "b.yml", "c.json"]);
    }

    #[test]
    fn everything_unreadable_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("latin.yaml"), b"a: \xe4").unwrap();
        let (_, problems) = read(&[at("missing.yaml"), at("latin.yaml"), at("gone")]);
        let said: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "cannot be read: No such file or directory (os error 2)",
                "the file is not UTF-8: byte 3 is not part of a character",
                "cannot be read: No such file or directory (os error 2)",
            ]
        );
    }
}
