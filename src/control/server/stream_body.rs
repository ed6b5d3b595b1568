use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{mpsc, watch};

use crate::log::{LogPage, LogReader};
use crate::supervisor::feed::FeedReader;

/// How long last lines may take to read when the server closes; shorter than its own limit, so that
/// clients get a complete response.
const DRAIN_TIME: Duration = Duration::from_millis(300);

/// Body that streams JSON objects, one per line. Its reader works only when the client has room,
/// and ends with the body.
pub(super) struct StreamBody {
    chunks: mpsc::Receiver<Bytes>,
    /// Resolves shortly after the server begins to close.
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl StreamBody {
    /// Returns a body of log items.
    pub fn logs(mut reader: LogReader, closing: watch::Receiver<bool>) -> StreamBody {
        StreamBody::produce(closing, |chunks| async move {
            while let Ok(room) = chunks.reserve().await
                && let Some(page) = reader.next().await
            {
                room.send(ndjson(page));
            }
        })
    }

    /// Returns a body of events.
    pub fn events(mut reader: FeedReader, closing: watch::Receiver<bool>) -> StreamBody {
        StreamBody::produce(closing, |chunks| async move {
            while let Ok(room) = chunks.reserve().await
                && let Some(events) = reader.next().await
            {
                room.send(events);
            }
        })
    }

    /// Returns a body of what `produce` sends. It ends with `produce`, or when idle after `closing`
    /// becomes true.
    fn produce<F: Future<Output = ()> + Send + 'static>(
        mut closing: watch::Receiver<bool>,
        produce: impl FnOnce(mpsc::Sender<Bytes>) -> F,
    ) -> StreamBody {
        let (send, chunks) = mpsc::channel(1);
        let body_dropped = send.clone();
        let producing = produce(send);
        tokio::spawn(async move {
            tokio::select! {
                () = producing => {}
                () = body_dropped.closed() => {}
            }
        });
        let closing = async move {
            // An error means that the server is gone, which is closing as well.
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(DRAIN_TIME).await;
        };
        StreamBody { chunks, closing: Box::pin(closing) }
    }
}

fn ndjson(page: LogPage) -> Bytes {
    let mut text = Vec::new();
    for item in page.items() {
        item.write_json(&mut text);
    }
    Bytes::from(text)
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Lines first: those that exist when the stack stops are still sent.
        if let Poll::Ready(chunk) = self.chunks.poll_recv(cx) {
            return Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))));
        }
        std::task::ready!(self.closing.as_mut().poll(cx));
        self.chunks.close();
        Poll::Ready(None)
    }
}
