//! The thread behind the writer: it reads what became durable, grows the tree and publishes signed checkpoints. No
//! request waits for it. It never signs a tree with a record in it that is not durable.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use narrows_core::audit::{
    checkpoint::{Checkpoint, VerifierKey},
    tree::leaf_hash,
};

use super::{
    disk::{replace, sync_directory},
    history::History,
    progress::{self, Progress, encode_edge},
    read::Cursor,
    shared::{Ended, Shared},
    tiles::Tiles,
    write::MANY,
};
use crate::key::SigningKey;

/// The file of the newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Shortest time between two checkpoints, however many records there are: each takes two syncs from the writer.
const SPACING: Duration = Duration::from_millis(500);
/// Time after which the place to read on from is written again.
const NOTED: Duration = Duration::from_secs(5);

/// The follower.
pub(crate) struct Follower {
    pub(crate) directory: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: SigningKey,
    pub(crate) verifier: VerifierKey,
    pub(crate) tiles: Tiles,
    /// Before the record that is the tree's next leaf.
    pub(crate) cursor: Cursor,
    pub(crate) history: History,
    /// Size of the published checkpoint.
    pub(crate) published: u64,
    /// When the place to read on from was last written.
    pub(crate) noted: Option<Instant>,
    pub(crate) interval: Duration,
}

impl Follower {
    /// Follows until the writer has ended and its last record is covered.
    pub(crate) fn run(mut self) {
        let spacing = SPACING.min(self.interval);
        let mut fails = false;
        // The first checkpoint comes at once: a log without any does not verify.
        let mut ended = Ended::No;
        loop {
            match self.step(ended) {
                Ok(()) => fails = false,
                Err(error) if !fails => {
                    tracing::warn!(%error, "cannot publish a checkpoint of the audit log; trying again");
                    fails = true;
                }
                Err(_) => {}
            }
            if ended == Ended::Yes {
                return;
            }
            self.shared.wait(spacing, || false);
            let enough = || self.shared.durable() >= self.published + MANY;
            ended = self.shared.wait(self.interval.saturating_sub(spacing), enough);
        }
    }

    fn step(&mut self, ended: Ended) -> io::Result<()> {
        let durable = self.shared.durable();
        self.cursor.refresh()?;
        while self.cursor.index() < durable {
            if self.tiles.is_full() {
                self.tiles.flush_full(&self.directory)?;
            }
            match self.cursor.next()? {
                Some(line) => self.tiles.push(leaf_hash(line.bytes)),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a durable record is gone")),
            }
        }
        if self.tiles.size() != self.published {
            self.publish()?;
        }
        if ended == Ended::Yes || self.noted.is_none_or(|noted| noted.elapsed() > NOTED) {
            self.note_progress()?;
        }
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        let (size, root) = (self.tiles.size(), self.tiles.root());
        self.tiles.flush(&self.directory)?;
        let checkpoint = Checkpoint { origin: self.verifier.name().to_owned(), size, root };
        let note = self.key.sign(&checkpoint, &self.verifier);
        // Durable here, so a restart that finds the file before this one takes it from the history.
        self.history.append(&note)?;
        replace(&self.directory, CHECKPOINT, note.to_string().as_bytes())?;
        self.published = size;
        self.shared.set_covered(size);
        self.tiles.remove_partials(&self.directory)
    }

    fn note_progress(&mut self) -> io::Result<()> {
        let index = self.cursor.index();
        let progress = Progress {
            index,
            place: self.cursor.place(),
            open: self.shared.open().open.range(..index).map(|(intent, place)| (*intent, *place)).collect(),
            edge: encode_edge(self.tiles.edge()),
        };
        replace(&self.directory, progress::FILE, &progress.encode()?)?;
        sync_directory(&self.directory)?;
        self.noted = Some(Instant::now());
        Ok(())
    }
}
