//! The first look at a request: its head, before anything else is done with it. What two parties could read
//! differently is refused here, so that nothing behind this gate has to think of it.

use http::{HeaderMap, Method, Version, header, request::Parts};

use crate::{refusal::EdgeRefusal, route::Route, settings::Settings};

/// Headers that may stand once at most.
const SINGLE: [&str; 9] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
];

/// What a request's head says, once it is clear.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) verb: Verb,
    pub(crate) route: Route,
}

/// How nearly all clients say what they accept.
const BOTH: &str = "application/json, text/event-stream";

/// The HTTP methods of Streamable HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Delete,
}

/// Checks a request's head. Runs before authentication, and gives no hint of what exists.
pub(crate) fn check(parts: &Parts, settings: &Settings) -> Result<Head, EdgeRefusal> {
    check_headers(&parts.headers)?;
    check_host(parts, &settings.allowed_hosts)?;
    check_origin(&parts.headers, &settings.allowed_origins)?;
    if parts.uri.query().is_some() {
        return Err(EdgeRefusal::Query);
    }
    let route = Route::parse(parts.uri.path()).ok_or(EdgeRefusal::Path)?;
    let verb = match parts.method {
        Method::GET => Verb::Get,
        Method::POST => Verb::Post,
        Method::DELETE => Verb::Delete,
        _ => return Err(EdgeRefusal::Method),
    };
    match verb {
        Verb::Post => check_post(&parts.headers)?,
        Verb::Get | Verb::Delete => {
            let length = parts.headers.get(header::CONTENT_LENGTH);
            if parts.headers.contains_key(header::TRANSFER_ENCODING)
                || length.is_some_and(|value| value != "0")
            {
                return Err(EdgeRefusal::UnexpectedBody);
            }
        }
    }
    Ok(Head { verb, route })
}

fn check_headers(headers: &HeaderMap) -> Result<(), EdgeRefusal> {
    let repeats = headers.len() > headers.keys_len();
    for (name, value) in headers {
        let text = name.as_str();
        if text.starts_with("mcp_") {
            return Err(EdgeRefusal::HeaderName);
        }
        if text.starts_with("mcp-") || SINGLE.binary_search(&text).is_ok() {
            if repeats && headers.get_all(name).iter().nth(1).is_some() {
                return Err(EdgeRefusal::RepeatedHeader(name.clone()));
            }
            if value.to_str().is_err() {
                return Err(EdgeRefusal::HeaderValue(name.clone()));
            }
        }
    }
    Ok(())
}

/// One `Host` (or, in HTTP/2, one `:authority` that it agrees with), from the list; no absolute form in HTTP/1.1.
fn check_host(parts: &Parts, allowed: &[String]) -> Result<(), EdgeRefusal> {
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let named = match (parts.version, authority, host) {
        (Version::HTTP_2, Some(authority), None) => authority,
        (Version::HTTP_2, Some(authority), Some(host)) if authority == host => authority,
        (Version::HTTP_2, None, Some(host)) | (Version::HTTP_11 | Version::HTTP_10, None, Some(host)) => host,
        _ => return Err(EdgeRefusal::Host),
    };
    if matches_authority(named, allowed) { Ok(()) } else { Err(EdgeRefusal::Host) }
}

fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), EdgeRefusal> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| EdgeRefusal::Origin)?;
    let (scheme, authority) = origin.split_once("://").ok_or(EdgeRefusal::Origin)?;
    let same_scheme =
        allowed.iter().filter_map(|entry| entry.split_once("://")).filter(|(s, _)| *s == scheme);
    let entries: Vec<String> = same_scheme.map(|(_, entry)| entry.to_owned()).collect();
    if matches_authority(authority, &entries) { Ok(()) } else { Err(EdgeRefusal::Origin) }
}

/// Whether `host[:port]` is in the list; an entry without a port matches any port.
fn matches_authority(named: &str, allowed: &[String]) -> bool {
    let (host, port) = split_port(named);
    let port_is_sound = port.is_none_or(|port| port.parse::<u16>().is_ok());
    port_is_sound
        && allowed.iter().any(|entry| {
            let (allowed_host, allowed_port) = split_port(entry);
            allowed_host.eq_ignore_ascii_case(host) && (allowed_port.is_none() || allowed_port == port)
        })
}

/// Splits `host:port`, minding the brackets of IPv6.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn check_post(headers: &HeaderMap) -> Result<(), EdgeRefusal> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(EdgeRefusal::ContentEncoding);
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(is_json) {
        return Err(EdgeRefusal::ContentType);
    }
    let usual = headers.get(header::ACCEPT).is_some_and(|value| value == BOTH);
    if usual || accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
        Ok(())
    } else {
        Err(EdgeRefusal::Accept)
    }
}

/// `application/json`, with at most the parameter `charset=utf-8`.
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"));
    let utf8 = match parts.next() {
        None => true,
        Some(parameter) => {
            parameter.eq_ignore_ascii_case("charset=utf-8")
                || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
        }
    };
    json && utf8 && parts.next().is_none()
}

/// Whether `Accept` names a media type, or a range around it. Quality values are not weighed.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|range| {
            let name = range.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case(media_type)
                || name == "*/*"
                || name.strip_suffix("/*").is_some_and(|prefix| prefix.eq_ignore_ascii_case(kind))
        })
    })
}

#[cfg(test)]
mod tests;
