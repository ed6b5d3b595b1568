use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};

use super::exchange::Exchange;
use super::upstream::ServiceBody;

/// The body of a response: of the proxy itself, or streamed from a service.
pub(super) enum ResponseBody {
    /// What is left of a text of the proxy.
    Own(Bytes),
    /// The body of a service. The exchange lasts until its end.
    Streamed(ServiceBody, Box<Exchange>),
    /// Of devstack's own page.
    Page(UnsyncBoxBody<Bytes, Infallible>),
}

impl ResponseBody {
    pub fn own(text: Bytes) -> ResponseBody {
        ResponseBody::Own(text)
    }

    pub fn streamed(body: ServiceBody, mut exchange: Exchange) -> ResponseBody {
        if body.is_end_stream() {
            exchange.passed(None, true);
        }
        ResponseBody::Streamed(body, Box::new(exchange))
    }

    pub fn text(&self) -> Bytes {
        match self {
            ResponseBody::Own(text) => text.clone(),
            ResponseBody::Streamed(..) | ResponseBody::Page(_) => Bytes::new(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            ResponseBody::Own(text) if text.is_empty() => Poll::Ready(None),
            ResponseBody::Own(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            ResponseBody::Streamed(body, exchange) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                exchange.passed(frame.as_ref(), body.is_end_stream());
                Poll::Ready(frame)
            }
            ResponseBody::Page(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Own(text) => text.is_empty(),
            ResponseBody::Streamed(body, _) => body.is_end_stream(),
            ResponseBody::Page(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Own(text) => SizeHint::with_exact(text.len() as u64),
            ResponseBody::Streamed(body, _) => body.size_hint(),
            ResponseBody::Page(body) => body.size_hint(),
        }
    }
}
