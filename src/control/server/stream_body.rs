use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::client_table::ClientPlace;
use super::follower_thread::FollowerThread;
use super::limits::ServerLimits;
use crate::control::{LogMark, LogQuery};
use crate::log::{ItemEncoder, LogReader};
use crate::model::{CursorKind, CursorText};
use crate::supervisor::actions::ActionOutput;
use crate::supervisor::feed::FeedReader;

/// How long last lines may take to read when the server closes; shorter than its own limit, so that
/// clients get a complete response.
const DRAIN_TIME: Duration = Duration::from_millis(300);

/// Body that streams JSON objects, one per line. Its reader works only when the client has room,
/// and ends with the body.
pub(super) struct StreamBody {
    chunks: mpsc::Receiver<Bytes>,
    /// Learns when the client gets something.
    place: Option<Arc<ClientPlace>>,
    /// Resolves shortly after the server begins to close.
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl StreamBody {
    /// Returns a body of log items. They are read and encoded beside the loop, which captures output.
    pub fn logs(
        mut reader: LogReader,
        mut marks: LogMarks,
        followers: &FollowerThread,
        closing: watch::Receiver<bool>,
    ) -> StreamBody {
        StreamBody::produce_on(&followers.runtime(), closing, |chunks| async move {
            let mut encoder = ItemEncoder::default();
            while let Ok(room) = chunks.reserve().await {
                let mut part = encoder.next_part(ServerLimits::BUFFER);
                while part.is_empty() {
                    let items = reader.next().await;
                    let gap = marks.take_gap(&reader);
                    let Some(items) = items else {
                        let end = [gap, marks.end(&reader)].concat();
                        if !end.is_empty() {
                            room.send(Bytes::from(end));
                        }
                        return;
                    };
                    encoder = reader.encoder(items);
                    // A gap is a part of its own: it comes once.
                    part = match gap.is_empty() {
                        true => encoder.next_part(ServerLimits::BUFFER),
                        false => gap.into(),
                    };
                }
                room.send(part);
            }
        })
    }

    pub fn events(mut reader: FeedReader, closing: watch::Receiver<bool>) -> StreamBody {
        StreamBody::produce(closing, |chunks| async move {
            while let Ok(room) = chunks.reserve().await
                && let Some(events) = reader.next().await
            {
                room.send(events);
            }
        })
    }

    /// Returns a body of events until there is an answer, which comes last.
    pub fn wait(
        mut reader: FeedReader,
        answer: impl Future<Output = Bytes> + Send + 'static,
        closing: watch::Receiver<bool>,
    ) -> StreamBody {
        StreamBody::produce(closing, |chunks| async move {
            let progress = async {
                while let Ok(room) = chunks.reserve().await
                    && let Some(events) = reader.next().await
                {
                    room.send(events);
                }
                std::future::pending().await
            };
            let answer = tokio::select! {
                biased;
                answer = answer => answer,
                never = progress => never,
            };
            // Fails only when the client is gone.
            let _ = chunks.send(answer).await;
        })
    }

    /// Returns a body of what an action reports.
    pub fn action(mut output: ActionOutput, closing: watch::Receiver<bool>) -> StreamBody {
        StreamBody::produce(closing, |chunks| async move {
            while let Ok(room) = chunks.reserve().await
                && let Some(updates) = output.next().await
            {
                let lines: Vec<u8> = updates.iter().flat_map(line_of).collect();
                room.send(Bytes::from(lines));
            }
        })
    }

    /// Tells the place of the client when it gets something.
    pub fn of(self, place: Arc<ClientPlace>) -> StreamBody {
        StreamBody { place: Some(place), ..self }
    }

    /// Returns a body of what `produce` sends. It ends with `produce`, or when idle after `closing`
    /// becomes true.
    fn produce<F: Future<Output = ()> + Send + 'static>(
        closing: watch::Receiver<bool>,
        produce: impl FnOnce(mpsc::Sender<Bytes>) -> F,
    ) -> StreamBody {
        StreamBody::produce_on(&Handle::current(), closing, produce)
    }

    /// The same, sent by a task of this runtime.
    fn produce_on<F: Future<Output = ()> + Send + 'static>(
        runtime: &Handle,
        mut closing: watch::Receiver<bool>,
        produce: impl FnOnce(mpsc::Sender<Bytes>) -> F,
    ) -> StreamBody {
        let (send, chunks) = mpsc::channel(1);
        let body_dropped = send.clone();
        let producing = produce(send);
        runtime.spawn(async move {
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
        StreamBody { chunks, place: None, closing: Box::pin(closing) }
    }
}

/// What a reader of the log learns beside its lines.
#[derive(Default)]
pub(super) struct LogMarks {
    after: Option<CursorText>,
    cursor: bool,
}

impl LogMarks {
    pub fn of(query: &LogQuery) -> LogMarks {
        let after = query.after.clone();
        LogMarks { cursor: query.cursor || after.is_some(), after }
    }

    /// Returns what comes before the first line.
    fn take_gap(&mut self, reader: &LogReader) -> Vec<u8> {
        let Some(after) = self.after.take() else { return Vec::new() };
        let marks = LogMark::before(&after, Some(reader.start_id()), reader.is_too_late());
        marks.iter().flat_map(line_of).collect()
    }

    /// Returns what comes after the last line.
    fn end(&self, reader: &LogReader) -> Vec<u8> {
        let cursor = || CursorText::new(CursorKind::Log, reader.start_id(), reader.end());
        match self.cursor {
            true => line_of(&LogMark::Cursor(cursor().to_string())),
            false => Vec::new(),
        }
    }
}

fn line_of(what: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(what).expect("plain data serializes to JSON");
    line.push(b'\n');
    line
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
            if let Some(place) = &self.place {
                place.touch();
            }
            return Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))));
        }
        std::task::ready!(self.closing.as_mut().poll(cx));
        self.chunks.close();
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::control::tests::fake::{print, stored_log};

    #[tokio::test]
    async fn short_lines_are_encoded_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let log = stored_log(dir.path());
        print(&log, "api", &"\n".repeat(99_999));
        let (_close, closing) = watch::channel(false);
        let (reader, followers) = (log.reader(None, usize::MAX, false), FollowerThread::default());
        let mut body = StreamBody::logs(reader, LogMarks::default(), &followers, closing);
        let mut lines = 0;
        while let Some(part) = body.frame().await {
            let part = part.unwrap().into_data().unwrap();
            assert!(part.len() < ServerLimits::BUFFER + 1024, "{}", part.len());
            lines += part.iter().filter(|byte| **byte == b'\n').count();
        }
        assert_eq!(lines, 100_000);
    }

    #[test]
    fn lines_are_encoded_while_the_loop_does_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let log = stored_log(dir.path());
        print(&log, "api", "hello\n");
        let (_close, closing) = watch::channel(false);
        let (reader, followers) = (log.reader(None, usize::MAX, true), FollowerThread::default());
        let mut body = StreamBody::logs(reader, LogMarks::default(), &followers, closing);
        let (found, part) = std::sync::mpsc::channel();
        std::thread::spawn(move || found.send(body.chunks.blocking_recv()));
        // The runtime is never polled.
        let part = part.recv_timeout(Duration::from_secs(60)).expect("the thread encodes it");
        assert!(String::from_utf8_lossy(&part.unwrap()).contains("hello"));
    }
}
