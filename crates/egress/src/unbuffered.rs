//! The body of a response that goes on for long and is silent for most of the time. Nothing is kept between two pieces.
//! Extensions and trailers of the chunked coding (RFC 9112 section 7.1) are dropped.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a chunk's size and extensions, and of a trailer field.
const LINE: usize = 1024;
/// Bytes of all trailers.
const TRAILERS: usize = 8 * 1024;
/// Bytes that are read at once.
const PIECE: usize = 4096;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    Length(u64),
    /// With the connection.
    Close,
}

/// A connection in the middle of a body.
pub(crate) struct Unbuffered<S> {
    stream: S,
    /// Read, and not yet understood.
    unread: BytesMut,
    next: Next,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    Plain(u64),
    Anything,
    Nothing,
}

impl<S: AsyncRead + Unpin> Unbuffered<S> {
    /// Reads on where the head ended; `unread` was read with it.
    pub(crate) fn new(stream: S, unread: &[u8], framing: Framing) -> Self {
        let next = match framing {
            Framing::Chunked => Next::Size,
            Framing::Length(0) => Next::Nothing,
            Framing::Length(length) => Next::Plain(length),
            Framing::Close => Next::Anything,
        };
        Self { stream, unread: BytesMut::from(unread), next }
    }

    /// Whether there is no more.
    pub(crate) fn is_over(&self) -> bool {
        self.next == Next::Nothing
    }

    /// The next piece of data; none at the end of the body.
    ///
    /// # Errors
    /// The connection broke, or what came is not the chunked coding.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match self.next {
                Next::Nothing => return Poll::Ready(Ok(None)),
                Next::Data(left) if !self.unread.is_empty() => {
                    let (data, left) = self.take(left);
                    self.next = if left == 0 { Next::DataEnd } else { Next::Data(left) };
                    return Poll::Ready(Ok(Some(data)));
                }
                Next::Plain(left) if !self.unread.is_empty() => {
                    let (data, left) = self.take(left);
                    self.next = if left == 0 { Next::Nothing } else { Next::Plain(left) };
                    return Poll::Ready(Ok(Some(data)));
                }
                Next::Anything if !self.unread.is_empty() => {
                    let (data, _) = self.take(u64::MAX);
                    return Poll::Ready(Ok(Some(data)));
                }
                Next::Data(_) | Next::Plain(_) | Next::Anything => {}
                Next::Size => {
                    if let Some(line) = self.line()? {
                        self.next = match size(&line)? {
                            0 => Next::Trailers(TRAILERS),
                            size => Next::Data(size),
                        };
                        continue;
                    }
                }
                Next::DataEnd => {
                    if let Some(line) = self.line()? {
                        if !line.is_empty() {
                            return Poll::Ready(Err(malformed("a chunk is longer than its size")));
                        }
                        self.next = Next::Size;
                        self.let_go();
                        continue;
                    }
                }
                Next::Trailers(room) => {
                    if let Some(line) = self.line()? {
                        if line.is_empty() {
                            self.next = Next::Nothing;
                            continue;
                        }
                        let room = room.checked_sub(line.len());
                        self.next = Next::Trailers(room.ok_or_else(|| malformed("too many trailers"))?);
                        continue;
                    }
                }
            }
            if ready!(self.poll_more(cx))? == 0 {
                if self.next != Next::Anything {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.next = Next::Nothing;
            }
        }
    }

    /// At most so many of the unread bytes; how many are left of the number.
    fn take(&mut self, left: u64) -> (Bytes, u64) {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread.len());
        let data = self.unread.split_to(count).freeze();
        self.let_go();
        (data, left - count as u64)
    }

    /// The next line without its end, if all of it is there.
    fn line(&mut self) -> io::Result<Option<Bytes>> {
        match self.unread.iter().position(|byte| *byte == b'\n') {
            Some(end) if end < LINE => {
                let line = self.unread.split_to(end + 1).freeze();
                let line = line.strip_suffix(b"\r\n").map(|text| line.slice_ref(text));
                line.map(Some).ok_or_else(|| malformed("a line does not end in CR LF"))
            }
            None if self.unread.len() < LINE => Ok(None),
            Some(_) | None => Err(malformed("a line is too long")),
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [0; PIECE];
        let mut read = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        self.unread.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Keeps no buffer where there is nothing to keep.
    fn let_go(&mut self) {
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
    }
}

/// The size of a chunk: hexadecimal digits, and extensions that mean nothing here.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    let after = line.get(digits.len()..).unwrap_or_default().trim_ascii_start();
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match text.and_then(|text| u64::from_str_radix(text, 16).ok()) {
        Some(size) if after.is_empty() || after.starts_with(b";") => Ok(size),
        _ => Err(malformed("a chunk has no size")),
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// All data of a body that comes in pieces of at most `cut` bytes after `begin` of them came with the head.
    async fn read(text: &[u8], framing: Framing, begin: usize, cut: usize) -> io::Result<String> {
        let (first, rest) = text.split_at(begin.min(text.len()));
        let (mut client, server) = tokio::io::duplex(64);
        let mut body = Unbuffered::new(server, first, framing);
        let write = async move {
            for piece in rest.chunks(cut) {
                // What is too long is not read to the end.
                if client.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut all = Vec::new();
            while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await? {
                all.extend_from_slice(&data);
            }
            drop(body);
            Ok(String::from_utf8(all).unwrap())
        };
        tokio::join!(read, write).0
    }

    async fn check(text: &str, expected: Result<&str, io::ErrorKind>) {
        check_as(Framing::Chunked, text, expected).await;
    }

    async fn check_as(framing: Framing, text: &str, expected: Result<&str, io::ErrorKind>) {
        for begin in [0, 1, 3, text.len()] {
            for cut in [1, 2, 7, 4096] {
                let read = read(text.as_bytes(), framing, begin, cut).await;
                let read = read.as_deref().map_err(io::Error::kind);
                assert_eq!(read, expected, "{text:?} cut at {begin} and each {cut}");
            }
        }
    }

    #[tokio::test]
    async fn data_is_data_however_it_is_cut() {
        check("0\r\n\r\n", Ok("")).await;
        check("5\r\nhello\r\n0\r\n\r\n", Ok("hello")).await;
        check("5;a=b\r\nhello\r\n2 ; c\r\n\r\n\r\n00\r\nx-trailer: y\r\n\r\n", Ok("hello\r\n")).await;
        check(
            "1F\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\nafter",
            Ok("0123456789abcdef0123456789abcde"),
        )
        .await;
    }

    #[tokio::test]
    async fn other_bodies_end_with_their_length_or_the_connection() {
        check_as(Framing::Length(0), "after", Ok("")).await;
        check_as(Framing::Length(5), "helloafter", Ok("hello")).await;
        check_as(Framing::Length(6), "hello", Err(io::ErrorKind::UnexpectedEof)).await;
        check_as(Framing::Close, "hello", Ok("hello")).await;
        check_as(Framing::Close, "", Ok("")).await;
    }

    #[tokio::test]
    async fn what_is_not_the_coding_is_refused() {
        let malformed = Err(io::ErrorKind::InvalidData);
        for text in
            ["\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", "1 1\r\n", "1\n", "1\r\nab\r\n", "1\r\na\n"]
        {
            check(text, malformed).await;
        }
        check("ffffffffffffffff\r\n", malformed).await;
        check(&"1".repeat(2000), malformed).await;
        check(&format!("1;{}\r\n", "x".repeat(2000)), malformed).await;
        check(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(3000)), malformed).await;
        for text in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n0\r\n"] {
            check(text, Err(io::ErrorKind::UnexpectedEof)).await;
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_between_two_pieces() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut body = Unbuffered::new(server, b"5\r\nhello\r\n", Framing::Chunked);
        let data = poll_fn(|cx| body.poll_data(cx)).await.unwrap();
        assert_eq!(data.as_deref(), Some(&b"hello"[..]));
        let polled = poll_fn(|cx| Poll::Ready(body.poll_data(cx).is_pending())).await;
        assert!(polled && body.unread.capacity() == 0);
        client.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(poll_fn(|cx| body.poll_data(cx)).await.unwrap(), None);
    }
}
