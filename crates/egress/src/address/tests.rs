//! The policy as a table: address, what is allowed, and the verdict over TLS and in plain text.

use super::*;

const PRIVATE: &str = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 ::1/128 fc00::/7";
const EVERYTHING: &str = "0.0.0.0/0 ::/0";

fn verdict(address: &str, allowed: &str, transport: Transport) -> Result<CheckedAddress, AddressRefusal> {
    let allowed = allowed.split_whitespace().map(|block| block.parse().unwrap()).collect();
    let own = vec![
        "127.0.0.1:7700".parse().unwrap(),
        "[::1]:7701".parse().unwrap(),
        "0.0.0.0:7702".parse().unwrap(),
    ];
    AddressPolicy { allowed, own }.check(address.parse().unwrap(), transport)
}

/// `ok`, or the refusal in short, over TLS and in plain text.
fn check(address: &str, allowed: &str, expected: (&str, &str)) {
    let short = |transport| match verdict(address, allowed, transport) {
        Ok(checked) => {
            let written: SocketAddr = address.parse().unwrap();
            assert_eq!(checked.get(), SocketAddr::new(written.ip().to_canonical(), written.port()));
            "ok".to_owned()
        }
        Err(AddressRefusal::Never(kind)) => format!("never {kind}"),
        Err(AddressRefusal::NotAllowed(kind)) => format!("not {kind}"),
        Err(AddressRefusal::Own) => "own".to_owned(),
        Err(AddressRefusal::Plain) => "plain".to_owned(),
    };
    let found = (short(Transport::Tls), short(Transport::Plain));
    assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{address} with `{allowed}`");
}

#[test]
fn public_addresses_need_tls_unless_allowed() {
    for address in ["93.184.215.14:443", "[2606:4700::1111]:443", "[64:ff9b::5db8:d70e]:443", "172.32.0.1:80"]
    {
        check(address, "", ("ok", "plain"));
    }
    check("93.184.215.14:80", "93.184.215.0/24", ("ok", "ok"));
    check("[::ffff:93.184.215.14]:443", "", ("ok", "plain"));
}

#[test]
fn loopback_and_private_addresses_need_an_allowed_block() {
    let kinds = [
        ("127.0.0.1:80", "loopback"),
        ("127.255.255.254:80", "loopback"),
        ("[::1]:80", "loopback"),
        ("[::ffff:127.0.0.1]:80", "loopback"),
        ("10.0.0.1:80", "private"),
        ("[::ffff:10.0.0.1]:80", "private"),
        ("172.16.0.1:80", "private"),
        ("172.31.255.255:80", "private"),
        ("192.168.1.1:80", "private"),
        ("100.64.0.1:80", "private"),
        ("100.127.255.255:80", "private"),
        ("[fc00::1]:80", "private"),
        ("[fdff::1]:80", "private"),
    ];
    for (address, kind) in kinds {
        let refused = format!("not {kind}");
        check(address, "", (&refused, &refused));
        check(address, "203.0.112.0/24", (&refused, &refused));
        check(address, PRIVATE, ("ok", "ok"));
    }
    check("198.51.100.7:80", "", ("not special-purpose", "not special-purpose"));
    check("[2001:db8::1]:80", "", ("not special-purpose", "not special-purpose"));
    check("[2001:db8::1]:80", "2001:db8::/32", ("ok", "ok"));
}

#[test]
fn some_addresses_are_never_reached_whatever_is_allowed() {
    let never = [
        ("0.0.0.0:80", "unspecified"),
        ("0.1.2.3:80", "unspecified"),
        ("[::]:80", "unspecified"),
        ("[::ffff:0.0.0.0]:80", "unspecified"),
        ("169.254.169.254:80", "cloud metadata"),
        ("[::ffff:169.254.169.254]:80", "cloud metadata"),
        ("169.254.0.1:80", "link-local"),
        ("168.63.129.16:80", "cloud metadata"),
        ("100.100.100.200:80", "cloud metadata"),
        ("192.0.0.192:80", "cloud metadata"),
        ("[fd00:ec2::254]:80", "cloud metadata"),
        ("[fd20:ce::254]:80", "cloud metadata"),
        ("[fe80::1]:80", "link-local"),
        ("[febf::1]:80", "link-local"),
        ("[fec0::1]:80", "link-local"),
        ("224.0.0.1:80", "multicast"),
        ("239.255.255.255:80", "multicast"),
        ("[ff02::1]:80", "multicast"),
        ("255.255.255.255:80", "reserved"),
        ("240.0.0.1:80", "reserved"),
        ("192.0.0.1:80", "reserved"),
        ("[4000::1]:80", "reserved"),
        // IPv4 in disguise: compatible, NAT64 of what is not public, local NAT64, 6to4, Teredo.
        ("[::127.0.0.1]:80", "IPv4-in-IPv6"),
        ("[::10.0.0.1]:80", "IPv4-in-IPv6"),
        ("[::93.184.215.14]:80", "IPv4-in-IPv6"),
        ("[64:ff9b::7f00:1]:80", "IPv4-in-IPv6"),
        ("[64:ff9b::a9fe:a9fe]:80", "IPv4-in-IPv6"),
        ("[64:ff9b::a00:1]:80", "IPv4-in-IPv6"),
        ("[64:ff9b:1::a00:1]:80", "IPv4-in-IPv6"),
        ("[2002:7f00:1::1]:80", "IPv4-in-IPv6"),
        ("[2002:5db8:d70e::1]:80", "IPv4-in-IPv6"),
        ("[2001::7f00:1]:80", "IPv4-in-IPv6"),
    ];
    for (address, kind) in never {
        let refused = format!("never {kind}");
        check(address, "", (&refused, &refused));
        check(address, EVERYTHING, (&refused, &refused));
    }
}

#[test]
fn our_own_listeners_are_never_reached() {
    for own in [
        "127.0.0.1:7700",
        "[::ffff:127.0.0.1]:7700",
        "[::1]:7701",
        "127.0.0.1:7702",
        "127.9.9.9:7702",
        "[::1]:7702",
    ] {
        check(own, EVERYTHING, ("own", "own"));
    }
    for other in ["127.0.0.1:7703", "127.0.0.2:7700", "[::1]:7700", "10.0.0.1:7702"] {
        check(other, EVERYTHING, ("ok", "ok"));
    }
}

#[test]
fn every_refusal_says_what_to_do_where_something_can_be_done() {
    let refusal = |address, transport| verdict(address, "", transport).unwrap_err().to_string();
    assert_eq!(
        refusal("10.0.0.1:80", Transport::Tls),
        "private addresses are only connected to inside allowed blocks\nhint: allow it with `--allow-upstream CIDR`"
    );
    assert_eq!(
        refusal("93.184.215.14:80", Transport::Plain),
        "plain http is only spoken inside allowed blocks\nhint: use https, or allow it with `--allow-upstream CIDR`"
    );
    assert_eq!(refusal("[fe80::1]:80", Transport::Tls), "link-local addresses are never connected to");
}
