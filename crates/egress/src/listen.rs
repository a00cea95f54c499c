//! One request on a connection of its own whose answer is expected to go on for long. The HTTP library would keep some
//! 30 KiB of buffers and queues for as long as the stream lasts; here nothing is kept but the connection. The head is
//! read by the parser that the library uses, and what two parties could read differently is an error.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    link::MAX_HEAD,
    stream::Stream,
    unbuffered::{Framing, Unbuffered},
};

/// Header fields of a response.
const MAX_FIELDS: usize = 100;
/// Interim answers (1xx) before the answer.
const MAX_INTERIM: usize = 8;

/// Sends a request and reads the head of its answer.
///
/// # Errors
/// The connection broke, or the answer is not HTTP/1.1 or has a body whose end is in doubt.
pub(crate) async fn exchange(
    mut stream: Stream,
    request: &Request<Bytes>,
) -> io::Result<Response<Unbuffered<Stream>>> {
    stream.write_all(&written(request)).await?;
    stream.flush().await?;
    let mut read = Vec::new();
    let mut interim = 0;
    loop {
        let Some((head, end)) = parse(&read)? else {
            if read.len() >= MAX_HEAD {
                return Err(unsound("its head is too long"));
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        // A switch of protocols is no interim answer; it is for the caller to refuse.
        if head.status().is_informational() && head.status() != StatusCode::SWITCHING_PROTOCOLS {
            interim += 1;
            if interim > MAX_INTERIM {
                return Err(unsound("there are too many interim answers"));
            }
            read.drain(..end);
            continue;
        }
        let framing = framing(head.status(), head.headers())?;
        let unread = read.get(end..).unwrap_or_default();
        return Ok(head.map(|()| Unbuffered::new(stream, unread, framing)));
    }
}

fn written(request: &Request<Bytes>) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut text = format!("{} {path} HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if *request.method() != Method::GET || !request.body().is_empty() {
        text.extend_from_slice(format!("content-length: {}\r\n", request.body().len()).as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(request.body());
    text
}

/// A head and how many bytes it takes, if all of it is there.
fn parse(read: &[u8]) -> io::Result<Option<(Response<()>, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    let end = match parsed.parse(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => return Ok(None),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let (Some(status), Some(1)) = (status, parsed.version) else {
        return Err(unsound("it is not HTTP/1.1"));
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_11;
    for field in parsed.headers.iter() {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| unsound("a header has no name"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| unsound("a header has no value"))?;
        response.headers_mut().append(name, value);
    }
    Ok(Some((response, end)))
}

/// How the body ends (RFC 9112 section 6.3).
fn framing(status: StatusCode, headers: &HeaderMap) -> io::Result<Framing> {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap_or_default().trim());
        if values.next().is_some() { Err(unsound("its length is said twice")) } else { Ok(value) }
    };
    let (coding, length) = (only(header::TRANSFER_ENCODING)?, only(header::CONTENT_LENGTH)?);
    match (coding, length) {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Ok(Framing::Length(0)),
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (None, Some(length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| unsound("it has no length"))
        }
        (None, None) => Ok(Framing::Close),
        _ => Err(unsound("its length is in doubt")),
    }
}

fn unsound(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Option<(u16, Framing)>) {
        let text = format!("HTTP/1.1 {head}\r\n\r\nrest");
        let found = parse(text.as_bytes()).ok().flatten().and_then(|(head, end)| {
            assert_eq!(text.get(end..), Some("rest"));
            Some((head.status().as_u16(), framing(head.status(), head.headers()).ok()?))
        });
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn the_end_of_a_body_is_clear_or_an_error() {
        check("200 OK\r\nTransfer-Encoding: Chunked", Some((200, Framing::Chunked)));
        check("200 OK\r\ncontent-length: 12", Some((200, Framing::Length(12))));
        check("200 OK", Some((200, Framing::Close)));
        check("204 No\r\ncontent-length: 12", Some((204, Framing::Length(0))));
        check("200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked", None);
        check("200 OK\r\ncontent-length: 1\r\ncontent-length: 1", None);
        check("200 OK\r\ntransfer-encoding: gzip, chunked", None);
        check("200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked", None);
        check("200 OK\r\ncontent-length: +1", None);
        check("200 OK\r\ncontent-length: 1, 1", None);
        check("200 OK\r\ncontent-length: ", None);
        check("200 OK\r\ncontent-length: 99999999999999999999", None);
        check("200 OK\r\nname : x", None);
        check(&format!("200 OK{}", "\r\na: b".repeat(101)), None);
    }

    #[test]
    fn a_head_is_taken_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        for end in 0..text.len() {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        assert!(parse(text).unwrap().is_some());
        assert!(parse(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(parse(b"ICY 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_is_written_as_it_is() {
        let mut request = Request::get("http://h/mcp?x=1").header("host", "h").body(Bytes::new()).unwrap();
        assert_eq!(written(&request), b"GET /mcp?x=1 HTTP/1.1\r\nhost: h\r\n\r\n");
        *request.method_mut() = Method::POST;
        *request.body_mut() = Bytes::from_static(b"{}");
        assert_eq!(written(&request), b"POST /mcp?x=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}");
    }
}
