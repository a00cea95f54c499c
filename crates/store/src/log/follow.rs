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
    disk::replace,
    history::History,
    progress::{self, Progress},
    read::Cursor,
    shared::{Ended, Shared},
    tiles::Tiles,
};
use crate::key::SigningKey;

/// The file of the newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Shortest time between two checkpoints, however many records there are.
const SPACING: Duration = Duration::from_millis(100);

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
    pub(crate) interval: Duration,
}

impl Follower {
    /// Follows until the writer has ended and its last record is covered.
    pub(crate) fn run(mut self) {
        let mut patience = self.interval;
        let mut fails = false;
        loop {
            let ended = self.shared.wait(patience);
            let began = Instant::now();
            match self.step() {
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
            // A wait that many records end early must not end at once again.
            let rest = SPACING.min(self.interval).saturating_sub(began.elapsed());
            std::thread::sleep(rest);
            patience = self.interval.saturating_sub(rest);
        }
    }

    fn step(&mut self) -> io::Result<()> {
        let durable = self.shared.durable();
        while self.cursor.index() < durable {
            if self.tiles.is_full() {
                self.tiles.flush_full(&self.directory)?;
            }
            match self.cursor.next()? {
                Some(line) => self.tiles.push(leaf_hash(line.bytes)),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a durable record is gone")),
            }
        }
        if self.tiles.size() == self.published { Ok(()) } else { self.publish() }
    }

    fn publish(&mut self) -> io::Result<()> {
        let (size, root) = (self.tiles.size(), self.tiles.root());
        self.tiles.flush(&self.directory)?;
        let checkpoint = Checkpoint { origin: self.verifier.name().to_owned(), size, root };
        let note = self.key.sign(&checkpoint, &self.verifier);
        self.history.append(&note)?;
        let progress = self.progress().encode()?;
        let files = [(CHECKPOINT, note.to_string().into_bytes()), (progress::FILE, progress)];
        replace(&self.directory, &files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice())))?;
        self.published = size;
        self.shared.set_covered(size);
        self.tiles.remove_partials(&self.directory)
    }

    fn progress(&self) -> Progress {
        let index = self.cursor.index();
        let open = self.shared.open().open.range(..index).map(|(intent, place)| (*intent, *place)).collect();
        Progress { index, place: self.cursor.place(), open }
    }
}
