use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::fact::{Fact, Sink, What};
use super::leash::Pids;
use super::line::Line;
use super::link::Link;
use super::outlet::{Flow, Outlet};
use super::output::Output;
use super::stopper::Stopper;
use super::wire::{Order, Report};
use super::{platform, refusal, strays};
use crate::model::{ProcessExit, RunId};

/// How many bytes of reports are read at once.
const REPORTS: usize = 4096;

/// The task of one run, from the request for a keeper to the last report.
pub(super) struct Life {
    pub run: RunId,
    pub facts: mpsc::UnboundedSender<Fact>,
    pub link: Arc<Link>,
    pub line: Arc<Line>,
    pub pids: Arc<Pids>,
    pub stopper: Arc<Stopper>,
    pub socket: AsyncFd<Arc<UnixStream>>,
    pub outlets: [Option<Outlet>; 2],
    pub lost: oneshot::Receiver<()>,
    pub program: PathBuf,
    pub dir: PathBuf,
    pub inbox: Vec<u8>,
    pub told: Told,
}

/// What was reported of a run so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Spawned,
    /// The main process exited; `None`: it never ran.
    Ended(Option<ProcessExit>),
}

enum End {
    /// The tree is proved empty.
    Empty(Vec<(u32, String)>),
    Lost,
}

enum Woken {
    Report,
    Output,
    Room,
    Unsent,
}

impl Life {
    /// Runs to the end and reports it once, even after a panic.
    pub async fn live(mut self, sink: impl Sink) {
        let mut output = Output::new(sink);
        let end = match caught(self.watch(&mut output)).await {
            Some(end) => end,
            None => {
                // Our own bug. The tree must be ended and that be reported nevertheless.
                tracing::warn!("task of run {} panicked; killing its processes", self.run);
                self.line.order(Order::Kill);
                caught(self.outwait()).await.unwrap_or(End::Lost)
            }
        };
        let leftovers = match end {
            End::Empty(leftovers) => leftovers,
            End::Lost => {
                caught(self.bury_lost()).await;
                Vec::new()
            }
        };
        let drained = caught(async { self.drain(&mut output) }).await;
        output.close(match self.told {
            Told::Ended(exit) => exit,
            Told::Nothing | Told::Spawned => None,
        });
        if drained.is_none() {
            tracing::warn!("cannot read the last output of run {}", self.run);
        }
        self.line.close();
        self.pids.keeper.store(0, Ordering::Relaxed);
        self.pids.main.store(0, Ordering::Relaxed);
        // Otherwise a running stop command might hit the next run.
        self.stopper.over().await;
        let Life { link, facts, run, .. } = self;
        link.forget(run);
        tell(&facts, run, What::Emptied { leftovers });
    }

    async fn watch<S: Sink>(&mut self, output: &mut Output<S>) -> End {
        let mut stuck = false;
        loop {
            match self.next(stuck).await {
                Woken::Report => {
                    if let Some(end) = self.hear() {
                        return end;
                    }
                }
                Woken::Output => self.pump(output).await,
                Woken::Unsent => stuck = true,
                Woken::Room => stuck = !self.line.flush(),
            }
        }
    }

    /// Waits for work. Reports and orders come first: they are few, and output may never pause.
    async fn next(&self, stuck: bool) -> Woken {
        let [out, err] = &self.outlets;
        tokio::select! {
            biased;
            _ = self.socket.readable() => Woken::Report,
            room = self.socket.writable(), if stuck => {
                if let Ok(mut room) = room {
                    if self.line.flush() {
                        room.retain_ready();
                    } else {
                        room.clear_ready();
                    }
                }
                Woken::Room
            }
            () = self.line.waiting.notified() => Woken::Unsent,
            () = ready(out), if out.is_some() => Woken::Output,
            () = ready(err), if err.is_some() => Woken::Output,
        }
    }

    /// Gives both streams a turn, so that a flood on one cannot starve the other.
    async fn pump<S: Sink>(&mut self, output: &mut Output<S>) {
        let mut more = false;
        for slot in &mut self.outlets {
            let Some(outlet) = slot else { continue };
            match outlet.pump(&mut |stream, bytes| output.push(stream, bytes)) {
                Flow::Dry => {}
                Flow::More => more = true,
                Flow::Closed => *slot = None,
            }
        }
        if more {
            tokio::task::yield_now().await;
        }
    }

    /// Handles reports of the keeper, and returns how the run ended if it has.
    fn hear(&mut self) -> Option<End> {
        loop {
            let mut bytes = [0; REPORTS];
            let read = |socket: &Arc<UnixStream>| {
                Ok(rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?.1)
            };
            match self.socket.try_io(Interest::READABLE, read) {
                Ok(0) => return Some(End::Lost),
                Ok(count) => self.inbox.extend(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Some(End::Lost),
            }
            loop {
                match Report::decode(&self.inbox) {
                    Ok(Some((report, used))) => {
                        self.inbox.drain(..used);
                        if let Some(end) = self.take_in(report) {
                            return Some(end);
                        }
                    }
                    Ok(None) => break,
                    Err(_) => return Some(End::Lost),
                }
            }
        }
    }

    fn take_in(&mut self, report: Report) -> Option<End> {
        match report {
            Report::Spawned { keeper, pid } => {
                self.pids.keeper.store(keeper, Ordering::Relaxed);
                self.pids.main.store(pid, Ordering::Relaxed);
                self.told = Told::Spawned;
                if let Some(ledger) = self.link.ledger() {
                    ledger.began(self.run.0, keeper, pid);
                }
                self.tell(What::Spawned { pid });
                None
            }
            Report::Failed { stage, errno } => {
                self.told = Told::Ended(None);
                let why = refusal::failed(stage, errno, &self.program, &self.dir);
                self.tell(What::NotSpawned(why));
                Some(End::Empty(Vec::new()))
            }
            Report::Exited(exit) => {
                self.told = Told::Ended(Some(exit));
                self.tell(What::Exited(exit));
                None
            }
            Report::Empty { leftovers } => Some(End::Empty(leftovers)),
        }
    }

    /// Reads reports and nothing else until the run ends.
    async fn outwait(&mut self) -> End {
        loop {
            // Fails only when the runtime is shutting down.
            let _ = self.socket.readable().await.map(|mut r| r.retain_ready());
            if let Some(end) = self.hear() {
                return end;
            }
        }
    }

    /// The keeper died. The guard kills its orphans; without a guard the supervisor does.
    async fn bury_lost(&mut self) {
        let keeper = self.pids.keeper.load(Ordering::Relaxed);
        platform::kill_group(self.pids.main.load(Ordering::Relaxed));
        // Makes a keeper that is alive but sent an invalid report end its tree now.
        self.line.close();
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
        let by_guard = (&mut self.lost).await.is_ok();
        if !by_guard {
            strays::end(&self.link, keeper).await;
        }
        let exit = match self.told {
            Told::Nothing => {
                let why = match by_guard {
                    true => {
                        refusal::no_means("a keeper", &io::Error::from_raw_os_error(libc::ECHILD))
                    }
                    false => refusal::no_guard(),
                };
                self.tell(What::NotSpawned(why));
                None
            }
            Told::Spawned => {
                let exit = ProcessExit::Signal(libc::SIGKILL);
                self.tell(What::Exited(exit));
                Some(exit)
            }
            Told::Ended(exit) => exit,
        };
        self.told = Told::Ended(exit);
    }

    /// Reads what is left in the pipes, which no process of the tree writes to any more.
    fn drain<S: Sink>(&mut self, output: &mut Output<S>) {
        for outlet in self.outlets.iter_mut().filter_map(Option::take) {
            let mut outlet = outlet;
            outlet.drain(&mut |stream, bytes| output.push(stream, bytes));
        }
    }

    fn tell(&self, what: What) {
        tell(&self.facts, self.run, what);
    }
}

pub(super) fn tell(facts: &mpsc::UnboundedSender<Fact>, run: RunId, what: What) {
    // Fails only when the supervisor's loop has ended.
    let _ = facts.send(Fact { run, what });
}

async fn ready(outlet: &Option<Outlet>) {
    match outlet {
        Some(outlet) => outlet.ready().await,
        None => std::future::pending().await,
    }
}

/// Returns the value of a future, or `None` when it panicked.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}
