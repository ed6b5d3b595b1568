use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

use crate::control::LogBodyReader;

/// How long last lines may take to read when the server closes; shorter than its own limit, so that
/// clients get a complete response.
const DRAIN_TIME: Duration = Duration::from_millis(300);

type NextChunk<R> = Pin<Box<dyn Future<Output = (R, Option<Bytes>)> + Send>>;

/// Body that streams lines. It reads only when the client has room, and owns the reader.
pub(super) struct StreamBody<R> {
    step: Option<NextChunk<R>>,
    /// Resolves shortly after the server begins to close.
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<R: LogBodyReader> StreamBody<R> {
    /// Returns a body that ends with the reader, or when idle after `closing` becomes true.
    pub fn new(reader: R, mut closing: watch::Receiver<bool>) -> StreamBody<R> {
        let closing = async move {
            // An error means that the server is gone, which is closing as well.
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(DRAIN_TIME).await;
        };
        StreamBody { step: Some(step(reader)), closing: Box::pin(closing) }
    }
}

fn step<R: LogBodyReader>(mut reader: R) -> NextChunk<R> {
    Box::pin(async move {
        let lines = reader.next().await;
        (reader, lines)
    })
}

impl<R: LogBodyReader> Body for StreamBody<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(running) = &mut self.step else { return Poll::Ready(None) };
        // Lines first: those that exist when the stack stops are still sent.
        match running.as_mut().poll(cx) {
            Poll::Ready((reader, Some(lines))) => {
                self.step = Some(step(reader));
                Poll::Ready(Some(Ok(Frame::data(lines))))
            }
            Poll::Ready((_, None)) => {
                self.step = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(self.closing.as_mut().poll(cx));
                self.step = None;
                Poll::Ready(None)
            }
        }
    }
}
