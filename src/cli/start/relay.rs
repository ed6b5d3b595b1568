use std::os::unix::net;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::startup_message::StartupMessage;
use crate::log::{LineFilter, LogReader, StackLog, StatusMode};
use crate::model::{Message, MessageClass, Phase, ServiceView, Snapshot, StackState};
use crate::supervisor::SupervisorHandle;
use crate::text::join;
use crate::watch::OutputClaim;

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
    /// Starts the relay with a first message. The foreground process holds `output` until it exits.
    pub fn begin(
        socket: net::UnixStream,
        output: Option<OutputClaim>,
        first: StartupMessage,
        start: RelaySource,
    ) -> StartRelay {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let Ok(socket) = UnixStream::from_std(socket) else { return };
            let (mut read, mut write) = socket.into_split();
            tokio::spawn(async move {
                // It sends nothing.
                let _ = read.read(&mut [0]).await;
                drop(output);
            });
            // The foreground process is gone, which does not matter to the stack.
            let _ = start.tell(first, ended, &mut write).await;
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
        socket: &mut OwnedWriteHalf,
    ) -> std::io::Result<()> {
        write(socket, [first]).await?;
        let wanted = LineFilter { status_mode: StatusMode::Only, ..LineFilter::default() };
        let mut reader = self.logs.search(None, usize::MAX, true, wanted);
        let last = self.follow(&mut reader, &mut ended, socket).await?;
        reader.stop_at_end();
        while let Some(items) = reader.next().await {
            write(socket, items.map(StartupMessage::Log)).await?;
        }
        write(socket, last).await
    }

    /// Runs until the start is finished or the stack has stopped; returns the final message.
    async fn follow(
        &mut self,
        reader: &mut LogReader,
        ended: &mut oneshot::Receiver<()>,
        socket: &mut OwnedWriteHalf,
    ) -> std::io::Result<Option<StartupMessage>> {
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                items = reader.next() => match items {
                    Some(items) => write(socket, items.map(StartupMessage::Log)).await?,
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

/// Describes the services that are not as they should be, causes first.
pub(super) fn failure_summary(snapshot: &Snapshot) -> Option<Message> {
    let is_bad = |one: &ServiceView| one.phase != Phase::Done || one.has_exited();
    let of = |phase| {
        let in_phase = move |one: &&ServiceView| one.phase == phase && is_bad(one);
        snapshot.services.iter().filter(in_phase)
    };
    let bad = [Phase::Failed, Phase::Done, Phase::Unhealthy, Phase::Blocked];
    let bad: Vec<&ServiceView> = bad.into_iter().flat_map(of).collect();
    let first = bad.first()?;
    let class = first.message.as_ref().map_or(MessageClass::Exit, |message| message.class);
    let each = bad.iter().map(|one| format!("{} {}", one.name, what_is(one)));
    let text = format!("not all services are ready: {}", join(each, ", "));
    let runs = snapshot.services.iter().any(|one| one.pid.is_some());
    let stays = if runs { "the rest keeps running" } else { "devstack waits for a change" };
    let help = format!(
        "{stays} in the background; follow with `devstack logs -f`, stop with `devstack down`"
    );
    Some(Message::new(class, text).help(help))
}

fn what_is(view: &ServiceView) -> String {
    match view.phase {
        Phase::Failed => "failed".to_owned(),
        Phase::Done => format!("exited ({})", view.cause),
        _ if view.is_late() => "is not ready yet".to_owned(),
        other => format!("is {other}"),
    }
}

async fn write(
    socket: &mut OwnedWriteHalf,
    words: impl IntoIterator<Item = StartupMessage>,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    for word in words {
        serde_json::to_writer(&mut text, &word)?;
        text.push(b'\n');
    }
    socket.write_all(&text).await
}
