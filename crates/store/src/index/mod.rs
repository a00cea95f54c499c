//! The search index of one writer's log: for each block of 256 records, which values occur in it and where it lies. It
//! only says where to look; what is found is always read from the log, so a wrong index can hide a record from a
//! search but never show a false one. Derived, and made anew where it does not fit.
//!
//! Blocks and not records, because a row for each record would cost the machine more than the record itself.

mod build;
mod term;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params, params_from_iter};

pub(crate) use self::{
    build::Indexer,
    term::{Field, Ids, Term},
};
use crate::{StoreError, log::segment::Place};

/// Records of a block.
pub(crate) const BLOCK: u64 = 256;
/// The file's name in the writer's directory.
const FILE: &str = "index.db";
/// The schema's version; another one is dropped.
const VERSION: u32 = 1;

const SCHEMA: &str = "
    CREATE TABLE blocks (
        block INTEGER PRIMARY KEY,
        segment INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        earliest TEXT NOT NULL,
        latest TEXT NOT NULL,
        ids BLOB NOT NULL
    ) STRICT;
    CREATE TABLE terms (
        term INTEGER NOT NULL,
        block INTEGER NOT NULL,
        PRIMARY KEY (term, block)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ends (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        record INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        offset INTEGER NOT NULL
    ) STRICT;
";

/// What is known of a block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) place: Place,
    pub(crate) earliest: String,
    pub(crate) latest: String,
    pub(crate) ids: Ids,
    pub(crate) terms: Vec<Term>,
}

/// A block to look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) number: u64,
    pub(crate) place: Place,
}

/// What a block must have to be looked into.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) terms: Vec<Term>,
    /// Times as in records.
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
}

/// The database.
pub(crate) struct Index {
    path: PathBuf,
    connection: Connection,
}

impl Index {
    /// Opens the index of a writer's directory for adding to it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let index = Self::open_as_it_is(directory).or_else(|_| {
            Self::remove(directory);
            Self::open_as_it_is(directory)
        })?;
        if index.version()? != VERSION {
            index.reset()?;
        }
        Ok(index)
    }

    /// Removes the files, so that the index is made anew.
    fn remove(directory: &Path) {
        for name in [FILE, "index.db-wal", "index.db-shm"] {
            // What is not there needs no removal; what can't be removed fails the next step.
            let _ = std::fs::remove_file(directory.join(name));
        }
    }

    fn open_as_it_is(directory: &Path) -> Result<Self, StoreError> {
        let index =
            Self::connect(directory, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        index.run(|db| db.pragma_update(None, "journal_mode", "wal"))?;
        index.run(|db| db.pragma_update(None, "synchronous", "normal"))?;
        index.version()?;
        Ok(index)
    }

    /// Opens the index for searching, also while it grows; none if there is none that can be used.
    pub(crate) fn open_to_read(directory: &Path) -> Option<Self> {
        let index = Self::connect(directory, OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
        index.run(|db| db.pragma_update(None, "query_only", true)).ok()?;
        (index.version().ok()? == VERSION).then_some(index)
    }

    fn connect(directory: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let connection = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(StoreError::database(&path))?;
        Ok(Self { path, connection })
    }

    fn run<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        action(&self.connection).map_err(StoreError::database(&self.path))
    }

    fn version(&self) -> Result<u32, StoreError> {
        self.run(|db| db.query_row("PRAGMA user_version", [], |row| row.get(0)))
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) -> Result<(), StoreError> {
        self.run(|db| {
            db.execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 DROP TABLE IF EXISTS blocks; DROP TABLE IF EXISTS terms; DROP TABLE IF EXISTS ends;
                 {SCHEMA}
                 PRAGMA user_version = {VERSION};
                 COMMIT;"
            ))
        })
    }

    /// The first record that is not indexed, and where it lies; none before the first block.
    pub(crate) fn end(&self) -> Result<Option<(u64, Place)>, StoreError> {
        let read = |row: &Row<'_>| Ok((number(row, 0)?, place(row, 1)?));
        self.run(|db| db.query_row("SELECT record, segment, offset FROM ends", [], read).optional())
    }

    /// Adds blocks, in one transaction. The next record lies at `end`.
    pub(crate) fn add(&mut self, blocks: &[Block], end: (u64, Place)) -> Result<(), StoreError> {
        let write = |db: &mut Connection| -> rusqlite::Result<()> {
            let transaction = db.transaction()?;
            {
                let mut insert = transaction.prepare(
                    "INSERT OR REPLACE INTO blocks (block, segment, offset, earliest, latest, ids)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?;
                let mut term = transaction.prepare("INSERT OR IGNORE INTO terms VALUES (?1, ?2)")?;
                for block in blocks {
                    let number = block.number.cast_signed();
                    let Place { segment, offset } = block.place;
                    insert.execute(params![
                        number,
                        segment.cast_signed(),
                        offset.cast_signed(),
                        block.earliest,
                        block.latest,
                        block.ids.as_bytes()
                    ])?;
                    for value in &block.terms {
                        term.execute(params![value.0, number])?;
                    }
                }
                let (record, Place { segment, offset }) = end;
                transaction.execute(
                    "INSERT OR REPLACE INTO ends VALUES (1, ?1, ?2, ?3)",
                    [record, segment, offset].map(u64::cast_signed),
                )?;
            }
            transaction.commit()
        };
        write(&mut self.connection).map_err(StoreError::database(&self.path))
    }

    /// The nearest known place at or before a record.
    pub(crate) fn place_before(&self, record: u64) -> Result<Option<Candidate>, StoreError> {
        self.run(|db| {
            db.query_row(
                "SELECT block, segment, offset FROM blocks WHERE block <= ?1 ORDER BY block DESC LIMIT 1",
                [(record / BLOCK).cast_signed()],
                candidate,
            )
            .optional()
        })
    }

    /// Calls `visit` with each block that may hold what is wanted, newest first, until it says stop.
    pub(crate) fn newest(
        &self,
        wanted: &Wanted,
        visit: impl FnMut(Candidate) -> Result<Next, StoreError>,
    ) -> Result<(), StoreError> {
        let mut sql = "SELECT b.block, b.segment, b.offset FROM ".to_owned();
        let mut terms = wanted.terms.iter().enumerate();
        let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
        let mut conditions = vec!["1".to_owned()];
        // The first term leads, in the order of its key; the others and the block are looked up.
        let order = match terms.next() {
            Some((_, term)) => {
                sql.push_str("terms t JOIN blocks b ON b.block = t.block");
                conditions.push("t.term = ?".to_owned());
                values.push(Box::new(term.0));
                "t.block"
            }
            None => {
                sql.push_str("blocks b");
                "b.block"
            }
        };
        for (_, term) in terms {
            conditions
                .push("EXISTS (SELECT 1 FROM terms o WHERE o.term = ? AND o.block = b.block)".to_owned());
            values.push(Box::new(term.0));
        }
        if let Some(since) = &wanted.since {
            conditions.push("b.latest >= ?".to_owned());
            values.push(Box::new(since.clone()));
        }
        if let Some(until) = &wanted.until {
            conditions.push("b.earliest <= ?".to_owned());
            values.push(Box::new(until.clone()));
        }
        sql.push_str(&format!(" WHERE {} ORDER BY {order} DESC", conditions.join(" AND ")));
        self.visit(&sql, &values, visit)
    }

    /// Calls `visit` with each block from `from` on that has this term, oldest first, until it says stop.
    pub(crate) fn oldest(
        &self,
        term: Term,
        from: u64,
        visit: impl FnMut(Candidate) -> Result<Next, StoreError>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT b.block, b.segment, b.offset FROM terms t JOIN blocks b ON b.block = t.block
                   WHERE t.term = ? AND t.block >= ? ORDER BY t.block";
        self.visit(sql, &[Box::new(term.0), Box::new(from.cast_signed())], visit)
    }

    fn visit(
        &self,
        sql: &str,
        values: &[Box<dyn rusqlite::ToSql>],
        mut visit: impl FnMut(Candidate) -> Result<Next, StoreError>,
    ) -> Result<(), StoreError> {
        let wrap = StoreError::database(&self.path);
        let mut statement = self.connection.prepare(sql).map_err(&wrap)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(&wrap)?;
        while let Some(row) = rows.next().map_err(&wrap)? {
            if visit(candidate(row).map_err(&wrap)?)? == Next::Stop {
                break;
            }
        }
        Ok(())
    }

    /// The blocks that may hold a record or request of this id, newest first.
    pub(crate) fn with_id(&self, id: &str) -> Result<Vec<Candidate>, StoreError> {
        self.run(|db| {
            let mut statement =
                db.prepare("SELECT block, segment, offset, ids FROM blocks ORDER BY block DESC")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                if Ids::may_hold(row.get_ref(3)?.as_blob()?, id) {
                    found.push(candidate(row)?);
                }
            }
            Ok(found)
        })
    }
}

/// Whether a visit goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    More,
    Stop,
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate { number: number(row, 0)?, place: place(row, 1)? })
}

fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Place> {
    Ok(Place { segment: number(row, column)?, offset: number(row, column + 1)? })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}
