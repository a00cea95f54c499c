//! The body of a response. Reading it drives the connection; at its end the connection goes back to the pool.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    EgressError,
    link::{Link, no_waker},
    pool::Slot,
    stream::Stream,
    unbuffered::Unbuffered,
};

/// Bytes after which what else there is to do on this thread has its turn.
const TURN: usize = 128 << 10;

/// A response's body. Dropped before its end, it closes its connection at once. Trailers are dropped.
pub struct Body(Source);

enum Source {
    Pooled(Pooled),
    /// None after the end, or after an error.
    Unbuffered(Option<Box<(Unbuffered<Stream>, Slot)>>),
}

/// Read through hyper, on a connection that others use before and after.
struct Pooled {
    incoming: Incoming,
    lease: Option<Lease>,
    /// Bytes that came without a wait.
    taken: usize,
}

/// The connection that the body comes from. None after the end.
struct Lease {
    link: Box<Link>,
    slot: Slot,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, link: Box<Link>, slot: Slot) -> Self {
        let mut body = Pooled { incoming, lease: Some(Lease { link, slot }), taken: 0 };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Self(Source::Pooled(body))
    }

    pub(crate) fn unbuffered(body: Unbuffered<Stream>, slot: Slot) -> Self {
        Self(Source::Unbuffered((!body.is_over()).then(|| Box::new((body, slot)))))
    }
}

impl Pooled {
    fn finish(&mut self) {
        if let Some(Lease { link, slot }) = self.lease.take() {
            slot.give_back(link);
        }
    }

    fn poll_incoming(&mut self) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(&mut no_waker()) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not data, and are not passed on.
                    if let Ok(data) = frame.into_data() {
                        if self.incoming.is_end_stream() {
                            self.finish();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Poll::Ready(Some(Err(source))) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(EgressError::Interrupted { source })));
                }
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        if self.taken >= TURN && self.lease.is_some() {
            self.taken = 0;
            // Wakes this task after the others, and after what the operating system has to tell them.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        // What was already read goes first; the connection reads on only when that is used up.
        let mut polled = self.poll_incoming();
        if polled.is_pending() {
            if let Some(lease) = self.lease.as_mut() {
                let _ = lease.link.poll_drive(cx);
            }
            polled = self.poll_incoming();
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.taken += frame.data_ref().map_or(0, Bytes::len),
            Poll::Ready(_) => {}
            Poll::Pending => self.taken = 0,
        }
        polled
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let source = match &mut self.get_mut().0 {
            Source::Pooled(body) => return body.poll(cx),
            Source::Unbuffered(source) => source,
        };
        let Some(reading) = source else { return Poll::Ready(None) };
        let read = ready!(reading.0.poll_data(cx)).transpose();
        if !matches!(read, Some(Ok(_))) {
            *source = None;
        }
        Poll::Ready(read.map(|data| data.map(Frame::data).map_err(|source| EgressError::Broken { source })))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Pooled(body) => body.lease.is_none() && body.incoming.is_end_stream(),
            Source::Unbuffered(source) => source.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Pooled(body) => body.incoming.size_hint(),
            Source::Unbuffered(_) => SizeHint::default(),
        }
    }
}

/// Shows nothing of the content.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = match &self.0 {
            Source::Pooled(body) => body.lease.is_some(),
            Source::Unbuffered(source) => source.is_some(),
        };
        f.debug_struct("Body").field("open", &open).finish_non_exhaustive()
    }
}
