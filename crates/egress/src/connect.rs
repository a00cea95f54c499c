//! Opens connections: resolve, check every address, connect to one that was checked.
//!
//! Names are resolved by the system's resolver (`getaddrinfo`), so that `/etc/hosts`, search domains and the
//! operator's own resolver count, as they do for every other program on the machine. What it answers is not
//! trusted: each address is judged, one that is refused refuses the name, and nothing is resolved a second time.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpStream, UnixStream},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use crate::{
    AddressPolicy, CheckedAddress, EgressError, Transport,
    stream::Stream,
    target::{HostName, Place},
};

/// Addresses of one name that are tried.
const MAX_TRIED: usize = 8;
/// What an address is given at least, so that a long list does not leave too little for each.
const LEAST_PER_ADDRESS: Duration = Duration::from_secs(2);

/// Opens a connection within a time.
pub(crate) async fn connect(
    place: &Place,
    policy: &AddressPolicy,
    tls: &Arc<ClientConfig>,
    within: Duration,
) -> Result<Stream, EgressError> {
    match place {
        Place::Unix(path) => {
            let host = || "its Unix socket".into();
            match tokio::time::timeout(within, UnixStream::connect(path)).await {
                Ok(Ok(stream)) => Ok(Stream::Unix(stream)),
                Ok(Err(source)) => Err(EgressError::Connect { host: host(), source }),
                Err(_) => Err(EgressError::ConnectTimeout { host: host(), within }),
            }
        }
        Place::Net { host, port, tls: server_name } => {
            let deadline = Instant::now() + within;
            let opening = async {
                let addresses = resolve(host, *port, policy, place.transport()).await?;
                let stream = first_of(host, &addresses, deadline).await?;
                match server_name {
                    None => Ok(Stream::Tcp(stream)),
                    Some(name) => secure(host, stream, name, tls).await,
                }
            };
            match tokio::time::timeout_at(deadline, opening).await {
                Ok(opened) => opened,
                Err(_) => Err(EgressError::ConnectTimeout { host: host.text(), within }),
            }
        }
    }
}

/// All addresses of the host, each one checked.
async fn resolve(
    host: &HostName,
    port: u16,
    policy: &AddressPolicy,
    transport: Transport,
) -> Result<Vec<CheckedAddress>, EgressError> {
    let check = |address: SocketAddr| {
        policy.check(address, transport).map_err(|refusal| EgressError::Refused {
            host: host.text(),
            address: address.ip(),
            refusal,
        })
    };
    match host {
        HostName::Address(address) => Ok(vec![check(SocketAddr::new(*address, port))?]),
        HostName::Name(name) => {
            let found = tokio::net::lookup_host((name.as_ref(), port))
                .await
                .map_err(|source| EgressError::Resolve { host: name.clone(), source: Some(source) })?;
            let checked = found.map(check).collect::<Result<Vec<_>, _>>()?;
            if checked.is_empty() {
                return Err(EgressError::Resolve { host: name.clone(), source: None });
            }
            Ok(checked)
        }
    }
}

/// Tries the addresses in the resolver's order (RFC 6724), each with its share of the time that is left.
async fn first_of(
    host: &HostName,
    addresses: &[CheckedAddress],
    deadline: Instant,
) -> Result<TcpStream, EgressError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let tried = addresses.len().min(MAX_TRIED);
    for (index, address) in addresses.iter().take(tried).enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(tried.saturating_sub(index)).unwrap_or(1).max(1);
        match tokio::time::timeout(share.max(LEAST_PER_ADDRESS.min(left)), TcpStream::connect(address.get()))
            .await
        {
            Ok(Ok(stream)) => match stream.set_nodelay(true) {
                Ok(()) => return Ok(stream),
                Err(error) => last = error,
            },
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(EgressError::Connect { host: host.text(), source: last })
}

/// Speaks TLS; the certificate must be for the name in the URL.
async fn secure(
    host: &HostName,
    stream: TcpStream,
    name: &ServerName<'static>,
    tls: &Arc<ClientConfig>,
) -> Result<Stream, EgressError> {
    match TlsConnector::from(Arc::clone(tls)).connect(name.clone(), stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(source) => Err(EgressError::Connect { host: host.text(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only asks; nothing is connected to.
    #[tokio::test]
    async fn plain_text_to_a_public_address_is_refused_before_it_is_connected_to() {
        let host = HostName::Address([93, 184, 215, 14].into());
        let ask = async |place: Place| resolve(&host, 80, &AddressPolicy::default(), place.transport()).await;
        let plain = Place::Net { host: host.clone(), port: 80, tls: None };
        let refused = ask(plain).await.unwrap_err();
        assert!(
            matches!(refused, EgressError::Refused { refusal: crate::AddressRefusal::Plain, .. }),
            "{refused}"
        );
        let name = ServerName::try_from("example.com").unwrap();
        let secure = Place::Net { host: host.clone(), port: 80, tls: Some(name) };
        assert_eq!(ask(secure).await.unwrap().len(), 1);
    }
}
