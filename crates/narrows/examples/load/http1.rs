//! An HTTP/1.1 client connection that hides nothing: whether an answer said that it is the last, and whether the other
//! side closed without a word.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::endpoint::Endpoint;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// It said `Connection: close`.
    pub(crate) is_last: bool,
    pub(crate) session: Option<String>,
    framing: Framing,
}

pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// A connection that was made elsewhere.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Whether the other side has closed, or sent what nobody asked for.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        self.write(request).await?;
        let head = self.head().await?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }

    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.take(end)).into_owned();
        let field = |wanted: &str| {
            text.lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned()))
        };
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let framing = match (field("content-length"), field("transfer-encoding").as_deref()) {
            (Some(length), None) => length.parse().ok().map(Framing::Length),
            (None, Some("chunked")) => Some(Framing::Chunked),
            (None, None) => Some(Framing::Length(0)),
            _ => None,
        };
        let (Some(status), Some(framing)) = (status, framing) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("not a response: {text}")));
        };
        let is_last = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Head { status, is_last, session: field("mcp-session-id"), framing })
    }

    pub(crate) async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        match head.framing {
            Framing::Length(length) => self.exactly(length).await,
            Framing::Chunked => {
                let mut body = Vec::new();
                while let Some(chunk) = self.chunk().await? {
                    body.extend_from_slice(&chunk);
                }
                Ok(body)
            }
        }
    }

    /// The next chunk; none at the end.
    pub(crate) async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            self.more().await?;
        };
        let line = self.take(end + 2);
        let size =
            std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
        let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a chunk"))?;
        let mut chunk = self.exactly(size + 2).await?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// Reads at most `limit` bytes of whatever comes, and forgets them.
    pub(crate) async fn sip(&mut self, limit: usize) -> io::Result<usize> {
        let mut bytes = vec![0; limit];
        self.stream.read(&mut bytes).await
    }

    async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Ok(self.take(count))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.read.split_off(count.min(self.read.len()));
        std::mem::replace(&mut self.read, rest)
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend(bytes.iter().take(count));
        Ok(())
    }
}
