//! The agents' socket, where a service manager holds it and hands it over (sd_listen_fds(3)). It stays open while this
//! process is replaced, so that connections wait in its backlog instead of being refused. What is handed over is looked
//! at before it is used.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::failure::Failure;

/// A listening TCP socket.
#[derive(Debug)]
pub(super) struct HandedOver {
    socket: TcpListener,
    address: SocketAddr,
}

impl HandedOver {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_socket(self) -> TcpListener {
        self.socket
    }
}

/// The socket for agents; none if none was handed over.
pub(super) fn door(mut sockets: ListenFd) -> Result<Option<HandedOver>, Failure> {
    match sockets.len() {
        0 => return Ok(None),
        1 => {}
        count => {
            return Err(Failure::usage(format!("{count} sockets were handed over, and one is of use")).hint(
                "leave one `ListenStream=`: that for agents. Health and metrics are on `--admin-listen`",
            ));
        }
    }
    let unfit = |reason: String| {
        Failure::usage(format!("the socket that was handed over can't be used: {reason}"))
            .hint("it has to be a listening TCP socket, as of `ListenStream=127.0.0.1:7700`")
    };
    let Some(socket) = sockets.take_tcp_listener(0).map_err(|error| unfit(error.to_string()))? else {
        return Ok(None);
    };
    match socket_acceptconn(&socket) {
        Ok(true) => {}
        Ok(false) => return Err(unfit("it does not listen".to_owned())),
        Err(error) => return Err(unfit(error.to_string())),
    }
    let address = socket.local_addr().map_err(|error| unfit(error.to_string()))?;
    Ok(Some(HandedOver { socket, address }))
}
