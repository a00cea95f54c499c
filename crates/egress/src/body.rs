//! The body of a response. Reading it drives the connection; at its end the connection goes back to the pool.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    EgressError,
    link::{Link, no_waker},
    pool::Slot,
};

/// A response's body. Dropped before its end, it closes its connection at once. Trailers are dropped.
pub struct Body {
    incoming: Incoming,
    lease: Option<Lease>,
}

/// The connection that the body comes from. None after the end.
struct Lease {
    link: Box<Link>,
    slot: Slot,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, link: Box<Link>, slot: Slot) -> Self {
        let mut body = Self { incoming, lease: Some(Lease { link, slot }) };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

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
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        // What was already read goes first; the connection reads on only when that is used up.
        if let ready @ Poll::Ready(_) = this.poll_incoming() {
            return ready;
        }
        if let Some(lease) = this.lease.as_mut() {
            let _ = lease.link.poll_drive(cx);
        }
        this.poll_incoming()
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Shows nothing of the content.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("open", &self.lease.is_some()).finish_non_exhaustive()
    }
}
