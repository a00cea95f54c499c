//! The listener of a bridge and its connections.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
};

use super::{BridgeError, Listen, endpoint, endpoint::Door, host::Host};

/// Bytes of the longest path of a socket that the kernel takes (unix(7)).
pub const LONGEST_SOCKET_PATH: usize = 107;

/// How long the headers of a request may take, the silence before them included.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// How long connections may take to end once everything behind them has.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener, IpAddr),
}

impl Listener {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, BridgeError> {
        match listen {
            Listen::Unix(path) => unix(path),
            Listen::Tcp(address) => {
                let failed = |source| BridgeError::Listen { address: address.to_string(), source };
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                Ok(Self::Tcp(listener, address.ip()))
            }
        }
    }

    /// Accepts until `shutdown`, then ends all processes and, with them, all connections.
    pub(super) async fn serve(self, host: &Arc<Host>, shutdown: impl Future<Output = ()> + Send) {
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        let mut failing = false;
        loop {
            while connections.try_join_next().is_some() {}
            let full = connections.len() >= host.config.caps.connections;
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = connections.join_next(), if full => {}
                accepted = self.accept(), if !full => match accepted {
                    Ok(Accepted::Unix(stream)) => {
                        failing = false;
                        connections.spawn(connection(Arc::clone(host), Door::Unix, stream));
                    }
                    Ok(Accepted::Tcp(stream, own)) => {
                        failing = false;
                        connections.spawn(connection(Arc::clone(host), Door::Tcp(own), stream));
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: it passes when connections end. Said once each time.
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(server = host.config.name, %error, "no connection accepted");
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        if let Self::Unix(_, path) = &self {
            // The next bridge makes its own; that this one is gone already is all the same.
            let _ = fs::remove_file(path);
        }
        drop(self);
        host.close().await;
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            connections.shutdown().await;
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
            Self::Tcp(listener, own) => {
                let (stream, _) = listener.accept().await?;
                // Events are small, and each is waited for.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, *own))
            }
        }
    }
}

enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, IpAddr),
}

/// A socket that is left over from a bridge that was killed is replaced; one that is alive is not.
fn unix(path: &Path) -> Result<Listener, BridgeError> {
    if path.as_os_str().len() > LONGEST_SOCKET_PATH {
        return Err(BridgeError::PathTooLong(path.to_owned()));
    }
    let failed = |source| BridgeError::Listen { address: path.display().to_string(), source };
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(failed(io::ErrorKind::AddrInUse.into()));
        }
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

async fn connection(
    host: Arc<Host>,
    door: Door,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let closing = host.closing.clone();
    let service = service_fn(move |request| endpoint::serve(Arc::clone(&host), door, request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    match door {
        // The gateway keeps connections for later. One that is closed under its hands costs it a request.
        Door::Unix => http.header_read_timeout(None),
        Door::Tcp(_) => http.header_read_timeout(HEADER_TIME),
    };
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}
