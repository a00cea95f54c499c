//! Everything that a user may have got wrong, looked at before anything is started: files of resources, certificate,
//! addresses to listen on.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use narrows_core::resource::Documents;
use narrows_gateway::{Listener, ServerTls};
use tokio::net::TcpListener;

use super::{
    certificate, follow,
    handed_over::HandedOver,
    plan::{Plan, Source, Transport},
};
use crate::{failure::Failure, watch::Watch};

/// The files of resources, read.
pub(super) struct Resources {
    /// None where what was published last is resumed.
    pub(super) first: Option<Documents>,
    pub(super) files: Vec<PathBuf>,
    pub(super) watch: Watch,
}

/// A certificate in use, and where it came from.
pub(super) struct Certificate {
    pub(super) tls: Arc<ServerTls>,
    pub(super) files: certificate::Files,
}

/// Bound sockets. Nothing is accepted yet.
pub(super) struct Doors {
    pub(super) agents: Listener,
    pub(super) agents_address: SocketAddr,
    pub(super) admin: TcpListener,
    pub(super) admin_address: SocketAddr,
}

impl Resources {
    /// Reads the files that the plan names; `demo` writes the demo's.
    pub(super) fn read(
        plan: &Plan,
        demo: impl FnOnce() -> Result<PathBuf, Failure>,
    ) -> Result<Self, Failure> {
        let files = match &plan.source {
            Source::Files(files) => files.clone(),
            Source::Demo => vec![demo()?],
            Source::LastPublished => Vec::new(),
        };
        // Watched from before they are read, so that no change falls between.
        let watch = Watch::new(files.clone());
        let load = || follow::read(&files).map_err(|problems| Failure::problems(problems, "not started"));
        let first = if files.is_empty() { None } else { Some(load()?) };
        Ok(Self { first, files, watch })
    }
}

impl Certificate {
    /// Reads what the plan names; none where there is no TLS.
    pub(super) fn read(plan: &Plan) -> Result<Option<Self>, Failure> {
        match &plan.transport {
            Transport::Tls { certificate, key } => {
                let files = certificate::Files { certificate: certificate.clone(), key: key.clone() };
                Ok(Some(Self { tls: Arc::new(certificate::load(&files)?), files }))
            }
            Transport::Loopback | Transport::InsecurePlainHttp => Ok(None),
        }
    }
}

impl Doors {
    /// Binds both addresses, but for a socket that was handed over, which is bound.
    pub(super) async fn open(
        plan: &Plan,
        door: Option<HandedOver>,
        certificate: Option<&Certificate>,
    ) -> Result<Self, Failure> {
        let tls = certificate.map(|certificate| Arc::clone(&certificate.tls));
        let agents = match door {
            Some(door) => Listener::inherited(door.into_socket(), tls),
            None => Listener::bind(plan.listen, tls).await,
        };
        let agents = agents.map_err(|error| cannot_listen("--listen", plan.listen, &error))?;
        let admin = TcpListener::bind(plan.admin_listen)
            .await
            .map_err(|error| cannot_listen("--admin-listen", plan.admin_listen, &error))?;
        let agents_address = agents.local_addr().map_err(unknown_address)?;
        let admin_address = admin.local_addr().map_err(unknown_address)?;
        Ok(Self { agents, agents_address, admin, admin_address })
    }
}

fn cannot_listen(option: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
        "another program has the port, perhaps another `narrows up`: stop it, or choose another port"
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        "ports below 1024 need a privilege: choose another"
    } else {
        "choose an address of this machine"
    };
    Failure::new(format!("cannot listen on {address}: {error}")).hint(format!("{hint} with `{option}`"))
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err by name")]
fn unknown_address(error: std::io::Error) -> Failure {
    Failure::new(format!("cannot tell the address that was bound: {error}"))
}
