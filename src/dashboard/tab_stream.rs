//! What a visible tab follows, in one response: the list of stacks, and events and log of one of them. A
//! browser that does not read delays only itself.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::reply::escaped;
use super::stack_list;
use crate::control::{ActionStream, ClientError, ControlClient, LineStream, LogQuery};
use crate::log::StatusMode;
use crate::model::{ActionUpdate, Message};

/// How often to look for stacks that have come or gone, and for the one that a tab waits for.
const LOOK: Duration = Duration::from_secs(1);
/// A tab that gets nothing for longer knows that the connection is dead.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a browser may read nothing.
const STALLED: Duration = Duration::from_secs(60);
/// Parts that wait for the browser.
const PARTS: usize = 2;
/// The size of a part, unless a single line is longer.
const PART_SIZE: usize = 64 << 10;

/// A body of lines that a task makes.
pub(super) struct LinesBody<P> {
    parts: mpsc::Receiver<Bytes>,
    /// Dropped at the end.
    _place: P,
}

impl<P: Unpin> Body for LinesBody<P> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().parts.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// Sends lines to a browser.
struct LineSender(mpsc::Sender<Bytes>);

/// The browser has left, or does not read.
struct ReaderGone;

impl LineSender {
    async fn send(&self, part: BytesMut) -> Result<(), ReaderGone> {
        match timeout(STALLED, self.0.send(escaped(part.freeze()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReaderGone),
        }
    }

    /// Sends objects of a stack, each with what it is.
    async fn send_lines(&self, what: &str, lines: &[Bytes]) -> Result<(), ReaderGone> {
        let mut part = BytesMut::new();
        for line in lines {
            for piece in [b"{\"what\":\"", what.as_bytes(), b"\",\"item\":", line, b"}\n"] {
                part.extend_from_slice(piece);
            }
            if part.len() >= PART_SIZE {
                self.send(std::mem::take(&mut part)).await?;
            }
        }
        if part.is_empty() { Ok(()) } else { self.send(part).await }
    }

    async fn send_item(&self, what: &str, item: &impl Serialize) -> Result<(), ReaderGone> {
        let item = serde_json::to_vec(item).expect("items serialize to JSON");
        self.send_lines(what, &[item.into()]).await
    }
}

/// What a tab shows.
pub(super) struct TabQuery {
    /// The stack that it follows.
    pub stack: Option<String>,
    /// How many lines of each service it gets at first.
    pub lines: usize,
    /// Whether it ends once it is up to date: browsers allow few responses that last.
    pub once: bool,
}

/// Returns the body for a tab; `place` lives as long as it.
pub(super) fn follow<P: Send + Unpin>(query: TabQuery, place: P) -> LinesBody<P> {
    let (sender, parts) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        // It ends when the browser has gone.
        let _ = TabStream::new(query, LineSender(sender)).run().await;
    });
    LinesBody { parts, _place: place }
}

/// Returns a body with the first lines that a query finds.
pub(super) fn found<P: Send + Unpin>(mut found: LineStream, most: usize, place: P) -> LinesBody<P> {
    let (sender, parts) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        let sender = LineSender(sender);
        let mut left = most;
        while left > 0 {
            let Ok(Some(mut lines)) = found.next().await else { break };
            lines.truncate(left);
            left -= lines.len();
            sender.send_lines("log", &lines).await?;
        }
        sender.send_item("end", &(left == 0)).await
    });
    LinesBody { parts, _place: place }
}

/// Returns a body with what an action reports.
pub(super) fn action<P: Send + Unpin>(mut updates: ActionStream, place: P) -> LinesBody<P> {
    let (sender, parts) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        let sender = LineSender(sender);
        loop {
            let update = match updates.next().await {
                Ok(update) => update,
                Err(error) => ActionUpdate::Failed { error: error.message().clone() },
            };
            sender.send_item("action", &update).await?;
            if matches!(update, ActionUpdate::Ended { .. } | ActionUpdate::Failed { .. }) {
                return Ok::<_, ReaderGone>(());
            }
        }
    });
    LinesBody { parts, _place: place }
}

struct TabStream {
    query: TabQuery,
    sender: LineSender,
    listed: Option<Vec<stack_list::ListedStack>>,
    followed: Option<FollowedStack>,
    /// Why the stack cannot be followed, as last sent.
    lost: Option<Message>,
}

struct FollowedStack {
    events: LineStream,
    log: LineStream,
}

enum StreamInput {
    Events(Result<Option<Vec<Bytes>>, ClientError>),
    Log(Result<Option<Vec<Bytes>>, ClientError>),
    Look,
    Left,
}

impl TabStream {
    fn new(query: TabQuery, sender: LineSender) -> TabStream {
        TabStream { query, sender, listed: None, followed: None, lost: None }
    }

    async fn run(mut self) -> Result<(), ReaderGone> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Instant::now();
        loop {
            let input = {
                let (events, log) =
                    self.followed.as_mut().map(|it| (&mut it.events, &mut it.log)).unzip();
                tokio::select! {
                    biased;
                    () = self.sender.0.closed() => StreamInput::Left,
                    events = next(events) => StreamInput::Events(events),
                    _ = look.tick() => StreamInput::Look,
                    log = next(log) => StreamInput::Log(log),
                }
            };
            match input {
                StreamInput::Left => return Err(ReaderGone),
                StreamInput::Look => {
                    let changed = self.look().await?;
                    if self.query.once && self.followed.is_none() {
                        return Ok(());
                    }
                    if !changed && sent.elapsed() < HEARTBEAT {
                        continue;
                    }
                    self.sender.send_item("alive", &()).await?;
                }
                StreamInput::Events(Ok(Some(lines))) => {
                    self.sender.send_lines("event", &lines).await?
                }
                StreamInput::Log(Ok(Some(lines))) => self.sender.send_lines("log", &lines).await?,
                StreamInput::Log(Ok(None)) if self.query.once => return Ok(()),
                // The events end, too, once all is logged.
                StreamInput::Log(Ok(None)) | StreamInput::Events(Ok(None)) => {
                    self.lose(None).await?
                }
                StreamInput::Log(Err(error)) | StreamInput::Events(Err(error)) => {
                    self.lose(Some(error.message().clone())).await?;
                }
            }
            sent = Instant::now();
        }
    }

    /// Sends the list of stacks if it has changed, and connects to the stack if it must. Returns
    /// whether something was sent.
    async fn look(&mut self) -> Result<bool, ReaderGone> {
        let listed = stack_list::all();
        let changed = self.listed.as_ref() != Some(&listed);
        if changed {
            self.sender.send_item("stacks", &listed).await?;
            self.listed = Some(listed);
        }
        let Some(id) = self.query.stack.clone().filter(|_| self.followed.is_none()) else {
            return Ok(changed);
        };
        let connected = match stack_list::client(&id) {
            Ok(client) => self.connect(&client).await.map_err(|error| error.message().clone()),
            Err(error) => Err(error.1),
        };
        match connected {
            Ok((followed, first)) => {
                self.sender.send_lines("event", &first).await?;
                self.followed = Some(followed);
                self.lost = None;
                Ok(true)
            }
            Err(message) if self.lost.as_ref() == Some(&message) => Ok(changed),
            Err(message) => self.lose(Some(message)).await.map(|()| true),
        }
    }

    async fn connect(
        &self,
        client: &ControlClient,
    ) -> Result<(FollowedStack, Vec<Bytes>), ClientError> {
        let query = LogQuery {
            last: Some(self.query.lines),
            follow: !self.query.once,
            status_mode: StatusMode::With,
            ..LogQuery::default()
        };
        let mut events = client.events().await?;
        // The browser must know which run of the stack the lines are of.
        let first = events.next().await?.unwrap_or_default();
        Ok((FollowedStack { events, log: client.logs(&query).await? }, first))
    }

    async fn lose(&mut self, why: Option<Message>) -> Result<(), ReaderGone> {
        self.followed = None;
        self.sender.send_item("lost", &why).await?;
        self.lost = why;
        // A stack that ends streams to make room must not be asked at once.
        sleep(LOOK / 4).await;
        Ok(())
    }
}

async fn next(lines: Option<&mut LineStream>) -> Result<Option<Vec<Bytes>>, ClientError> {
    match lines {
        Some(lines) => lines.next().await,
        None => pending().await,
    }
}
