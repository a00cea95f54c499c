//! Opening a log: find its end, cut off what a crash left unfinished, and check the end of the tree against the last
//! signed checkpoint. Reads the records since that checkpoint, not the whole log. A log that is not the one that was
//! signed is refused, never mended.

use std::{
    cmp::Ordering,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use narrows_core::{
    audit::{
        checkpoint::{Checkpoint, Note, VerifierKey},
        tree::leaf_hash,
    },
    ports::LogIndex,
};

use super::{
    follow::CHECKPOINT,
    history::History,
    line::View,
    progress::{self, OpenIntents, Progress},
    read::Cursor,
    segment::{self, Place, file_name, list},
    tiles::Tiles,
};
use crate::{Damage, StoreError, key};

/// A log's end, as it was found.
pub(crate) struct Found {
    /// Where the next record goes.
    pub(crate) end: Place,
    /// The tree of all records.
    pub(crate) tiles: Tiles,
    /// Size of the last checkpoint.
    pub(crate) covered: u64,
    /// Intents without outcome.
    pub(crate) open: OpenIntents,
    /// Bytes after the last record that are not reserved blocks.
    pub(crate) torn: u64,
    pub(crate) history: History,
}

/// Looks at the log in `directory`, which exists.
pub(crate) fn find(directory: &Path, verifier: &VerifierKey) -> Result<Found, StoreError> {
    let read = |source| StoreError::io("read", directory)(source);
    let (mut history, last) = History::open(directory).map_err(read)?;
    let checkpoint = newest_checkpoint(directory, verifier, &mut history, last)?;
    let covered = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let segments = list(directory).map_err(read)?;

    let begins = |place| segment::begins_record(directory, place).unwrap_or(false);
    let progress = Progress::load(directory).filter(|known| known.index <= covered && begins(known.place));
    let known = progress.and_then(|known| {
        Some((known.tiles()?, Cursor::new(directory, known.index, known.place), known.open_intents()))
    });
    let (mut tiles, mut cursor, mut open) = known.unwrap_or_else(|| {
        if covered > 0 {
            tracing::warn!("reading the whole audit log: the place to read on from is lost");
        }
        let first = segments.first().copied().unwrap_or(0);
        let open = OpenIntents { position: first, ..OpenIntents::default() };
        (Tiles::default(), Cursor::at_segment(directory, first), open)
    });
    tiles.found_partials(covered);
    scan(directory, &mut cursor, &mut tiles, &mut open, checkpoint.as_ref())?;

    let end = cursor.place();
    let damaged =
        |index, damage| StoreError::Damaged { path: directory.to_owned(), index: LogIndex(index), damage };
    if cursor.index() < covered {
        return Err(damaged(cursor.index(), Damage::Shorter));
    }
    if segments.last().is_some_and(|last| *last > end.segment) {
        return Err(damaged(cursor.index(), Damage::Gap));
    }
    let torn = torn_bytes(directory, end).map_err(read)?;
    Ok(Found { end, tiles, covered, open, torn, history })
}

/// Reads to the end. Records beyond the tree's size become leaves.
fn scan(
    directory: &Path,
    cursor: &mut Cursor,
    tiles: &mut Tiles,
    open: &mut OpenIntents,
    checkpoint: Option<&Checkpoint>,
) -> Result<(), StoreError> {
    let read = |source| StoreError::io("read", directory)(source);
    loop {
        if checkpoint.is_some_and(|signed| signed.size == tiles.size() && signed.root != tiles.root()) {
            let index = LogIndex(tiles.size());
            return Err(StoreError::Damaged {
                path: directory.join(CHECKPOINT),
                index,
                damage: Damage::Root,
            });
        }
        let Some(line) = cursor.next().map_err(read)? else { return Ok(()) };
        let Some(view) = View::parse(line.bytes) else {
            let path = directory.join(file_name(line.place.segment));
            return Err(StoreError::Damaged { path, index: LogIndex(line.index), damage: Damage::NotJson });
        };
        open.apply(view.pairing(), line.place);
        match line.index.cmp(&tiles.size()) {
            Ordering::Less => {}
            Ordering::Equal => tiles.push(leaf_hash(line.bytes)),
            Ordering::Greater => {
                let index = LogIndex(tiles.size());
                return Err(StoreError::Damaged { path: directory.to_owned(), index, damage: Damage::Gap });
            }
        }
        if tiles.is_full() {
            tiles.flush_full(directory).map_err(StoreError::io("write", directory))?;
        }
    }
}

/// The newest checkpoint; none if none was ever published. A crash may have left it in the history alone.
fn newest_checkpoint(
    directory: &Path,
    verifier: &VerifierKey,
    history: &mut History,
    last: Option<Note>,
) -> Result<Option<Checkpoint>, StoreError> {
    let path = directory.join(CHECKPOINT);
    let damaged =
        || StoreError::Damaged { path: path.clone(), index: LogIndex(0), damage: Damage::Checkpoint };
    let open = |note: &Note| key::open_note(note, verifier).ok_or_else(damaged);
    let current = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.parse::<Note>().map_err(|_| damaged())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let last = last.as_ref().map(open).transpose()?;
    let Some(note) = current else {
        // Progress is written after a checkpoint; records that lost theirs are not signed anew.
        return if last.is_none() && directory.join(progress::FILE).exists() {
            Err(damaged())
        } else {
            Ok(last)
        };
    };
    let checkpoint = open(&note)?;
    match last {
        Some(last) if last.size >= checkpoint.size => Ok(Some(last)),
        _ => {
            history.append(&note).map_err(StoreError::io("write", directory))?;
            Ok(Some(checkpoint))
        }
    }
}

/// How many bytes after the last record are more than reserved blocks.
fn torn_bytes(directory: &Path, end: Place) -> io::Result<u64> {
    let mut file = match File::open(directory.join(file_name(end.segment))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(end.offset))?;
    let mut buffer = vec![0; 64 << 10];
    let (mut offset, mut torn) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        if chunk.is_empty() {
            return Ok(torn);
        }
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            torn = offset + last as u64 + 1;
        }
        offset += read as u64;
    }
}
