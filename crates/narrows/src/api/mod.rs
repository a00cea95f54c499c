//! The people's API from both ends: `up` serves it on a Unix socket in the data directory, and the commands ask it
//! there. Where no `up` runs, a command does what `up` would, on the same data directory and by the same routes.

mod client;
mod offline;
mod server;

use std::{path::PathBuf, sync::Arc};

use narrows_control::{Control, Controller, Live, Parts};
use narrows_core::change::{Base, Following};
use narrows_store::{Log, LogOptions, OpenReport, audit, key::SigningKey, state::State};

pub(crate) use client::{Api, Purpose};
pub(crate) use server::Socket;

use crate::{
    data_dir::{DataDir, Installation, LOG_WRITER},
    failure::Failure,
    keys::{self, PrivatePem},
};

/// Where the socket of the API is.
fn socket(data_dir: &DataDir) -> PathBuf {
    data_dir.run().join("api.sock")
}

/// Whether an `up` answers there.
pub(crate) async fn is_answered(data_dir: &DataDir) -> bool {
    tokio::net::UnixStream::connect(socket(data_dir)).await.is_ok()
}

/// Opens the database, and makes it if there never was one: where the record tells of a state, it is not made again empty.
pub(crate) fn open_state(data_dir: &DataDir) -> Result<Arc<State>, Failure> {
    let path = data_dir.database();
    if !path.exists()
        && data_dir.log().exists()
        && let Some(recorded) =
            audit::last_revision(&data_dir.log(), LOG_WRITER, |_| true).map_err(Failure::from_store)?
    {
        return Err(Failure::new(format!(
            "`{}` is gone, and revision {recorded} is on record as the last one",
            path.display()
        ))
        .hint(WHOLE));
    }
    State::open(&path).map(Arc::new).map_err(Failure::from_store)
}

const WHOLE: &str =
    "restore the data directory whole, from one copy; or move its `log` away to begin a new record";

/// Opens the log. What a crash left of changes is closed by what the state says of them.
pub(crate) fn open_log(
    data_dir: &DataDir,
    installation: &Installation,
    key: &PrivatePem,
    state: &Arc<State>,
) -> Result<(Log, OpenReport), Failure> {
    let key = SigningKey::from_pem(key.as_str()).map_err(Failure::from_store)?;
    let mut options =
        LogOptions::new(LOG_WRITER, &installation.log_origin(), key, Arc::new(jiff::Timestamp::now));
    let state = Arc::clone(state);
    options.applied = Arc::new(move |change| state.settle(change).ok());
    Log::open(&data_dir.log(), options).map_err(Failure::from_store)
}

/// Whether the state is the one that the record tells of: neither altered nor exchanged for an older one.
pub(crate) fn check_state(data_dir: &DataDir, state: &State) -> Result<(), Failure> {
    let current = narrows_control::latest(state).map_err(Failure::from_control)?.revision;
    let (number, current) = (current.number, current.to_string());
    let recorded = audit::last_revision(&data_dir.log(), LOG_WRITER, |last| last == current);
    let Some(recorded) = recorded.map_err(Failure::from_store)? else {
        if number > 0 {
            tracing::warn!(
                revision = current,
                "the audit log does not tell how this state came to be: it begins after it"
            );
        }
        return Ok(());
    };
    if current == recorded {
        return Ok(());
    }
    let database = data_dir.database();
    Err(Failure::new(format!(
        "`{}` is not the database that the audit log tells of: it ends with revision {current}, and the last one on \
         record is {recorded}",
        database.display()
    ))
    .hint(WHOLE))
}

/// The control plane on this log and state.
pub(crate) fn control(
    log: &Arc<Log>,
    state: &Arc<State>,
    live: Arc<dyn Live>,
    following: Following,
) -> Result<Control, Failure> {
    Control::load(Parts {
        log: Arc::clone(log) as _,
        revisions: Arc::clone(state) as _,
        live,
        following,
        clock: jiff::Timestamp::now,
        random: || keys::random().map_err(|_| std::io::Error::other("no random bytes")),
    })
    .map_err(Failure::from_control)
}

/// Whoever may read the keys may do everything: they could make any token, and write another log.
fn operator(uid: u32) -> narrows_console::Caller {
    narrows_console::Caller {
        kind: "operator",
        issuer: "".into(),
        subject: format!("unix:{uid}").into(),
        groups: [].into(),
        ip: String::new(),
    }
}

/// A revision that somebody named with its digest.
pub(crate) trait Called {
    /// Whether it is the one that was found, as it is called.
    fn called(&self, found: &str) -> Result<(), Failure>;
}

impl Called for Base {
    fn called(&self, found: &str) -> Result<(), Failure> {
        if self.digest.is_none() || self.to_string() == found {
            return Ok(());
        }
        Err(Failure::new(format!("there is no revision {self}: the one of this number is {found}"))
            .hint("`narrows revisions list` says which there are"))
    }
}

/// The routes for this caller, where no servers run.
fn routes(controller: Controller, uid: u32) -> axum::Router {
    narrows_console::router(narrows_console::Plane { controller, servers: None })
        .layer(axum::Extension(operator(uid)))
}
