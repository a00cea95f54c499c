//! The API without `up`: this process takes the data directory for as long as it needs it.

use std::sync::Arc;

use narrows_control::{Controller, Live};
use narrows_core::{change::Following, policy::Snapshot};
use narrows_store::{Log, state::State};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{check_state, control, open_log, open_state, routes};
use crate::{
    data_dir::{DataDir, Lock},
    failure::Failure,
    keys::Keys,
};

/// The routes, and what they stand on.
pub(crate) struct Offline {
    pub(super) router: axum::Router,
    open: Option<Open>,
}

/// What a change needs besides the state.
struct Open {
    log: Arc<Log>,
    end: CancellationToken,
    tasks: JoinSet<()>,
    _lock: Lock,
}

/// Nothing runs that would have to follow.
struct Nothing;

impl Live for Nothing {
    fn put_in_force(&self, _: &Arc<Snapshot>) {}
}

impl Offline {
    /// Opens state and log, as `up` would.
    pub(super) fn open(data_dir: &DataDir, lock: Lock) -> Result<Self, Failure> {
        let key = Keys::log_signing(data_dir)?;
        let state = open_state(data_dir)?;
        let (log, _) = open_log(data_dir, &data_dir.installation()?, &key, &state)?;
        check_state(data_dir, &state)?;
        let log = Arc::new(log);
        let end = CancellationToken::new();
        let control = control(&log, &state, Arc::new(Nothing), Following::Nothing)?;
        let (controller, run) = narrows_control::serve(control, end.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(run);
        let router = routes(controller, rustix::process::geteuid().as_raw());
        Ok(Self { router, open: Some(Open { log, end, tasks, _lock: lock }) })
    }

    /// Opens the state alone, and leaves it as it is.
    pub(super) fn reading(data_dir: &DataDir) -> Result<Self, Failure> {
        let state = State::open_existing(&data_dir.database()).map_err(Failure::from_store)?;
        let controller =
            Controller::reading(Arc::new(state), jiff::Timestamp::now).map_err(Failure::from_control)?;
        Ok(Self { router: routes(controller, rustix::process::geteuid().as_raw()), open: None })
    }

    /// Closes what was opened.
    pub(super) async fn close(self) -> Result<(), Failure> {
        let Some(Open { log, end, mut tasks, _lock }) = self.open else { return Ok(()) };
        end.cancel();
        while tasks.join_next().await.is_some() {}
        log.close().await.map_err(Failure::from_store)
    }
}
