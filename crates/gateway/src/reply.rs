//! The body of a response: whole, or streamed from a server as it comes. Dropping a streamed body ends the request
//! to the server, which is how a client's disconnect arrives there.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::handover::Handover;

/// A stream that can fail: the connection is then cut, so that the client can't take a part for the whole.
pub(crate) type ByteStream = Pin<Box<dyn Body<Data = Bytes, Error = Cut> + Send>>;

/// A response was cut off. The reason is in the audit record and the log.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub(crate) struct Cut;

/// A response body.
pub(crate) struct Reply {
    inner: Inner,
    /// Present for as long as the body is.
    busy: Option<Arc<()>>,
}

enum Inner {
    Whole(Option<Bytes>),
    Stream { body: ByteStream, progress: Progress, span: Span },
    Elsewhere(Arc<Handover>),
}

/// How long a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// Until the answer is complete.
    Answer,
    /// For as long as somebody listens.
    Listening,
}

/// How far a stream is.
enum Progress {
    /// Nothing was sent of it.
    Fresh,
    /// Nothing was sent of it and nothing will be: it was cut off. Said at the second look, so that the head of the
    /// response, which says what this would have been, is on its way before the connection ends.
    CutAtOnce,
    /// Something was sent of it.
    Begun,
}

impl Reply {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self { inner: Inner::Whole(None), busy: None }
    }

    /// A whole body.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Inner::Whole(Some(bytes.into())), busy: None }
    }

    /// A body that is made while it is sent.
    pub(crate) fn stream(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static) -> Self {
        Self::made(body, Span::Answer)
    }

    /// The same for a stream that goes on for as long as somebody listens.
    pub(crate) fn listening(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static) -> Self {
        Self::made(body, Span::Listening)
    }

    fn made(body: impl Body<Data = Bytes, Error = Cut> + Send + 'static, span: Span) -> Self {
        Self { inner: Inner::Stream { body: Box::pin(body), progress: Progress::Fresh, span }, busy: None }
    }

    /// A body that is sent by another hand once the head is.
    pub(crate) fn elsewhere(handover: Arc<Handover>) -> Self {
        Self { inner: Inner::Elsewhere(handover), busy: None }
    }

    /// Whether it goes on for as long as somebody listens.
    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.inner, Inner::Stream { span: Span::Listening, .. })
    }

    /// Keeps a sign of life until the body is sent or dropped.
    pub(crate) fn hold(&mut self, busy: Arc<()>) {
        self.busy = Some(busy);
    }
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.inner {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Elsewhere(handover) => {
                handover.begin();
                Poll::Pending
            }
            Inner::Stream { body, progress, .. } => match progress {
                Progress::Begun => body.as_mut().poll_frame(cx),
                Progress::CutAtOnce => Poll::Ready(Some(Err(Cut))),
                Progress::Fresh => match body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Err(Cut))) => {
                        *progress = Progress::CutAtOnce;
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    polled => {
                        if polled.is_ready() {
                            *progress = Progress::Begun;
                        }
                        polled
                    }
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Stream { body, .. } => body.is_end_stream(),
            Inner::Elsewhere(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Inner::Stream { body, .. } => body.size_hint(),
            Inner::Elsewhere(_) => SizeHint::default(),
        }
    }
}
