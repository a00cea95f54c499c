//! State in SQLite: all revisions of the resources and the key sets of issuers. The schema only moves forward, and a file
//! that a newer binary wrote is refused. It must never hold what a restart could not do without the audit log knowing.

mod deployments;
mod revisions;
mod schema;

use std::{
    cmp::Ordering,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use narrows_core::ports::{JwksStore, StoredKeys};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::StoreError;

/// How long to wait for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// Which revision to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The one in force at this time.
    Time(Timestamp),
    /// The one of this number.
    Number(u64),
}

/// The database.
pub struct State {
    path: PathBuf,
    /// Device and number of the file that is open.
    file: (u64, u64),
    connection: Mutex<Connection>,
}

impl State {
    /// Opens the database, makes it (mode 0600) if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::Io`] or [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut create = std::fs::OpenOptions::new();
        create.create(true).truncate(false).read(true).write(true).mode(0o600);
        create.open(path).map_err(StoreError::io("open", path))?;
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE, |connection| {
            // Each commit is on disk before it is answered.
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            schema::migrate(connection)
        })
    }

    /// Opens an existing database without changing it, also while another process writes it.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::OlderSchema`], [`StoreError::Io`] or [`StoreError::Database`].
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        std::fs::File::open(path).map_err(StoreError::io("open", path))?;
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE, |connection| {
            connection.pragma_update(None, "query_only", true)?;
            schema::version(connection)
        })
    }

    fn with(
        path: &Path,
        flags: OpenFlags,
        prepare: impl FnOnce(&mut Connection) -> rusqlite::Result<u32>,
    ) -> Result<Self, StoreError> {
        let wrap = StoreError::database(path);
        let mut connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(&wrap)?;
        connection.busy_timeout(BUSY).map_err(&wrap)?;
        let found = prepare(&mut connection).map_err(&wrap)?;
        match found.cmp(&schema::KNOWN) {
            Ordering::Less => return Err(StoreError::OlderSchema { found, known: schema::KNOWN }),
            Ordering::Equal => {}
            Ordering::Greater => return Err(StoreError::NewerSchema { found, known: schema::KNOWN }),
        }
        Ok(Self { path: path.to_owned(), file: file_at(path)?, connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_keys(&self, source: &str) -> rusqlite::Result<Option<StoredKeys>> {
        let read = |row: &Row<'_>| Ok(StoredKeys { fetched_at: timestamp(row.get(0)?), bytes: row.get(1)? });
        self.connection()
            .query_row("SELECT fetched_at, body FROM key_sets WHERE source = ?1", [source], read)
            .optional()
    }

    fn save_keys(&self, source: &str, keys: &StoredKeys) -> rusqlite::Result<usize> {
        self.connection().execute(
            "INSERT INTO key_sets (source, fetched_at, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE SET fetched_at = excluded.fetched_at, body = excluded.body",
            params![source, keys.fetched_at.as_microsecond(), keys.bytes],
        )
    }
}

impl JwksStore for State {
    fn load(&self, source: &str) -> Option<StoredKeys> {
        self.load_keys(source).unwrap_or_else(|error| {
            tracing::warn!(%error, source, "cannot read the copy of a key set");
            None
        })
    }

    fn save(&self, source: &str, keys: &StoredKeys) {
        if let Err(error) = self.save_keys(source, keys) {
            tracing::warn!(%error, source, "cannot keep a copy of a key set");
        }
    }
}

/// What tells a file from another of the same name.
fn file_at(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = std::fs::metadata(path).map_err(StoreError::io("find", path))?;
    Ok((metadata.dev(), metadata.ino()))
}

fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
