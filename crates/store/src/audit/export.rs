//! Copies a log for others to check: what the last checkpoint covers, byte by byte, and no more.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use narrows_core::{
    audit::checkpoint::{Checkpoint, Note},
    ports::LogIndex,
};
use serde::Serialize;

use super::{Reading, writers};
use crate::{
    Damage, StoreError,
    log::{
        follow::CHECKPOINT,
        history::{self, Notes},
        open::{KEY_FILE, PEM_FILE},
    },
};

/// The records of an export: the segments one after the other.
const RECORDS: &str = "records.jsonl";

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// One for each writer.
    pub writers: Vec<ExportedWriter>,
}

/// What was exported of one writer's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedWriter {
    /// The writer, and the directory below the export's.
    pub writer: String,
    /// Records: those that the last checkpoint covers.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Newer records, which no checkpoint covers yet and which are left out.
    pub uncovered: u64,
}

/// Copies each writer's log up to its last checkpoint, with what is needed to check it, into a directory that does
/// not exist yet: `<writer>/records.jsonl`, `checkpoint`, `checkpoints`, `key.vkey` and `key.pem`.
///
/// # Errors
/// [`StoreError`] if there is no log or checkpoint, or something can't be read or written.
pub fn export(directory: &Path, out: &Path) -> Result<ExportReport, StoreError> {
    let logs = writers(directory)?;
    let make = |path: &Path| DirBuilder::new().mode(0o700).create(path).map_err(StoreError::io("make", path));
    make(out)?;
    let mut exported = Vec::new();
    for reading in logs {
        let out = out.join(&*reading.writer);
        make(&out)?;
        exported.push(export_writer(&reading, out)?);
    }
    Ok(ExportReport { writers: exported })
}

fn export_writer(reading: &Reading, out: PathBuf) -> Result<ExportedWriter, StoreError> {
    let damaged = |index, damage| StoreError::Damaged {
        path: reading.directory.clone(),
        index: LogIndex(index),
        damage,
    };
    let read = |name: &str| std::fs::read_to_string(reading.directory.join(name));
    let note = read(CHECKPOINT).map_err(StoreError::io("read", &reading.directory.join(CHECKPOINT)))?;
    let checkpoint = size_of(&note).ok_or_else(|| damaged(0, Damage::Checkpoint))?;
    let wrap = |error| StoreError::io("write", &out)(error);

    let mut records = create(&out, RECORDS).map_err(wrap)?;
    let mut bytes = 0;
    let mut cursor = reading.first()?;
    while cursor.index() < checkpoint.size {
        let Some(line) = cursor.next().map_err(reading.unread())? else {
            return Err(damaged(cursor.index(), Damage::Shorter));
        };
        records.write_all(line.bytes).and_then(|()| records.write_all(b"\n")).map_err(wrap)?;
        bytes += line.bytes.len() as u64 + 1;
    }
    finish(records).map_err(wrap)?;
    let mut uncovered = 0;
    while cursor.next().map_err(reading.unread())?.is_some() {
        uncovered += 1;
    }

    let mut checkpoints = create(&out, history::FILE).map_err(wrap)?;
    if let Some(mut notes) = Notes::open(&reading.directory).map_err(reading.unread())? {
        while let Some(note) = notes.next().map_err(reading.unread())? {
            let text = note.map_err(|_| damaged(0, Damage::Checkpoint))?.to_string();
            if size_of(&text).is_none_or(|covered| covered.size > checkpoint.size) {
                break;
            }
            writeln!(checkpoints, "{text}").map_err(wrap)?;
        }
    }
    finish(checkpoints).map_err(wrap)?;

    for (name, contents) in [(CHECKPOINT, Ok(note)), (KEY_FILE, read(KEY_FILE)), (PEM_FILE, read(PEM_FILE))] {
        let contents = contents.map_err(reading.unread())?;
        let mut file = create(&out, name).map_err(wrap)?;
        file.write_all(contents.as_bytes()).and_then(|()| finish(file)).map_err(wrap)?;
    }
    Ok(ExportedWriter { writer: reading.writer.to_string(), records: checkpoint.size, bytes, uncovered })
}

/// What a note says, whoever signed it; checking is for who receives the export.
fn size_of(note: &str) -> Option<Checkpoint> {
    note.parse::<Note>().ok()?.text.parse().ok()
}

fn create(directory: &Path, name: &str) -> io::Result<BufWriter<File>> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(directory.join(name))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

fn finish(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
