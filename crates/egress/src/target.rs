//! Where a client sends: a URL or a Unix socket, checked once, with everything that each request needs made ahead.

use std::{net::IpAddr, path::PathBuf};

use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::address::Transport;

/// Longest URL that is accepted, in bytes.
const MAX_URL: usize = 2048;

/// Where to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket. It is trusted by its place in the file system, not by the address policy.
    Unix(PathBuf),
    /// An `http` or `https` URL; see [`parse_url`].
    Url(Url),
}

/// Why a URL can't be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL, or one that parsers read differently: white space, control characters, backslashes.
    #[error(
        "it is not an absolute URL\nhint: write it as `https://host/path`, without spaces or backslashes"
    )]
    Shape,
    /// Not `http` or `https`.
    #[error("its scheme is `{0}`\nhint: use https")]
    Scheme(Box<str>),
    /// A name or password before the host.
    #[error("it has a user name before the host\nhint: credentials don't belong in URLs")]
    UserInfo,
    /// A part after `#`, which would never be sent.
    #[error("it has a fragment\nhint: leave out `#` and what follows")]
    Fragment,
    /// Port 0.
    #[error("its port is 0")]
    Port,
}

/// Parses a URL strictly. Refuses what [`Url::parse`] would silently mend: white space, control characters
/// (line breaks among them) and backslashes; also other schemes, user names, fragments and port 0. A host such as
/// `0x7f.1` becomes the address that it means, so that the address policy sees it.
///
/// # Errors
/// [`TargetError`]
pub fn parse_url(text: &str) -> Result<Url, TargetError> {
    if text.len() > MAX_URL || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(TargetError::Shape);
    }
    let url = Url::parse(text).map_err(|_| TargetError::Shape)?;
    // `https:host` and `https:///host` are mended by the parser as well.
    match text.get(url.scheme().len()..) {
        Some(rest) if rest.starts_with("://") && !rest.starts_with(":///") => {}
        _ => return Err(TargetError::Shape),
    }
    check_url(&url)?;
    Ok(url)
}

/// The checks that hold for any `Url`, however it was parsed. Gives the transport.
fn check_url(url: &Url) -> Result<Transport, TargetError> {
    let transport = match url.scheme() {
        "https" => Transport::Tls,
        "http" => Transport::Plain,
        other => return Err(TargetError::Scheme(other.into())),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(TargetError::Fragment);
    }
    if url.port() == Some(0) {
        return Err(TargetError::Port);
    }
    Ok(transport)
}

/// A target, checked, with what each request needs.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) place: Place,
    /// The value of `Host`.
    pub(crate) host_header: HeaderValue,
    /// Path and query of the target.
    pub(crate) uri: Uri,
}

/// What to connect to.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Unix(PathBuf),
    Net { host: HostName, port: u16, tls: Option<ServerName<'static>> },
}

/// A host, as an address where it is one.
#[derive(Debug, Clone)]
pub(crate) enum HostName {
    Address(IpAddr),
    Name(Box<str>),
}

impl HostName {
    pub(crate) fn text(&self) -> Box<str> {
        match self {
            Self::Address(address) => address.to_string().into(),
            Self::Name(name) => name.clone(),
        }
    }
}

impl Place {
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Net { tls: Some(_), .. } => Transport::Tls,
            Self::Net { tls: None, .. } | Self::Unix(_) => Transport::Plain,
        }
    }
}

impl Destination {
    pub(crate) fn new(target: Target) -> Result<Self, TargetError> {
        match target {
            Target::Unix(path) => Ok(Self {
                place: Place::Unix(path),
                host_header: HeaderValue::from_static("localhost"),
                uri: Uri::from_static("/"),
            }),
            Target::Url(url) => Self::of_url(&url),
        }
    }

    fn of_url(url: &Url) -> Result<Self, TargetError> {
        let transport = check_url(url)?;
        let port = url.port_or_known_default().ok_or(TargetError::Port)?;
        let host = match url.host().ok_or(TargetError::Shape)? {
            Host::Domain("") => return Err(TargetError::Shape),
            Host::Domain(name) => HostName::Name(name.into()),
            Host::Ipv4(address) => HostName::Address(address.into()),
            Host::Ipv6(address) => HostName::Address(address.into()),
        };
        let tls = match transport {
            Transport::Plain => None,
            Transport::Tls => Some(match &host {
                HostName::Address(address) => ServerName::from(*address),
                HostName::Name(name) => {
                    let name = name.strip_suffix('.').unwrap_or(name).to_owned();
                    ServerName::try_from(name).map_err(|_| TargetError::Shape)?
                }
            }),
        };
        let host_text = url.host_str().unwrap_or_default();
        let host_header = match url.port() {
            Some(port) => HeaderValue::try_from(format!("{host_text}:{port}")),
            None => HeaderValue::try_from(host_text),
        };
        let uri = match url.query() {
            Some(query) => Uri::try_from(format!("{}?{query}", url.path())),
            None => Uri::try_from(url.path()),
        };
        Ok(Self {
            place: Place::Net { host, port, tls },
            host_header: host_header.map_err(|_| TargetError::Shape)?,
            uri: uri.map_err(|_| TargetError::Shape)?,
        })
    }
}

#[cfg(test)]
mod tests;
