//! Which version of each server serves.

use narrows_core::{
    ids::ServerId,
    lifecycle::Version,
    ports::{Deployments, StateError},
};

use super::{
    State,
    revisions::{state_error, text},
};
use crate::StoreError;

impl Deployments for State {
    fn serving(&self) -> Result<Vec<Version>, StateError> {
        let read = || -> rusqlite::Result<Vec<Version>> {
            let connection = self.connection();
            let mut statement = connection.prepare("SELECT version FROM serving ORDER BY server")?;
            let rows = statement.query_map([], |row| super::revisions::required(row, 0))?;
            rows.collect()
        };
        read().map_err(StoreError::database(&self.path)).map_err(state_error)
    }

    fn keep(&self, server: &ServerId, version: Option<&Version>) -> Result<(), StateError> {
        let server = server.to_string();
        let write = || match version {
            Some(version) => self.connection().execute(
                "INSERT INTO serving (server, version) VALUES (?1, ?2)
                 ON CONFLICT (server) DO UPDATE SET version = excluded.version",
                [&server, &text(version)?],
            ),
            None => self.connection().execute("DELETE FROM serving WHERE server = ?1", [&server]),
        };
        write().map(drop).map_err(StoreError::database(&self.path)).map_err(state_error)
    }
}
