//! The Unix socket that `up` answers the commands on. Who may ask has to show that it can read the installation's keys: by
//! its mode the socket keeps other accounts out, but not a server's process that is shut in under the same one.

use std::{
    fs::Permissions,
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use http::header;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use narrows_console::Plane;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{operator, socket};
use crate::{data_dir::DataDir, failure::Failure, keys::ApiKey};

/// Connections that are served at once; more wait.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long an answer may take after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// The socket, listening. It is taken away when this is dropped, so that none is left in copies of the data directory.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    key: Arc<ApiKey>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that is left is put aside by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Makes it, in place of one that an `up` before has left: there is none running now, since this process has the lock.
    pub(crate) fn open(data_dir: &DataDir) -> Result<Self, Failure> {
        let path = socket(data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(&path, &error)),
            _ => {}
        }
        let bind = || -> std::io::Result<UnixListener> {
            let listener = UnixListener::bind(&path)?;
            // The directory keeps others out already.
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let key = Arc::new(ApiKey::create(data_dir)?);
        match bind() {
            Ok(listener) => Ok(Self { listener, path, key }),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Serves until told to end, and then what is in progress.
    pub(crate) async fn serve(self, plane: Plane, end: CancellationToken) -> Result<(), Failure> {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
                () = end.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&self.key), plane.clone(), end.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let rest = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, rest).await.is_err() {
            tracing::warn!("some requests to the API did not end and are left");
        }
        Ok(())
    }
}

async fn connection(stream: UnixStream, key: Arc<ApiKey>, plane: Plane, end: CancellationToken) {
    let uid = match stream.peer_cred() {
        Ok(peer) if peer.uid() == rustix::process::geteuid().as_raw() || peer.uid() == 0 => peer.uid(),
        Ok(peer) => {
            tracing::warn!(
                uid = peer.uid(),
                "refused a connection to the API: the data directory is another's"
            );
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "refused a connection to the API: it can't be told whose it is");
            return;
        }
    };
    let service = TowerToHyperService::new(guarded(plane, key, uid));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the API ended");
    }
}

/// The routes, for whoever shows the key; without it nobody is known to ask, and nothing is answered.
fn guarded(plane: Plane, key: Arc<ApiKey>, uid: u32) -> Router {
    let known = async move |mut request: Request, next: Next| {
        let shown = request.headers().get(header::AUTHORIZATION);
        if shown.is_some_and(|value| key.is_shown_by(value.as_bytes())) {
            request.extensions_mut().insert(operator(uid));
        }
        next.run(request).await
    };
    narrows_console::router(plane).layer(middleware::from_fn(move |request, next| {
        let known = known.clone();
        async move { known(request, next).await }
    }))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot listen on `{}`: {error}", path.display()))
        .hint("use a data directory on a local file system, with a short path")
}
