//! How long a connection waits for a request's head. Between requests a client may be silent for long; once it has
//! sent the first byte of a head, the rest must follow soon. The HTTP library has one timer for both, so the second
//! is kept here, at the bytes, where [`crate::framing`] and [`crate::frames`] look at them as well.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::{
    cuts::Reason,
    frames::Frames,
    framing::{Ambiguous, Framing},
};

/// How HTTP/2 begins (RFC 9113 section 3.4). Its frames have timers of their own.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Said by the service: how many heads were complete, and whether the last of their requests is still in progress. Said
/// to it: whether what came can be read in two ways, and why the connection is cut off from here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    heads: AtomicU64,
    /// Bytes written.
    sent: AtomicU64,
    in_request: AtomicBool,
    parting: AtomicBool,
    unsent: AtomicBool,
    ambiguous: AtomicBool,
    cut: OnceLock<Reason>,
}

impl Phase {
    /// A head is complete: what follows is its body, without this timer.
    pub(crate) fn head_complete(&self) {
        self.0.in_request.store(true, Ordering::Release);
        self.0.heads.fetch_add(1, Ordering::AcqRel);
    }

    /// The response has begun: the next byte is of a new head.
    pub(crate) fn answered(&self) {
        self.0.in_request.store(false, Ordering::Release);
    }

    fn in_request(&self) -> bool {
        self.0.in_request.load(Ordering::Acquire)
    }

    /// The next response is the last.
    pub(crate) fn part(&self) {
        self.0.parting.store(true, Ordering::Release);
    }

    pub(crate) fn is_parting(&self) -> bool {
        self.0.parting.load(Ordering::Acquire)
    }

    /// Whether all that was to be written is.
    pub(crate) fn is_written(&self) -> bool {
        !self.0.unsent.load(Ordering::Acquire)
    }

    /// How far it is: it stands still while this does not change. A client that does not read what it asked for makes
    /// it stand still as one that asks for nothing.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.heads(), self.0.sent.load(Ordering::Relaxed))
    }

    fn written<T>(&self, polled: Poll<T>) -> Poll<T> {
        if self.0.unsent.load(Ordering::Relaxed) != polled.is_pending() {
            self.0.unsent.store(polled.is_pending(), Ordering::Release);
        }
        polled
    }

    /// Whether a head came that can be read in two ways. From then on no request of this connection is carried out.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.0.ambiguous.load(Ordering::Acquire)
    }

    /// Why the connection is cut off from here, if it is.
    pub(crate) fn cut(&self) -> Option<Reason> {
        self.0.cut.get().copied()
    }

    /// Takes note of why it is cut off. There is one reason, for nothing is read after it.
    fn cut_for(&self, reason: Reason, error: io::Error) -> io::Error {
        self.0.cut.get_or_init(|| reason);
        error
    }

    /// How many heads were complete so far.
    pub(crate) fn heads(&self) -> u64 {
        self.0.heads.load(Ordering::Acquire)
    }
}

/// A connection that ends if a head takes too long.
pub(crate) struct Patience<S> {
    stream: S,
    phase: Phase,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: Waiting,
    /// The first bytes, which were looked at and are still to be read.
    first: Vec<u8>,
    watch: Watch,
    /// Heads that were complete when this was last looked at.
    heads: u64,
}

/// What looks at the bytes.
enum Watch {
    /// Nothing before the protocol is known.
    Nothing,
    Http1(Framing),
    Http2(Frames),
}

enum Waiting {
    /// For the first byte of the connection.
    First,
    /// For the first byte of a head.
    Idle,
    /// For the rest of a head.
    Head,
    /// For nothing: HTTP/2.
    Never,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, phase: Phase, limit: Duration) -> Self {
        Self {
            stream,
            phase,
            limit,
            timer: Box::pin(tokio::time::sleep(limit)),
            waiting: Waiting::First,
            first: Vec::new(),
            watch: Watch::Nothing,
            heads: 0,
        }
    }

    /// The stream alone, without what was looked at and not read.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Takes note of heads that were completed since.
    fn catch_up(&mut self) {
        let heads = self.phase.heads();
        if std::mem::replace(&mut self.heads, heads) != heads && matches!(self.waiting, Waiting::Head) {
            self.waiting = Waiting::Idle;
        }
    }

    /// Takes note of bytes that came.
    fn heard(&mut self) {
        self.waiting = match self.waiting {
            Waiting::Never | Waiting::Head => return,
            Waiting::First => Waiting::Head,
            Waiting::Idle if self.phase.in_request() => return,
            Waiting::Idle => {
                self.timer.as_mut().reset(Instant::now() + self.limit);
                Waiting::Head
            }
        };
    }

    /// Has bytes that came looked at.
    fn watch(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.watch {
            Watch::Nothing => Ok(()),
            Watch::Http1(framing) => match framing.read(bytes) {
                Ok(()) => Ok(()),
                // The head is complete before the service is asked, so the service can say what is wrong.
                Err(Ambiguous::Head) => {
                    self.phase.0.ambiguous.store(true, Ordering::Release);
                    Ok(())
                }
                Err(Ambiguous::Body) => {
                    Err(self.phase.cut_for(Reason::Ambiguous, io::ErrorKind::InvalidData.into()))
                }
            },
            Watch::Http2(frames) => frames
                .read(bytes)
                .map_err(|error| self.phase.cut_for(Reason::FrameFlood, io::Error::other(error))),
        }
    }

    /// Takes note of what became of an attempt to write.
    fn wrote(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &polled {
            self.phase.0.sent.fetch_add(*count as u64, Ordering::Relaxed);
            if let Watch::Http2(frames) = &mut self.watch {
                frames.wrote(*count);
            }
        }
        self.phase.written(polled)
    }
}

impl<S: AsyncRead + Unpin> Patience<S> {
    /// Looks at the first bytes; none if the connection ended before them. They can be read as if nobody had.
    pub(crate) async fn protocol(&mut self) -> io::Result<Option<Protocol>> {
        let mut seen = Vec::with_capacity(HTTP2.len());
        while seen.len() < HTTP2.len() {
            let mut bytes = [0; HTTP2.len()];
            let room = bytes.get_mut(seen.len()..).unwrap_or_default();
            let count = self.read(room).await?;
            seen.extend(room.iter().take(count));
            if count == 0 && seen.is_empty() {
                return Ok(None);
            }
            if count == 0 || !HTTP2.starts_with(&seen) {
                break;
            }
        }
        let protocol = if seen == HTTP2 { Protocol::Http2 } else { Protocol::Http1 };
        match protocol {
            Protocol::Http1 => {
                self.watch = Watch::Http1(Framing::new());
                self.watch(&seen)?;
            }
            Protocol::Http2 => {
                self.watch = Watch::Http2(Frames::new());
                self.waiting = Waiting::Never;
            }
        }
        self.first = seen;
        Ok(Some(protocol))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            let count = this.first.len().min(buf.remaining());
            buf.put_slice(this.first.get(..count).unwrap_or_default());
            this.first.drain(..count);
            if this.first.is_empty() {
                this.first = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        this.catch_up();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_pending() {
            if matches!(this.waiting, Waiting::Head | Waiting::First) {
                ready!(this.timer.as_mut().poll(cx));
                let error = io::ErrorKind::TimedOut.into();
                return Poll::Ready(Err(this.phase.cut_for(Reason::SlowHead, error)));
            }
            return Poll::Pending;
        }
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if !bytes.is_empty() {
            this.heard();
            if let Err(error) = this.watch(bytes) {
                buf.set_filled(before);
                return Poll::Ready(Err(error));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.phase.written(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn pair() -> (tokio::io::DuplexStream, Patience<tokio::io::DuplexStream>, Phase) {
        let (client, server) = tokio::io::duplex(1024);
        let phase = Phase::default();
        (client, Patience::new(server, phase.clone(), LIMIT), phase)
    }

    async fn read(stream: &mut Patience<tokio::io::DuplexStream>) -> io::Result<usize> {
        stream.read(&mut [0; 64]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_timed_and_silence_between_requests_is_not() {
        let (mut client, mut server, phase) = pair();
        client.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
        read(&mut server).await.unwrap();
        phase.head_complete();
        assert!(
            tokio::time::timeout(LIMIT * 6, read(&mut server)).await.is_err(),
            "a body is not timed here"
        );
        phase.answered();
        assert!(tokio::time::timeout(LIMIT * 6, read(&mut server)).await.is_err(), "nor is silence");
        client.write_all(b"G").await.unwrap();
        read(&mut server).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_answered_before_the_next_look_is_over() {
        let (mut client, mut server, phase) = pair();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        read(&mut server).await.unwrap();
        phase.head_complete();
        phase.answered();
        assert!(tokio::time::timeout(LIMIT * 6, read(&mut server)).await.is_err());
    }

    #[tokio::test]
    async fn what_can_be_read_in_two_ways_is_said_or_ends_the_stream() {
        let (mut client, mut server, phase) = pair();
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        assert_eq!(server.protocol().await.unwrap(), Some(Protocol::Http1));
        while read(&mut server).await.unwrap() > 24 {}
        assert!(!phase.is_ambiguous());
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        while !phase.is_ambiguous() {
            read(&mut server).await.unwrap();
        }
        let (mut client, mut server, _phase) = pair();
        client.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na").await.unwrap();
        server.protocol().await.unwrap();
        read(&mut server).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Within the bytes that the protocol is told by.
        let (mut client, mut server, phase) = pair();
        client.write_all(b"POST / HTTP/1.1\nHost: a\r\n\r\n").await.unwrap();
        server.protocol().await.unwrap();
        assert!(phase.is_ambiguous());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_is_timed_and_http_2_is_not() {
        let (_client, mut server, _phase) = pair();
        assert!(tokio::time::timeout(LIMIT * 2, read(&mut server)).await.unwrap().is_err());
        let (mut client, mut server, _phase) = pair();
        client.write_all(HTTP2).await.unwrap();
        assert_eq!(server.protocol().await.unwrap(), Some(Protocol::Http2));
        assert_eq!(read(&mut server).await.unwrap(), HTTP2.len());
        assert!(tokio::time::timeout(LIMIT * 6, read(&mut server)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_frames_ends_the_stream() {
        let (mut client, mut server, _phase) = pair();
        let flood = async {
            client.write_all(HTTP2).await.unwrap();
            while client.write_all(&[0, 0, 0, 2, 0, 0, 0, 0, 1]).await.is_ok() {}
        };
        let served = async {
            server.protocol().await.unwrap();
            let mut seen = 0;
            loop {
                match read(&mut server).await {
                    Ok(count) => seen += count,
                    Err(error) => {
                        drop(server);
                        return (seen, error);
                    }
                }
            }
        };
        let ((), (seen, error)) = tokio::join!(flood, served);
        assert_eq!(error.to_string(), "too many HTTP/2 frames that ask for nothing");
        assert!((8_000..20_000).contains(&seen), "after {seen} bytes");
    }
}
