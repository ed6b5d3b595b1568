use std::os::unix::net;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::startup_message::StartupMessage;
use crate::log::{LineFilter, LogPage, LogReader, StackLog, StatusMode};
use crate::model::{Message, MessageClass, Phase, Snapshot, StackState};
use crate::supervisor::SupervisorHandle;

/// Sends status lines from the background to the foreground process until the start is finished.
/// Slows nothing down: it reads like any log reader.
pub(super) struct StartRelay {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

pub(super) struct RelaySource {
    pub logs: StackLog,
    pub handle: SupervisorHandle,
    pub settled: watch::Receiver<bool>,
}

impl StartRelay {
    /// Starts the relay with a first message.
    pub fn begin(socket: net::UnixStream, first: StartupMessage, start: RelaySource) -> StartRelay {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let Ok(mut socket) = UnixStream::from_std(socket) else { return };
            // The foreground process is gone, which does not matter to the stack.
            let _ = start.tell(first, ended, &mut socket).await;
        });
        StartRelay { task, end }
    }

    /// Waits until the rest has been sent after the stack stopped, but at most for `patience`.
    pub async fn finish(self, patience: Duration) {
        let StartRelay { task, end } = self;
        // A finished task does not receive this.
        let _ = end.send(());
        let _ = tokio::time::timeout(patience, task).await;
    }
}

impl RelaySource {
    async fn tell(
        mut self,
        first: StartupMessage,
        mut ended: oneshot::Receiver<()>,
        socket: &mut UnixStream,
    ) -> std::io::Result<()> {
        write(socket, [first]).await?;
        let wanted = LineFilter { status_mode: StatusMode::Only, ..LineFilter::default() };
        let mut reader = self.logs.search(None, usize::MAX, true, wanted);
        let last = self.follow(&mut reader, &mut ended, socket).await?;
        reader.stop_at_end();
        while let Some(page) = reader.next().await {
            write(socket, messages(page)).await?;
        }
        write(socket, last).await
    }

    /// Runs until the start is finished or the stack has stopped; returns the final message.
    async fn follow(
        &mut self,
        reader: &mut LogReader,
        ended: &mut oneshot::Receiver<()>,
        socket: &mut UnixStream,
    ) -> std::io::Result<Option<StartupMessage>> {
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                page = reader.next() => match page {
                    Some(page) => write(socket, messages(page)).await?,
                    None => return Ok(self.unsettled()),
                },
                // An error means the same.
                _ = &mut *ended => return Ok(self.unsettled()),
                () = over_once(&mut self.settled), if !over => {
                    over = true;
                    if let Some(word) = self.outcome().await {
                        return Ok(Some(word));
                    }
                }
            }
        }
    }

    fn unsettled(&self) -> Option<StartupMessage> {
        (!*self.settled.borrow()).then_some(StartupMessage::Unsettled)
    }

    /// Returns the result of the start; `None` if the stack is stopping, which says more.
    async fn outcome(&self) -> Option<StartupMessage> {
        let snapshot = self.handle.snapshot().await.ok()?;
        match snapshot.state {
            StackState::Stopping | StackState::Stopped => None,
            StackState::Starting | StackState::Up | StackState::Degraded => {
                Some(StartupMessage::Settled(failure_summary(&snapshot)))
            }
        }
    }
}

async fn over_once(settled: &mut watch::Receiver<bool>) {
    let _ = settled.wait_for(|settled| *settled).await;
}

/// Describes failed and unhealthy services, if there are any.
fn failure_summary(snapshot: &Snapshot) -> Option<Message> {
    let bad = |phase| matches!(phase, Phase::Failed | Phase::Unhealthy);
    let bad: Vec<_> = snapshot.services.iter().filter(|one| bad(one.phase)).collect();
    let first = bad.first()?;
    let class = first.message.as_ref().map_or(MessageClass::Exit, |message| message.class);
    let each: Vec<String> =
        bad.iter().map(|one| format!("{} {}", one.name, is(one.phase))).collect();
    let text = format!("not all services are ready: {}", each.join(", "));
    let help = "the rest keeps running in the background; follow with `devstack logs -f`, stop with `devstack down`";
    Some(Message::new(class, text).help(help))
}

fn is(phase: Phase) -> String {
    match phase {
        Phase::Failed => "failed".to_owned(),
        other => format!("is {other}"),
    }
}

fn messages(page: LogPage) -> impl Iterator<Item = StartupMessage> {
    page.items().into_iter().map(StartupMessage::Log)
}

async fn write(
    socket: &mut UnixStream,
    words: impl IntoIterator<Item = StartupMessage>,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    for word in words {
        serde_json::to_writer(&mut text, &word)?;
        text.push(b'\n');
    }
    socket.write_all(&text).await
}
