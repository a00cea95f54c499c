//! The schema and its history. Steps are only ever added at the end.

use rusqlite::{Connection, TransactionBehavior};

/// One step for each version, from an empty file.
pub(super) const STEPS: [&str; 3] = [
    "
    CREATE TABLE snapshots (
        number INTEGER PRIMARY KEY,
        published_at INTEGER NOT NULL, -- microseconds since 1970, UTC
        digest TEXT NOT NULL,
        resources TEXT NOT NULL
    ) STRICT;
    CREATE INDEX snapshots_published_at ON snapshots (published_at);
    CREATE TABLE key_sets (
        source TEXT PRIMARY KEY,
        fetched_at INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    -- Both are null for states of the version before: who managed what was not written down.
    ALTER TABLE snapshots ADD COLUMN managers TEXT; -- JSON: each resource that follows a file, and the file
    ALTER TABLE snapshots ADD COLUMN change TEXT; -- JSON: what led to the state
    CREATE TABLE aborted (change TEXT PRIMARY KEY) STRICT, WITHOUT ROWID; -- changes that came to nothing
    CREATE UNIQUE INDEX snapshots_change ON snapshots (change ->> '$.id') WHERE change IS NOT NULL;
",
    "
    CREATE TABLE serving (server TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT, WITHOUT ROWID; -- JSON: what serves
",
];

/// The newest version known.
pub(super) const KNOWN: u32 = 3;
const _: () = assert!(STEPS.len() == KNOWN as usize);

/// The file's version.
pub(super) fn version(connection: &mut Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps that the file lacks, all or none, and returns its version; a newer one is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<u32> {
    if version(connection)? >= KNOWN {
        return version(connection);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another process may have been faster.
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", KNOWN.max(found))?;
    transaction.commit()?;
    Ok(KNOWN.max(found))
}
