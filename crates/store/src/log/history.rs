//! The file of all checkpoints of a log, oldest first: signed notes, each followed by an empty line. Only ever
//! appended to; an unfinished last note is cut off.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use narrows_core::audit::checkpoint::{CheckpointError, Note};

/// The file's name.
pub(crate) const FILE: &str = "checkpoints";
/// More than two notes take.
const TAIL: u64 = 8 << 10;
/// Largest note that is read.
const NOTE: usize = 4 << 10;

/// The file, open for appending.
pub(crate) struct History {
    file: File,
    length: u64,
}

impl History {
    /// Opens or makes the file, and returns the last note in it.
    pub(crate) fn open(directory: &Path) -> io::Result<(Self, Option<Note>)> {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = options.open(directory.join(FILE))?;
        let start = file.metadata()?.len().saturating_sub(TAIL);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut tail)?;
        let ends = ends(&tail);
        let end = ends.last().copied().unwrap_or(0);
        let begin = ends.iter().rev().nth(1).copied().unwrap_or(0);
        let last = tail.get(begin..end).and_then(|note| std::str::from_utf8(note).ok()).and_then(parse);
        let length = start + end as u64;
        file.set_len(length)?;
        Ok((Self { file, length }, last))
    }

    /// Adds a note, durably.
    pub(crate) fn append(&mut self, note: &Note) -> io::Result<()> {
        let text = format!("{note}\n");
        let written =
            self.file.write_all_at(text.as_bytes(), self.length).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += text.len() as u64,
            // If even this fails, the next note overwrites the rest of this one, or opening cuts it off.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }
}

/// Offsets after each whole note: after the empty line that follows a signature.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let (mut ends, mut offset, mut signed) = (Vec::new(), 0, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        offset += line.len();
        if signed && line == b"\n" {
            ends.push(offset);
        }
        signed = line.starts_with("\u{2014} ".as_bytes());
    }
    ends
}

fn parse(note: &str) -> Option<Note> {
    note.strip_suffix('\n')?.parse().ok()
}

/// Reads a history from its beginning, one note at a time.
pub(crate) struct Notes<R> {
    reader: R,
}

impl Notes<BufReader<File>> {
    /// The notes of a log's directory; none at all if there is no file yet.
    pub(crate) fn open(directory: &Path) -> io::Result<Option<Self>> {
        match File::open(directory.join(FILE)) {
            Ok(file) => Ok(Some(Self { reader: BufReader::new(file) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<R: BufRead> Notes<R> {
    /// The next note as it was written; none at the end of the file, or an error in place of what is no note. After
    /// an error there is no next.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<Note, CheckpointError>>> {
        let mut text = String::new();
        let (mut blanks, mut line) = (0, Vec::new());
        while blanks < 2 && text.len() < NOTE {
            line.clear();
            if self.reader.by_ref().take(NOTE as u64).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            blanks += usize::from(line == b"\n");
            match std::str::from_utf8(&line) {
                Ok(line) => text.push_str(line),
                Err(_) => return Ok(Some(Err(CheckpointError::Note))),
            }
        }
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(parse(&text).filter(|note| format!("{note}\n") == text).ok_or(CheckpointError::Note)))
    }
}

#[cfg(test)]
mod tests;
