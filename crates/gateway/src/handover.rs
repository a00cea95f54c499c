//! A listening stream over HTTP/1.1 goes on for hours and is silent for most of them. Once its head is sent, the
//! connection is taken out of the HTTP library's hands, whose buffers it would keep, and what comes is written as
//! chunks (RFC 9112 section 7.1) from here. The connection serves nothing else: its head says `Connection: close`.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::reply::{Cut, Reply};

/// The body that one connection is to send after the library has sent the head.
#[derive(Default)]
pub(crate) struct Handover {
    body: Mutex<Option<Reply>>,
    /// The library asked for the first piece of the body: it has written the head.
    begun: AtomicBool,
}

impl Handover {
    /// Takes the body of a listening stream, and leaves one in its place that only says when it begins.
    pub(crate) fn offer(self: &Arc<Self>, response: &mut Response<Reply>) {
        if !response.body().is_listening() {
            return;
        }
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let body = std::mem::replace(response.body_mut(), Reply::elsewhere(Arc::clone(self)));
        *self.lock() = Some(body);
    }

    /// The head is written.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether the body can be sent from here.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// The body, once.
    pub(crate) fn take(&self) -> Option<Reply> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Reply>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a client may still send. Nothing that it sends means anything, and each read is a turn of this thread.
const IGNORED: usize = 64 * 1024;

/// Why a stream ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the client sends what nobody reads")]
    Unasked,
    #[error(transparent)]
    Cut(#[from] Cut),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a body to its end, or until the client leaves. What the client still sends is not read as a request.
pub(crate) async fn pour(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut body: Reply,
) -> Result<(), Broken> {
    let (mut ignored, mut left) = ([0; 64], IGNORED);
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            read = stream.read(&mut ignored) => match read? {
                0 => return Ok(()),
                count if count <= left => {
                    left -= count;
                    continue;
                }
                _ => return Err(Broken::Unasked),
            },
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                // A chunk of no bytes would be the end.
                if data.is_empty() {
                    continue;
                }
                let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
                chunk.extend_from_slice(&data);
                chunk.extend_from_slice(b"\r\n");
                stream.write_all(&chunk).await?;
                stream.flush().await?;
            }
            // Without the last chunk the client can't take the part for the whole.
            Some(Err(cut)) => return Err(cut.into()),
            None => {
                stream.write_all(b"0\r\n\r\n").await?;
                return Ok(stream.shutdown().await?);
            }
        }
    }
}
