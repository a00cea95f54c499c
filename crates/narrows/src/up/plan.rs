//! What `up` was told, checked: everything that can be known to be wrong before anything is opened or started.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use narrows_egress::Cidr;
use url::{Host, Url};

use crate::{cli::UpArgs, failure::Failure};

/// Where agents connect, unless something else is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7700);

/// The checked form of the command line.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where resources come from.
    pub(crate) source: Source,
    /// Where agents connect.
    pub(crate) listen: SocketAddr,
    /// Where health and metrics are.
    pub(crate) admin_listen: SocketAddr,
    /// How agents' connections are protected.
    pub(crate) transport: Transport,
    /// The URL that agents use, where one was given.
    pub(crate) public_url: Option<Url>,
    /// Further values of `Host`.
    pub(crate) allow_hosts: Vec<String>,
    /// Further values of `Origin`.
    pub(crate) allow_origins: Vec<String>,
    /// Addresses that servers may be reached at besides public ones.
    pub(crate) allow_upstream: Vec<Cidr>,
    /// The collector that traces are sent to.
    pub(crate) otlp_traces: Option<Url>,
}

/// Where resources come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files, watched.
    Files(Vec<PathBuf>),
    /// The demo's own file in the data directory.
    Demo,
    /// What was published last.
    LastPublished,
}

/// How agents' connections are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Plain HTTP that does not leave this machine.
    Loopback,
    /// TLS with this certificate and key.
    Tls { certificate: PathBuf, key: PathBuf },
    /// Plain HTTP on a network, as asked for by name.
    InsecurePlainHttp,
}

impl Plan {
    /// Checks the arguments. `handed_over` is the address of the socket that a service manager holds for agents.
    pub(crate) fn check(args: UpArgs, handed_over: Option<SocketAddr>) -> Result<Self, Failure> {
        let listen = match (args.listen, handed_over) {
            (Some(asked), Some(given)) if asked != given => {
                return Err(Failure::usage(format!(
                    "`--listen {asked}` is not the socket that was handed over, which listens on {given}"
                ))
                .hint("leave `--listen` away, or change `ListenStream=` of the service manager"));
            }
            (_, Some(address)) | (Some(address), None) => address,
            (None, None) => LISTEN,
        };
        let source = match (args.demo, args.files.is_empty()) {
            (true, _) => Source::Demo,
            (false, true) => Source::LastPublished,
            (false, false) => Source::Files(args.files),
        };
        let transport = match (args.tls_cert, args.tls_key) {
            (Some(certificate), Some(key)) => Transport::Tls { certificate, key },
            _ if listen.ip().is_loopback() => Transport::Loopback,
            _ if args.insecure_plain_http => Transport::InsecurePlainHttp,
            _ => {
                return Err(Failure::usage(format!(
                    "`--listen {listen}` reaches beyond this machine without TLS: tokens could be read on the way"
                ))
                .hint("give `--tls-cert` and `--tls-key`, or accept the risk with `--insecure-plain-http`"));
            }
        };
        if !args.admin_listen.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "`--admin-listen {}` reaches beyond this machine: health and metrics ask for no token",
                args.admin_listen
            ))
            .hint("use a loopback address, and let a collector on this machine read it"));
        }
        if args.public_url.is_none() && listen.ip().is_unspecified() {
            return Err(Failure::usage(format!("`--listen {listen}` does not say what agents call it"))
                .hint("give the URL that they use, for example `--public-url https://mcp.example.com`"));
        }
        Ok(Self {
            source,
            listen,
            admin_listen: args.admin_listen,
            transport,
            public_url: args.public_url.map(check_public_url).transpose()?,
            allow_hosts: args.allow_hosts.into_iter().map(check_host).collect::<Result<_, _>>()?,
            allow_origins: args.allow_origins.into_iter().map(check_origin).collect::<Result<_, _>>()?,
            allow_upstream: args
                .allow_upstream
                .iter()
                .map(|text| parse_network(text))
                .collect::<Result<_, _>>()?,
            otlp_traces: args.otlp_traces,
        })
    }

    /// The URL that agents use, once it is known on which address the listener is.
    pub(crate) fn public_url(&self, bound: SocketAddr) -> Result<Url, Failure> {
        let scheme = match self.transport {
            Transport::Tls { .. } => "https",
            Transport::Loopback | Transport::InsecurePlainHttp => "http",
        };
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => {
                Url::parse(&format!("{scheme}://{bound}/")).map_err(|error| anyhow::Error::from(error).into())
            }
        }
    }

    /// The values of `Host` that are answered. Without a port, any port matches.
    pub(crate) fn allowed_hosts(&self, public_url: &Url) -> Vec<String> {
        let mut hosts = self.allow_hosts.clone();
        hosts.extend(public_url.host_str().map(str::to_owned));
        if self.listen.ip().is_loopback() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The values of `Origin` that are answered. Without a port, any port matches.
    pub(crate) fn allowed_origins(&self, public_url: &Url) -> Vec<String> {
        let mut origins = self.allow_origins.clone();
        origins.push(public_url.origin().ascii_serialization());
        if self.listen.ip().is_loopback() {
            // Pages that this machine serves, at any port: an inspector, a development server.
            origins.extend(["http://localhost", "http://127.0.0.1", "http://[::1]"].map(str::to_owned));
        }
        origins.sort();
        origins.dedup();
        origins
    }
}

fn check_public_url(url: Url) -> Result<Url, Failure> {
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let scheme = matches!(url.scheme(), "http" | "https");
    if scheme && url.host().is_some() && bare {
        Ok(url)
    } else {
        Err(Failure::usage(format!("`--public-url {url}` is not a scheme, a host and perhaps a port"))
            .hint("write it like `https://mcp.example.com`: the paths of the endpoints are fixed"))
    }
}

fn check_host(text: String) -> Result<String, Failure> {
    let lower = text.to_ascii_lowercase();
    match Url::parse(&format!("http://{lower}/")) {
        Ok(url) if url.path() == "/" && url.host().is_some() && !lower.contains(['/', '@', '?', '#']) => {
            Ok(lower)
        }
        _ => Err(Failure::usage(format!("`--allow-host {text}` is not a host")).hint(
            "write a name or an address, with a port if only that port is meant: `mcp.example.com:8443`",
        )),
    }
}

fn check_origin(text: String) -> Result<String, Failure> {
    match Url::parse(&text) {
        Ok(url)
            if url.origin().is_tuple()
                && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
                && text.trim_end_matches('/').eq_ignore_ascii_case(&url.origin().ascii_serialization()) =>
        {
            Ok(url.origin().ascii_serialization())
        }
        _ => Err(Failure::usage(format!("`--allow-origin {text}` is not an origin"))
            .hint("write a scheme and a host, for example `https://console.example.com`")),
    }
}

fn parse_network(text: &str) -> Result<Cidr, Failure> {
    text.parse().map_err(|error| Failure::from_error(&error).in_usage("--allow-upstream"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(arguments: &str) -> Result<Plan, String> {
        plan_with(arguments, None)
    }

    fn plan_with(arguments: &str, handed_over: Option<SocketAddr>) -> Result<Plan, String> {
        let arguments = ["narrows", "up"].into_iter().chain(arguments.split_whitespace());
        let Command::Up(args) = Cli::try_parse_from(arguments).unwrap().command else { panic!("not `up`") };
        Plan::check(*args, handed_over).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_reaches_beyond_the_machine_must_be_asked_for() {
        let check = |arguments: &str, expected: &str| {
            let said =
                plan(arguments).map(|plan| format!("{:?}", plan.transport)).unwrap_or_else(|said| said);
            assert!(said.contains(expected), "{arguments}: {said}");
        };
        check("", "Loopback");
        check("--listen [::1]:0", "Loopback");
        check("--listen 192.0.2.1:443", "reaches beyond this machine without TLS");
        check("--listen 192.0.2.1:443 --insecure-plain-http", "InsecurePlainHttp");
        check("--listen 192.0.2.1:443 --tls-cert c --tls-key k", "Tls");
        check("--listen 0.0.0.0:443 --tls-cert c --tls-key k", "does not say what agents call it");
        check("--listen 0.0.0.0:443 --tls-cert c --tls-key k --public-url https://a.example", "Tls");
        check("--admin-listen 0.0.0.0:1", "ask for no token");
        check("--public-url https://a.example/mcp", "is not a scheme, a host");
        check("--public-url ftp://a.example", "is not a scheme, a host");
        check("--allow-host a/b", "is not a host");
        check("--allow-origin https://a.example/x", "is not an origin");
        check("--allow-origin null", "is not an origin");
        check(
            "--allow-upstream 10.0.0.0/33",
            "`--allow-upstream`: `10.0.0.0/33` is not a block of addresses",
        );
        check("--allow-upstream 10.0.0.0/8 --allow-upstream ::1", "Loopback");
    }

    #[test]
    fn a_socket_that_was_handed_over_is_held_to_the_same_rules() {
        let check = |arguments: &str, address: &str, expected: &str| {
            let made = plan_with(arguments, Some(address.parse().unwrap()));
            let said =
                made.map(|plan| format!("{} {:?}", plan.listen, plan.transport)).unwrap_or_else(|said| said);
            assert!(said.contains(expected), "{arguments} with {address}: {said}");
        };
        check("", "127.0.0.1:9", "127.0.0.1:9 Loopback");
        check("--listen 127.0.0.1:9", "127.0.0.1:9", "127.0.0.1:9 Loopback");
        check("--listen 127.0.0.1:8", "127.0.0.1:9", "is not the socket that was handed over");
        check("", "192.0.2.1:443", "reaches beyond this machine without TLS");
        check("", "0.0.0.0:443", "reaches beyond this machine without TLS");
        check("--tls-cert c --tls-key k", "0.0.0.0:443", "does not say what agents call it");
        check("--insecure-plain-http", "192.0.2.1:80", "192.0.2.1:80 InsecurePlainHttp");
    }

    #[test]
    fn hosts_and_origins_follow_from_the_address() {
        let bound = "127.0.0.1:7700".parse().unwrap();
        let local = plan("--allow-host B.example:1").unwrap();
        let url = local.public_url(bound).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:7700/");
        assert_eq!(local.allowed_hosts(&url), ["127.0.0.1", "[::1]", "b.example:1", "localhost"]);
        let public = plan("--listen 0.0.0.0:1 --insecure-plain-http --public-url https://a.example").unwrap();
        let url = public.public_url(bound).unwrap();
        assert_eq!(public.allowed_hosts(&url), ["a.example"]);
        assert_eq!(public.allowed_origins(&url), ["https://a.example"]);
    }
}
