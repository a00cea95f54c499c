//! The thread that indexes: it reads what became durable, a block at a time. Nobody waits for it, and its failure is
//! no failure of the log.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use narrows_core::ports::Pairing;
use rusqlite::ErrorCode;

use super::{BLOCK, Block, Field, Ids, Index, Term};
use crate::{
    StoreError,
    log::{
        line::View,
        read::Cursor,
        segment,
        shared::{Ended, Shared},
    },
};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it tries again after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// Blocks of one transaction.
const TRANSACTION: usize = 64;

/// The indexer.
pub(crate) struct Indexer {
    pub(crate) directory: PathBuf,
    pub(crate) shared: Arc<Shared>,
}

impl Indexer {
    /// Indexes until the writer has ended. What is not indexed by then is at the next start.
    pub(crate) fn run(self) {
        loop {
            match self.follow() {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot index the audit log; searching is slower until it can");
                    if is_corrupt(&error) {
                        Index::remove(&self.directory);
                    }
                }
            }
            if self.shared.wait(RETRY, || false) == Ended::Yes {
                return;
            }
        }
    }

    fn follow(&self) -> Result<(), StoreError> {
        let mut index = Index::open(&self.directory)?;
        let mut cursor = self.resume(&index)?;
        loop {
            cursor.refresh().map_err(self.unread())?;
            while self.catch_up(&mut index, &mut cursor)? == TRANSACTION {
                if self.shared.wait(Duration::ZERO, || false) == Ended::Yes {
                    return Ok(());
                }
            }
            if self.shared.wait(INTERVAL, || false) == Ended::Yes {
                return Ok(());
            }
        }
    }

    /// Where indexing goes on: after the last block, if the log reaches that far and a record begins there.
    fn resume(&self, index: &Index) -> Result<Cursor, StoreError> {
        if let Some((record, place)) = index.end()?
            && record <= self.shared.durable()
            && segment::begins_record(&self.directory, place).map_err(self.unread())?
        {
            return Ok(Cursor::new(&self.directory, record, place));
        }
        index.reset()?;
        let first = segment::list(&self.directory).map_err(self.unread())?.first().copied().unwrap_or(0);
        Ok(Cursor::at_segment(&self.directory, first))
    }

    /// Indexes whole blocks, at most a transaction, and returns how many.
    fn catch_up(&self, index: &mut Index, cursor: &mut Cursor) -> Result<usize, StoreError> {
        let durable = self.shared.durable();
        let mut blocks = Vec::new();
        while blocks.len() < TRANSACTION && (cursor.index() / BLOCK + 1) * BLOCK <= durable {
            blocks.push(block(cursor, &self.directory)?);
        }
        if !blocks.is_empty() {
            index.add(&blocks, (cursor.index(), cursor.place()))?;
        }
        Ok(blocks.len())
    }

    fn unread(&self) -> impl FnOnce(std::io::Error) -> StoreError {
        StoreError::io("read", &self.directory)
    }
}

fn is_corrupt(error: &StoreError) -> bool {
    let StoreError::Database { source, .. } = error else { return false };
    matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Reads the block that the cursor is in, to its end.
fn block(cursor: &mut Cursor, directory: &Path) -> Result<Block, StoreError> {
    let number = cursor.index() / BLOCK;
    let mut place = cursor.place();
    let (mut ids, mut terms) = (Ids::default(), HashSet::new());
    let (mut earliest, mut latest) = (String::new(), String::new());
    let mut first = true;
    while cursor.index() / BLOCK == number {
        let read = cursor.next().map_err(StoreError::io("read", directory))?;
        let Some(line) = read else {
            let gone = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a durable record is gone");
            return Err(StoreError::io("read", directory)(gone));
        };
        if first {
            // The cursor may have moved on to another segment.
            place = line.place;
        }
        if let Some(view) = View::parse(line.bytes) {
            [&view.id, &view.request.id].into_iter().filter(|id| !id.is_empty()).for_each(|id| ids.add(id));
            terms.extend(view.terms());
            if first || *view.time < *earliest {
                earliest = view.time.clone().into_owned();
            }
            if first || *view.time > *latest {
                latest = view.time.clone().into_owned();
            }
        }
        first = false;
    }
    Ok(Block { number, place, earliest, latest, ids, terms: terms.into_iter().collect() })
}

impl View<'_> {
    /// What the index keeps of a record.
    fn terms(&self) -> impl Iterator<Item = Term> {
        let closes = match self.pairing() {
            Pairing::Outcome(intent) => Some(Term::closes(intent.0 / BLOCK)),
            Pairing::Intent | Pairing::Event => None,
        };
        let fields = Field::ALL
            .into_iter()
            .flat_map(|field| self.values(field).map(move |value| Term::of(field, value)));
        fields.chain(closes)
    }

    /// A field's values: none if it is absent, two where an agent acted for a person and both are subjects.
    pub(crate) fn values(&self, field: Field) -> impl Iterator<Item = &str> {
        let (value, other) = match field {
            Field::Kind => (&self.kind, None),
            Field::Subject => (&self.actor.subject, Some(&self.actor.on_behalf_of)),
            Field::Namespace => (&self.object.namespace, None),
            Field::Server => (&self.object.name, None),
            Field::Tool => (&self.request.tool, None),
            Field::Method => (&self.request.method, None),
            Field::Status => (&self.outcome.status, None),
            Field::Effect => (&self.decision.effect, None),
        };
        [Some(value), other].into_iter().flatten().map(AsRef::as_ref).filter(|value: &&str| !value.is_empty())
    }
}
