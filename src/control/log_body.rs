use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

use super::LogReader;

/// How long a reader that has not ended by itself may look for last lines when the server closes: it
/// may have to read them from a file. Less than the time in which the server closes, so that
/// clients see a whole answer.
const DRAIN_TIME: Duration = Duration::from_millis(300);

type Step<R> = Pin<Box<dyn Future<Output = (R, Option<Bytes>)> + Send>>;

/// The lines of a reader as the body of an answer. Reads only when the client has room, and goes
/// with its connection: nothing else holds the reader.
pub(super) struct LogBody<R> {
    /// `None` after the last line.
    step: Option<Step<R>>,
    /// Resolves a moment after the server began to close.
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<R: LogReader> LogBody<R> {
    /// A body that ends with the reader, or when no more lines come after `closing` became true.
    pub fn new(reader: R, mut closing: watch::Receiver<bool>) -> LogBody<R> {
        let closing = async move {
            // An error means that the server is gone: closing, too.
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(DRAIN_TIME).await;
        };
        LogBody { step: Some(step(reader)), closing: Box::pin(closing) }
    }
}

fn step<R: LogReader>(mut reader: R) -> Step<R> {
    Box::pin(async move {
        let lines = reader.next().await;
        (reader, lines)
    })
}

impl<R: LogReader> Body for LogBody<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(running) = &mut self.step else { return Poll::Ready(None) };
        // Lines first: what is there when the stack ends is still shown.
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
