use std::os::unix::net;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::word::Word;
use crate::control::{LogItem, lost};
use crate::model::{Class, Message, Phase, Snapshot, StackState};
use crate::runtime::handle::Handle;
use crate::runtime::log::{Item, Logs, Narration, Page, Reader, Wanted};

/// Tells the process in front what devstack says in the background, until the start is over. Slows nobody: it reads
/// like any other reader, and when nobody listens any more, it ends.
pub(super) struct Relay {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// How the start is followed.
pub(super) struct Start {
    pub logs: Logs,
    pub handle: Handle,
    pub settled: watch::Receiver<bool>,
}

impl Relay {
    /// Begins, with this word.
    pub fn begin(socket: net::UnixStream, first: Word, start: Start) -> Relay {
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let Ok(mut socket) = UnixStream::from_std(socket) else { return };
            // Whoever listened has gone: that is no trouble of the stack.
            let _ = start.tell(first, ended, &mut socket).await;
        });
        Relay { task, end }
    }

    /// The stack has ended: waits until that is told, too, but no longer than this.
    pub async fn finish(self, patience: Duration) {
        let Relay { task, end } = self;
        // A task that is over does not listen.
        let _ = end.send(());
        let _ = tokio::time::timeout(patience, task).await;
    }
}

impl Start {
    async fn tell(
        mut self,
        first: Word,
        mut ended: oneshot::Receiver<()>,
        socket: &mut UnixStream,
    ) -> std::io::Result<()> {
        write(socket, [first]).await?;
        let wanted = Wanted { narration: Narration::Only, ..Wanted::default() };
        let mut reader = self.logs.search(None, usize::MAX, true, wanted);
        let last = self.follow(&mut reader, &mut ended, socket).await?;
        reader.end_here();
        while let Some(page) = reader.next().await {
            write(socket, words(page)).await?;
        }
        write(socket, last).await
    }

    /// Until the start is over or the stack has ended; what is to be told of that in the end.
    async fn follow(
        &mut self,
        reader: &mut Reader,
        ended: &mut oneshot::Receiver<()>,
        socket: &mut UnixStream,
    ) -> std::io::Result<Option<Word>> {
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                page = reader.next() => match page {
                    Some(page) => write(socket, words(page)).await?,
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

    fn unsettled(&self) -> Option<Word> {
        (!*self.settled.borrow()).then_some(Word::Unsettled)
    }

    /// What came of the start; `None`: the stack is ending, which says more.
    async fn outcome(&self) -> Option<Word> {
        let snapshot = self.handle.snapshot().await.ok()?;
        match snapshot.state {
            StackState::Stopping | StackState::Stopped => None,
            StackState::Starting | StackState::Up | StackState::Degraded => {
                Some(Word::Settled(unwell(&snapshot)))
            }
        }
    }
}

/// Waits until the start is over, or nobody can tell.
async fn over_once(settled: &mut watch::Receiver<bool>) {
    let _ = settled.wait_for(|settled| *settled).await;
}

/// What is not as it should be.
fn unwell(snapshot: &Snapshot) -> Option<Message> {
    let bad = |phase| matches!(phase, Phase::Failed | Phase::Unhealthy);
    let bad: Vec<_> = snapshot.services.iter().filter(|one| bad(one.phase)).collect();
    let first = bad.first()?;
    let class = first.message.as_ref().map_or(Class::Exit, |message| message.class);
    let each: Vec<String> =
        bad.iter().map(|one| format!("{} {}", one.name, is(one.phase))).collect();
    let text = format!("not everything is ready: {}", each.join(", "));
    let help = "the rest goes on in the background: `devstack logs -f` follows it, `devstack down` stops it";
    Some(Message::new(class, text).help(help))
}

fn is(phase: Phase) -> String {
    match phase {
        Phase::Failed => "failed".to_owned(),
        other => format!("is {other}"),
    }
}

fn words(page: Page) -> Vec<Word> {
    let missed: Vec<LogItem> = lost(&page.missed).collect();
    let said = page.items().into_iter().filter_map(|item| match item {
        Item::Said(spoken) => Some(LogItem::Said(spoken)),
        Item::Line(_) => None,
    });
    missed.into_iter().chain(said).map(Word::Log).collect()
}

async fn write(
    socket: &mut UnixStream,
    words: impl IntoIterator<Item = Word>,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    for word in words {
        serde_json::to_writer(&mut text, &word)?;
        text.push(b'\n');
    }
    socket.write_all(&text).await
}
