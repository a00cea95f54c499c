//! URLs as they might be written, and what becomes of them.

use super::*;

fn check(text: &str, expected: Result<(&str, u16, &str), TargetError>) {
    let found = parse_url(text).map(|url| {
        let destination = Destination::new(Target::Url(url)).unwrap();
        let Place::Net { host, port, .. } = destination.place else { panic!("a URL is not a socket") };
        (host.text().into_string(), port, destination.uri.to_string(), destination.host_header)
    });
    match (found, expected) {
        (Ok((host, port, uri, _)), Ok(expected)) => {
            assert_eq!((host.as_str(), port, uri.as_str()), expected, "{text}")
        }
        (Err(error), Err(expected)) => assert_eq!(error, expected, "{text}"),
        (found, expected) => panic!("{text:?}: found {found:?}, expected {expected:?}"),
    }
}

#[test]
fn urls_lead_where_they_say() {
    check("https://mcp.example.com/mcp", Ok(("mcp.example.com", 443, "/mcp")));
    check("https://mcp.example.com", Ok(("mcp.example.com", 443, "/")));
    check("http://mcp.example.com:8080/a?b=c", Ok(("mcp.example.com", 8080, "/a?b=c")));
    check("HTTPS://MCP.example.COM/Mcp", Ok(("mcp.example.com", 443, "/Mcp")));
    check("https://bücher.example/x", Ok(("xn--bcher-kva.example", 443, "/x")));
    check("https://[2001:db8::1]:8443/mcp", Ok(("2001:db8::1", 8443, "/mcp")));
}

/// The parser makes addresses of these, so that the policy judges the address and no resolver is asked.
#[test]
fn hosts_that_are_addresses_in_disguise_become_addresses() {
    for host in [
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f000001",
        "127.0.0.1.",
        "１２７.0.0.1",
        "127。0。0。1",
    ] {
        check(&format!("http://{host}/"), Ok(("127.0.0.1", 80, "/")));
    }
    check("http://0/", Ok(("0.0.0.0", 80, "/")));
    check("http://[::ffff:127.0.0.1]/", Ok(("::ffff:127.0.0.1", 80, "/")));
    check("http://[::]/", Ok(("::", 80, "/")));
    check("http://169.254.169.254/latest", Ok(("169.254.169.254", 80, "/latest")));
}

#[test]
fn what_parsers_read_differently_is_refused() {
    for text in [
        "",
        "mcp.example.com",
        "//mcp.example.com/",
        "/mcp",
        "https:",
        "https://",
        "https:///mcp",
        "https:/mcp.example.com",
        "https:mcp.example.com",
        " https://mcp.example.com/",
        "https://mcp.example.com/ ",
        "https://mcp.example.com/\r\nHost: evil",
        "https://mcp.exam\nple.com/",
        "https://mcp.example.com/\t",
        "https://mcp.example.com\\@evil.example/",
        "https:\\\\mcp.example.com",
        "https://mcp.example.com/\u{85}",
        "https://mcp.example.com/\u{2028}",
        "https://exa mple.com/",
        "https://256.256.256.256/",
        "https://1.2.3.4.5/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://%00/",
        "https://a%2fb/",
        "https://mcp.example.com:99999/",
        "https://mcp.example.com:-1/",
    ] {
        check(text, Err(TargetError::Shape));
    }
    check(&format!("https://mcp.example.com/{}", "a".repeat(MAX_URL)), Err(TargetError::Shape));
    for scheme in ["ftp", "file", "ws", "gopher", "unix"] {
        check(&format!("{scheme}://example.com/"), Err(TargetError::Scheme(scheme.into())));
    }
    for text in ["http://ok@10.0.0.1/", "https://user:pass@example.com/", "https://:pass@example.com/"] {
        check(text, Err(TargetError::UserInfo));
    }
    check("https://example.com/#x", Err(TargetError::Fragment));
    check("https://example.com:0/", Err(TargetError::Port));
}

#[test]
fn a_client_checks_a_url_that_was_parsed_elsewhere() {
    for (text, expected) in [
        ("ftp://example.com/", TargetError::Scheme("ftp".into())),
        ("https://user@example.com/", TargetError::UserInfo),
        ("https://example.com/#x", TargetError::Fragment),
        ("https://example.com:0/", TargetError::Port),
        ("data:x", TargetError::Scheme("data".into())),
    ] {
        assert_eq!(Destination::new(Target::Url(Url::parse(text).unwrap())).unwrap_err(), expected);
    }
}

#[test]
fn the_host_header_has_the_port_only_where_it_is_not_the_usual_one() {
    for (text, expected) in [
        ("https://example.com/mcp", "example.com"),
        ("https://example.com:443/mcp", "example.com"),
        ("http://example.com:443/mcp", "example.com:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ] {
        let destination = Destination::new(Target::Url(parse_url(text).unwrap())).unwrap();
        assert_eq!(destination.host_header, expected);
    }
    assert_eq!(Destination::new(Target::Unix("/run/x".into())).unwrap().host_header, "localhost");
}
