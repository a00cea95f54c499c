//! Which addresses may be connected to. The policy is asked about addresses, never about names, and its answer is
//! a [`CheckedAddress`], the only thing that the connector takes.
//!
//! Public addresses are reached over TLS. Loopback and private ones, and any one without TLS, only inside the blocks
//! that the operator allows. Link-local and metadata addresses, multicast, unspecified ones, IPv4 hidden in IPv6
//! and our own listeners are never reached, whatever is allowed.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use crate::Cidr;

/// What may be reached.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Blocks in which loopback and private addresses, and plain HTTP, are allowed.
    pub allowed: Vec<Cidr>,
    /// Our own listeners. An unspecified address stands for every address of this machine.
    pub own: Vec<SocketAddr>,
}

/// Whether the connection is encrypted and the peer authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS.
    Tls,
    /// Plain text.
    Plain,
}

/// An address that the policy admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedAddress(SocketAddr);

impl CheckedAddress {
    /// The address to connect to.
    pub fn get(self) -> SocketAddr {
        self.0
    }
}

/// What an address is for, by the IANA special-purpose registries (RFC 6890) and what clouds use for metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Globally reachable.
    Public,
    /// This machine.
    Loopback,
    /// RFC 1918, carrier-grade NAT (RFC 6598) or IPv6 unique local (RFC 4193).
    Private,
    /// Documentation, benchmarking and the like.
    Special,
    /// Link-local (RFC 3927, RFC 4291) or the site-local of old.
    LinkLocal,
    /// A cloud's metadata or host service.
    Metadata,
    /// Multicast.
    Multicast,
    /// `0.0.0.0/8`, `::`, which lead to this machine.
    Unspecified,
    /// An IPv4 address inside an IPv6 one: compatible, 6to4, Teredo, NAT64 of a non-public address.
    Embedded,
    /// Reserved; leads nowhere good.
    Reserved,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// No configuration allows it.
    #[error("{0} addresses are never connected to")]
    Never(AddressKind),
    /// It is one of our own listeners.
    #[error("it is a listener of this process")]
    Own,
    /// It is in no allowed block.
    #[error(
        "{0} addresses are only connected to inside allowed blocks\nhint: allow it with `--allow-upstream CIDR`"
    )]
    NotAllowed(AddressKind),
    /// A public address without TLS.
    #[error(
        "plain http is only spoken inside allowed blocks\nhint: use https, or allow it with `--allow-upstream CIDR`"
    )]
    Plain,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Special => "special-purpose",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Embedded => "IPv4-in-IPv6",
            Self::Reserved => "reserved",
        })
    }
}

impl AddressPolicy {
    /// Judges one address.
    ///
    /// # Errors
    /// [`AddressRefusal`]: why it is not connected to.
    pub fn check(&self, address: SocketAddr, transport: Transport) -> Result<CheckedAddress, AddressRefusal> {
        let ip = address.ip().to_canonical();
        let kind = AddressKind::of(ip);
        let may_be_allowed = match kind {
            AddressKind::Public | AddressKind::Loopback | AddressKind::Private | AddressKind::Special => true,
            AddressKind::LinkLocal
            | AddressKind::Metadata
            | AddressKind::Multicast
            | AddressKind::Unspecified
            | AddressKind::Embedded
            | AddressKind::Reserved => false,
        };
        if !may_be_allowed {
            return Err(AddressRefusal::Never(kind));
        }
        if self.is_own(ip, address.port()) {
            return Err(AddressRefusal::Own);
        }
        let allowed = self.allowed.iter().any(|block| block.contains(ip));
        if !allowed {
            match (kind, transport) {
                (AddressKind::Public, Transport::Tls) => {}
                (AddressKind::Public, Transport::Plain) => return Err(AddressRefusal::Plain),
                (
                    AddressKind::Loopback
                    | AddressKind::Private
                    | AddressKind::Special
                    | AddressKind::LinkLocal
                    | AddressKind::Metadata
                    | AddressKind::Multicast
                    | AddressKind::Unspecified
                    | AddressKind::Embedded
                    | AddressKind::Reserved,
                    Transport::Tls | Transport::Plain,
                ) => return Err(AddressRefusal::NotAllowed(kind)),
            }
        }
        Ok(CheckedAddress(SocketAddr::new(ip, address.port())))
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        self.own.iter().filter(|own| own.port() == port).any(|own| {
            let own = own.ip().to_canonical();
            own == ip || (own.is_unspecified() && is_of_this_machine(ip))
        })
    }
}

/// The kernel lets a socket be bound exactly to the machine's own addresses.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

impl AddressKind {
    /// Classifies an address. An IPv4 address mapped into IPv6 (`::ffff:0:0/96`) counts as IPv4, as the kernel
    /// treats it so.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            // Azure's host service, Alibaba's and Oracle's metadata.
            [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Self::Metadata,
            [169, 254, 169, 254] => Self::Metadata,
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            [169, 254, ..] => Self::LinkLocal,
            [192, 0, 0, _] => Self::Reserved,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] | [192, 88, 99, _] => {
                Self::Special
            }
            [224..=239, ..] => Self::Multicast,
            [240..=255, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let last_four = || {
            let [.., a, b, c, d] = ip.octets();
            Ipv4Addr::new(a, b, c, d)
        };
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // Amazon's and Google's metadata.
            [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Self::Metadata,
            [0x64, 0xff9b, 0, 0, 0, 0, _, _] => match Self::of_v4(last_four()) {
                Self::Public => Self::Public,
                Self::Loopback
                | Self::Private
                | Self::Special
                | Self::LinkLocal
                | Self::Metadata
                | Self::Multicast
                | Self::Unspecified
                | Self::Embedded
                | Self::Reserved => Self::Embedded,
            },
            [0, ..] | [0x64, 0xff9b, 1, ..] | [0x2002, ..] | [0x2001, 0, ..] => Self::Embedded,
            [0x100, 0, 0, 0, ..] | [0x2001, 0xdb8, ..] | [0x2001, 1..=0x1ff, ..] => Self::Special,
            [0x3fff, 0..=0xfff, ..] | [0x5f00, ..] => Self::Special,
            [0xfc00..=0xfdff, ..] => Self::Private,
            [0xfe80..=0xfeff, ..] => Self::LinkLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Reserved,
        }
    }
}

#[cfg(test)]
mod tests;
