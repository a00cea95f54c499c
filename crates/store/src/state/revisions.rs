//! The revisions of the resources.

use narrows_core::{
    change::Managers,
    ports::{RevisionEntry, Revisions, SavedRevision, StateError},
    problem::with_sources,
};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params, types::Type};
use serde::de::DeserializeOwned;

use super::{At, State, file_at, timestamp};
use crate::StoreError;

impl State {
    /// The revision of this number, or the one that was in force at this time; none if there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn revision_at(&self, at: At) -> Result<Option<SavedRevision>, StoreError> {
        match at {
            At::Number(number) => self.revision("WHERE number = ?1", params![number.cast_signed()]),
            At::Time(time) => self.revision(
                "WHERE published_at <= ?1 ORDER BY number DESC LIMIT 1",
                params![time.as_microsecond()],
            ),
        }
    }

    /// The newest revision; none before the first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn latest_revision(&self) -> Result<Option<SavedRevision>, StoreError> {
        self.revision("ORDER BY number DESC LIMIT 1", params![])
    }

    fn revision(
        &self,
        rest: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<SavedRevision>, StoreError> {
        let sql =
            format!("SELECT number, published_at, digest, change, resources, managers FROM snapshots {rest}");
        let read = |row: &Row<'_>| {
            let RevisionEntry { number, saved_at, digest, change } = entry(row)?;
            let managers = json(row, 5)?.map_or(Managers::Unknown, Managers::Files);
            Ok(SavedRevision { number, saved_at, digest, resources: row.get(4)?, managers, change })
        };
        self.connection().query_row(&sql, params, read).optional().map_err(StoreError::database(&self.path))
    }

    pub(super) fn entries(&self, before: Option<u64>, limit: usize) -> rusqlite::Result<Vec<RevisionEntry>> {
        let connection = self.connection();
        let mut query = connection.prepare(
            "SELECT number, published_at, digest, change FROM snapshots WHERE number < ?1
             ORDER BY number DESC LIMIT ?2",
        )?;
        let before = before.map_or(i64::MAX, u64::cast_signed);
        query.query_map(params![before, i64::try_from(limit).unwrap_or(i64::MAX)], entry)?.collect()
    }

    /// Keeps a revision; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if the number was used before; [`StoreError::Replaced`] or [`StoreError::Io`] if the
    /// next start would not find it, since another file is in the place of the one that is open.
    pub fn save_revision(&self, revision: &SavedRevision) -> Result<(), StoreError> {
        if file_at(&self.path)? != self.file {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        let SavedRevision { number, saved_at, digest, resources, managers, change } = revision;
        let managers = match managers {
            Managers::Unknown => None,
            Managers::Files(files) => Some(text(files)),
        };
        self.connection()
            .execute(
                "INSERT INTO snapshots (number, published_at, digest, resources, managers, change)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6
                 WHERE NOT EXISTS (SELECT 1 FROM aborted WHERE change = ?6 ->> '$.id')",
                params![
                    number.cast_signed(),
                    saved_at.as_microsecond(),
                    digest,
                    resources,
                    managers.transpose().map_err(StoreError::database(&self.path))?,
                    change.as_ref().map(text).transpose().map_err(StoreError::database(&self.path))?,
                ],
            )
            .and_then(
                |saved| if saved == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(saved)) },
            )
            .map_err(StoreError::database(&self.path))
    }

    /// Whether the change of this id led to a revision. If not, that is written down: what a failed write may have left in
    /// SQLite's own log is overwritten by it, and a save that is still on its way is refused.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn settle(&self, change: &str) -> Result<bool, StoreError> {
        let ask = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let applied = transaction
                // With both terms, the index is used.
                .query_row(
                    "SELECT 1 FROM snapshots WHERE change IS NOT NULL AND change ->> '$.id' = ?1",
                    [change],
                    |_| Ok(()),
                )
                .optional()?
                .is_some();
            if !applied {
                transaction.execute("INSERT OR REPLACE INTO aborted (change) VALUES (?1)", [change])?;
            }
            transaction.commit()?;
            Ok(applied)
        };
        ask(&mut self.connection()).map_err(StoreError::database(&self.path))
    }
}

impl Revisions for State {
    fn latest(&self) -> Result<Option<SavedRevision>, StateError> {
        self.latest_revision().map_err(state_error)
    }

    fn numbered(&self, number: u64) -> Result<Option<SavedRevision>, StateError> {
        self.revision_at(At::Number(number)).map_err(state_error)
    }

    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<RevisionEntry>, StateError> {
        self.entries(before, limit).map_err(StoreError::database(&self.path)).map_err(state_error)
    }

    fn save(&self, revision: &SavedRevision) -> Result<(), StateError> {
        self.save_revision(revision).map_err(state_error)
    }

    fn settle(&self, change: &str) -> Result<bool, StateError> {
        Self::settle(self, change).map_err(state_error)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err by name")]
pub(super) fn state_error(error: StoreError) -> StateError {
    StateError { message: with_sources(&error), hint: error.hint() }
}

/// The first four columns.
fn entry(row: &Row<'_>) -> rusqlite::Result<RevisionEntry> {
    Ok(RevisionEntry {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        saved_at: timestamp(row.get(1)?),
        digest: row.get(2)?,
        change: json(row, 3)?,
    })
}

/// A column that holds JSON or nothing.
fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parsed(column, &text)).transpose()
}

/// A column that holds JSON.
pub(super) fn required<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    parsed(column, &row.get::<_, String>(column)?)
}

fn parsed<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn text<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
