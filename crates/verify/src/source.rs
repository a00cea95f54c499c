//! Where the records lie: one file of an export, or the segments of a copied log.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// What a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An export: it ends where its checkpoint does.
    Export,
    /// A log: records may follow its checkpoint, and reserved blocks or an unfinished record its last one.
    Log,
}

/// The files of records of one log, in order.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) form: Form,
    /// Each with the index of its first record, as its name says.
    pub(crate) files: Vec<(u64, PathBuf)>,
}

impl Source {
    /// The records in a directory; none if it holds none.
    pub(crate) fn find(directory: &Path) -> io::Result<Option<Self>> {
        let records = directory.join("records.jsonl");
        if records.is_file() {
            return Ok(Some(Self { form: Form::Export, files: vec![(0, records)] }));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digits = name.strip_prefix("segment-").and_then(|name| name.strip_suffix(".jsonl"));
            files.extend(digits.and_then(|digits| digits.parse().ok()).map(|first| (first, path.clone())));
        }
        files.sort();
        Ok((!files.is_empty()).then_some(Self { form: Form::Log, files }))
    }
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a line feed.
    Whole,
    /// With the file, or in reserved blocks.
    Unfinished,
}

/// The lines of a file.
pub(crate) struct Lines(BufReader<File>);

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::with_capacity(1 << 20, File::open(path)?)))
    }

    /// Reads the next line, without its line feed; none at the end of the file.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<End>> {
        line.clear();
        // Reserved blocks read as NUL, up to the end.
        if self.0.fill_buf()?.first() == Some(&0) {
            return Ok(Some(End::Unfinished));
        }
        if self.0.read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        let whole = line.pop_if(|byte| *byte == b'\n').is_some();
        Ok(Some(if whole { End::Whole } else { End::Unfinished }))
    }
}
