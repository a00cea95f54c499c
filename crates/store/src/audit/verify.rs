//! Checks a log against its signed checkpoints. Says everything that is wrong, not the first thing only; whoever
//! does not trust this program has `narrows-verify`, which shares nothing with it.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use narrows_core::{
    audit::{
        checkpoint::{Checkpoint, Note, VerifierKey},
        tree::{Frontier, leaf_hash},
    },
    ports::{LogIndex, Pairing},
};
use serde::Serialize;

use super::{Reading, writers};
use crate::{
    StoreError, key,
    log::{
        follow::CHECKPOINT,
        history::{self, Notes},
        line::View,
        open::KEY_FILE,
        read::{Cursor, Line},
        segment::{self, file_name},
    },
};

/// Problems that are told one by one.
const TOLD: usize = 1000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// One for each writer.
    pub writers: Vec<WriterReport>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.writers.iter().all(|writer| writer.problems.is_empty())
    }
}

/// What a check of one writer's log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WriterReport {
    /// The writer.
    pub writer: String,
    /// Records read.
    pub records: u64,
    /// Records that the newest good checkpoint covers; the others are not yet signed for.
    pub covered: u64,
    /// The root at that size, in base64.
    pub root: String,
    /// Checkpoints whose signature and root are right.
    pub checkpoints: u64,
    /// Intents without outcome so far. Not a problem while the writer runs.
    pub open_intents: u64,
    /// All that is wrong, at most a thousand. The log is as it was written if this is empty.
    pub problems: Vec<LogProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogProblem {
    /// The file, relative to the writer's directory.
    pub file: String,
    /// The record concerned, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<LogIndex>,
    /// What is wrong.
    pub message: String,
}

/// Checks the logs below a directory. `key` is the installation's, under the name of any of its writers, and must
/// have come by another way than the log.
///
/// # Errors
/// [`StoreError`] if a log can't be read; what is wrong with it is in the report.
pub fn verify(directory: &Path, key: &VerifierKey) -> Result<VerifyReport, StoreError> {
    let installation = key.name().rsplit_once('/').map_or("", |(installation, _)| installation);
    let mut reports = Vec::new();
    for reading in writers(directory)? {
        let name = format!("{installation}/{}", reading.writer);
        let key = VerifierKey::new(&name, *key.public())
            .ok_or(StoreError::Key("its name has spaces or `+` in it"))?;
        reports.push(Check::new(&reading, key).run()?);
    }
    Ok(VerifyReport { writers: reports })
}

struct Check<'a> {
    reading: &'a Reading,
    key: VerifierKey,
    notes: Option<Notes<std::io::BufReader<std::fs::File>>>,
    /// The next checkpoint of the history.
    awaited: Option<Checkpoint>,
    newest: Option<Checkpoint>,
    tree: Frontier,
    /// Two bits for each record: it is an intent; it is closed.
    intents: Vec<u64>,
    closed: Vec<u64>,
    report: WriterReport,
}

impl<'a> Check<'a> {
    fn new(reading: &'a Reading, key: VerifierKey) -> Self {
        let report = WriterReport {
            writer: reading.writer.to_string(),
            records: 0,
            covered: 0,
            root: STANDARD.encode(Frontier::new().root().0),
            checkpoints: 0,
            open_intents: 0,
            problems: Vec::new(),
        };
        Self {
            reading,
            key,
            notes: None,
            awaited: None,
            newest: None,
            tree: Frontier::new(),
            intents: Vec::new(),
            closed: Vec::new(),
            report,
        }
    }

    fn problem(&mut self, file: &str, index: Option<u64>, message: &str) {
        if self.report.problems.len() < TOLD {
            let problem =
                LogProblem { file: file.to_owned(), index: index.map(LogIndex), message: message.to_owned() };
            self.report.problems.push(problem);
        }
    }

    fn run(mut self) -> Result<WriterReport, StoreError> {
        let directory = &self.reading.directory;
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
        if read(KEY_FILE).is_none_or(|found| found != format!("{}\n", self.key)) {
            self.problem(KEY_FILE, None, "not the key that was given");
        }
        // Before the history, which is never behind it.
        let current = read(CHECKPOINT).and_then(|text| text.parse::<Note>().ok());
        let current = current.and_then(|note| key::open_note(&note, &self.key));
        if current.is_none() {
            self.problem(CHECKPOINT, None, "missing, or not a checkpoint signed by the key");
        }
        self.notes = Notes::open(directory).map_err(self.reading.unread())?;
        self.await_next()?;
        self.records()?;
        self.finish(current.as_ref())?;
        Ok(self.report)
    }

    /// Goes to the next good checkpoint of the history.
    fn await_next(&mut self) -> Result<(), StoreError> {
        self.awaited = None;
        while let Some(notes) = &mut self.notes {
            let Some(note) = notes.next().map_err(self.reading.unread())? else { return Ok(()) };
            let Ok(note) = note else {
                self.problem(history::FILE, None, "not a list of signed notes");
                self.notes = None;
                return Ok(());
            };
            let Some(checkpoint) = key::open_note(&note, &self.key) else {
                self.problem(history::FILE, None, "a note is not a checkpoint signed by the key");
                continue;
            };
            let before = self.newest.as_ref().map_or(0, |newest| newest.size);
            if checkpoint.size <= before {
                let message =
                    format!("the checkpoint of {} records comes after one of {before}", checkpoint.size);
                self.problem(history::FILE, None, &message);
                continue;
            }
            self.newest = Some(checkpoint.clone());
            self.awaited = Some(checkpoint);
            return Ok(());
        }
        Ok(())
    }

    fn records(&mut self) -> Result<(), StoreError> {
        let directory = &self.reading.directory;
        let segments = segment::list(directory).map_err(self.reading.unread())?;
        let mut cursor = Cursor::at_segment(directory, 0);
        loop {
            while let Some(line) = cursor.next().map_err(self.reading.unread())? {
                self.record(line)?;
            }
            // A segment that does not begin where the one before ends: go on there, to say what else is wrong.
            let reached = cursor.place().segment;
            let Some(next) = segments.iter().copied().find(|first| *first > reached) else { return Ok(()) };
            let message = format!(
                "records are missing, or damaged, before it: the one before ends at {}",
                cursor.index()
            );
            self.problem(&file_name(next), Some(cursor.index()), &message);
            cursor = Cursor::at_segment(directory, next);
        }
    }

    fn record(&mut self, line: Line<'_>) -> Result<(), StoreError> {
        let file = file_name(line.place.segment);
        self.report.records += 1;
        self.tree.push(leaf_hash(line.bytes));
        match View::parse(line.bytes) {
            None => self.problem(&file, Some(line.index), "not a JSON object"),
            Some(view) => self.pair(&file, line.index, view.pairing()),
        }
        while let Some(checkpoint) = self.awaited.take_if(|awaited| awaited.size == self.tree.size()) {
            if checkpoint.root == self.tree.root() {
                self.report.checkpoints += 1;
                self.report.covered = checkpoint.size;
                self.report.root = STANDARD.encode(checkpoint.root.0);
            } else {
                let message = format!(
                    "records {}..{} are not those that the checkpoint of {} records signs",
                    self.report.covered, checkpoint.size, checkpoint.size
                );
                self.problem(&file, Some(self.report.covered), &message);
            }
            self.await_next()?;
        }
        Ok(())
    }

    fn pair(&mut self, file: &str, index: u64, pairing: Pairing) {
        match pairing {
            Pairing::Event => {}
            Pairing::Intent => {
                set(&mut self.intents, index);
                self.report.open_intents += 1;
            }
            Pairing::Outcome(intent) if !is_set(&self.intents, intent.0) => {
                self.problem(
                    file,
                    Some(index),
                    &format!("closes {}, which is no intent before it", intent.0),
                );
            }
            Pairing::Outcome(intent) if is_set(&self.closed, intent.0) => {
                self.problem(file, Some(index), &format!("closes {}, which was closed before", intent.0));
            }
            Pairing::Outcome(intent) => {
                set(&mut self.closed, intent.0);
                self.report.open_intents -= 1;
            }
        }
    }

    fn finish(&mut self, current: Option<&Checkpoint>) -> Result<(), StoreError> {
        while let Some(checkpoint) = self.awaited.take() {
            let message = format!(
                "a checkpoint covers {} records, and there are {}",
                checkpoint.size, self.report.records
            );
            self.problem(history::FILE, Some(self.report.records), &message);
            self.await_next()?;
        }
        let Some(current) = current else { return Ok(()) };
        match &self.newest {
            Some(newest) if newest.size > current.size || newest == current => {}
            _ => self.problem(CHECKPOINT, None, "not among the checkpoints of the history"),
        }
        Ok(())
    }
}

fn set(bits: &mut Vec<u64>, index: u64) {
    let (word, bit) = ((index / 64) as usize, index % 64);
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << bit;
    }
}

fn is_set(bits: &[u64], index: u64) -> bool {
    usize::try_from(index / 64)
        .ok()
        .and_then(|word| bits.get(word))
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}
