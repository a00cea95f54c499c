//! State in SQLite: published snapshots and the key sets of issuers. The schema only moves forward, and a file that
//! a newer binary wrote is refused. It must never hold what a restart could not do without the audit log knowing.

mod schema;

use std::{
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

/// A snapshot of the resources, as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSnapshot {
    /// Grows with each.
    pub number: u64,
    /// When it was published.
    pub published_at: Timestamp,
    /// The digest of the resources.
    pub digest: String,
    /// The resources as canonical JSON.
    pub resources: String,
}

/// Which snapshot to look up.
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
    /// [`StoreError::NewerSchema`], [`StoreError::Io`] or [`StoreError::Database`].
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
        if found > schema::KNOWN {
            return Err(StoreError::NewerSchema { found, known: schema::KNOWN });
        }
        Ok(Self { path: path.to_owned(), file: file_at(path)?, connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a published snapshot; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if the number was used before; [`StoreError::Replaced`] or [`StoreError::Io`] if the
    /// next start would not find it, since another file is in the place of the one that is open.
    pub fn save_snapshot(&self, snapshot: &SavedSnapshot) -> Result<(), StoreError> {
        if file_at(&self.path)? != self.file {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        self.connection()
            .execute(
                "INSERT INTO snapshots (number, published_at, digest, resources) VALUES (?1, ?2, ?3, ?4)",
                params![
                    snapshot.number.cast_signed(),
                    snapshot.published_at.as_microsecond(),
                    snapshot.digest,
                    snapshot.resources
                ],
            )
            .map(drop)
            .map_err(StoreError::database(&self.path))
    }

    /// The newest snapshot; none before the first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn latest_snapshot(&self) -> Result<Option<SavedSnapshot>, StoreError> {
        self.snapshot("ORDER BY number DESC LIMIT 1", params![])
    }

    /// The snapshot of this number, or the one that was in force at this time; none if there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn snapshot_at(&self, at: At) -> Result<Option<SavedSnapshot>, StoreError> {
        match at {
            At::Number(number) => self.snapshot("WHERE number = ?1", params![number.cast_signed()]),
            At::Time(time) => self.snapshot(
                "WHERE published_at <= ?1 ORDER BY number DESC LIMIT 1",
                params![time.as_microsecond()],
            ),
        }
    }

    fn snapshot(
        &self,
        rest: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<SavedSnapshot>, StoreError> {
        let sql = format!("SELECT number, published_at, digest, resources FROM snapshots {rest}");
        let read = |row: &Row<'_>| {
            Ok(SavedSnapshot {
                number: row.get::<_, i64>(0)?.cast_unsigned(),
                published_at: timestamp(row.get(1)?),
                digest: row.get(2)?,
                resources: row.get(3)?,
            })
        };
        self.connection().query_row(&sql, params, read).optional().map_err(StoreError::database(&self.path))
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
