//! Blocks of addresses, as an operator writes them. A block with host bits set is refused rather than guessed at.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses: `10.0.0.0/8`, `fd00::/8`; an address alone is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not an address, or the length after `/` is not a number in range.
    #[error("`{0}` is not a block of addresses\nhint: write it as `10.0.0.0/8` or `fd00::/8`")]
    Shape(String),
    /// Bits are set behind the prefix.
    #[error("`{written}` names an address inside a block\nhint: the block is `{block}`")]
    HostBits {
        /// As written.
        written: String,
        /// The block it lies in.
        block: Cidr,
    },
    /// An IPv4 address in IPv6 form, which would not match what it seems to.
    #[error("`{0}` is IPv4 in IPv6 form\nhint: write the IPv4 block")]
    Mapped(String),
}

impl Cidr {
    /// Whether the address lies in the block. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == Some(self.network)
    }
}

/// The address with all bits behind the prefix cleared; none if the prefix is longer than the address.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let behind = 32_u32.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Some(IpAddr::V4((u32::from(v4) & mask).into()))
        }
        IpAddr::V6(v6) => {
            let behind = 128_u32.checked_sub(prefix)?;
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Some(IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask)))
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let shape = || InvalidCidr::Shape(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(prefix.parse::<u8>().map_err(|_| shape())?))
            }
            Some(_) => return Err(shape()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| shape())?;
        if address.to_canonical() != address {
            return Err(InvalidCidr::Mapped(text.to_owned()));
        }
        let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        let network = masked(address, prefix).ok_or_else(shape)?;
        let block = Self { network, prefix };
        if network == address {
            Ok(block)
        } else {
            Err(InvalidCidr::HostBits { written: text.to_owned(), block })
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let block: Cidr = text.parse().unwrap();
        for address in inside {
            assert!(block.contains(address.parse().unwrap()), "{address} should be in {text}");
        }
        for address in outside {
            assert!(!block.contains(address.parse().unwrap()), "{address} should not be in {text}");
        }
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "9.255.255.255", "::1"],
        );
        check("127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"], &["127.0.0.2", "::1"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::", "2001:4860::1"]);
        check("fd00::/8", &["fd00::1", "fdff::1"], &["fc00::1", "fe00::1", "10.0.0.1"]);
        check("::/0", &["::1", "ffff::"], &["1.2.3.4"]);
        check("::1/128", &["::1"], &["::2", "127.0.0.1"]);
    }

    #[test]
    fn what_is_not_a_block_is_refused_with_a_hint() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "x",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr::Shape(text.to_owned())));
        }
        assert_eq!(
            "10.1.2.3/8".parse::<Cidr>().unwrap_err().to_string(),
            "`10.1.2.3/8` names an address inside a block\nhint: the block is `10.0.0.0/8`"
        );
        assert!(matches!("::ffff:10.0.0.0/104".parse::<Cidr>(), Err(InvalidCidr::Mapped(_))));
    }
}
