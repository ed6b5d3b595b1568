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

use super::output_reader::{OutputReader, ReadProgress};
use super::output_sink::{BoxFuture, OutputSink, PanicSafeSink};
use super::run_handle::RunPids;
use super::run_report::{RunChange, RunReport};
use super::stop_command::StopCommand;
use crate::model::{ProcessExit, RunId};
use crate::process::cleanup::adopted_orphans;
use crate::process::guard::GuardConnection;
use crate::process::keeper::{KeeperConnection, KeeperOrder, KeeperReport};
use crate::process::spawn::spawn_errors;
use crate::sys::process;

/// How many bytes of reports are read at once.
const READ_SIZE: usize = 4096;

/// The task of one run, from the request for a keeper to the last report.
pub(crate) struct RunTask {
    pub run: RunId,
    pub facts: mpsc::UnboundedSender<RunReport>,
    pub link: Arc<GuardConnection>,
    pub line: Arc<KeeperConnection>,
    pub pids: Arc<RunPids>,
    pub stopper: Arc<StopCommand>,
    pub socket: AsyncFd<Arc<UnixStream>>,
    pub outlets: [Option<OutputReader>; 2],
    pub lost: oneshot::Receiver<()>,
    pub program: PathBuf,
    pub dir: PathBuf,
    pub inbox: Vec<u8>,
    pub reported: RunProgress,
}

/// What was reported of a run so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunProgress {
    Nothing,
    Spawned,
    /// The main process exited; `None`: it never ran.
    Ended(Option<ProcessExit>),
}

enum RunEnd {
    /// The tree is proved empty.
    Empty(Vec<(u32, String)>),
    Lost,
}

enum RunWakeup {
    Report,
    Output,
    Room,
    Unsent,
}

impl RunTask {
    /// Runs to the end and reports it once, even after a panic.
    pub async fn run(mut self, sink: impl OutputSink) {
        let mut output = PanicSafeSink::new(sink);
        let end = match catch_panic(self.watch(&mut output)).await {
            Some(end) => end,
            None => {
                // Our own bug. The tree must be ended and that be reported nevertheless.
                tracing::warn!("task of run {} panicked; killing its processes", self.run);
                self.line.send_order(KeeperOrder::Kill);
                catch_panic(self.wait_for_end()).await.unwrap_or(RunEnd::Lost)
            }
        };
        let leftovers = match end {
            RunEnd::Empty(leftovers) => leftovers,
            RunEnd::Lost => {
                catch_panic(self.clean_up_lost()).await;
                Vec::new()
            }
        };
        let drained = catch_panic(async { self.drain(&mut output) }).await;
        output.close(match self.reported {
            RunProgress::Ended(exit) => exit,
            RunProgress::Nothing | RunProgress::Spawned => None,
        });
        if drained.is_none() {
            tracing::warn!("cannot read the last output of run {}", self.run);
        }
        self.line.close();
        self.pids.keeper.store(0, Ordering::Relaxed);
        self.pids.main.store(0, Ordering::Relaxed);
        // Otherwise a running stop command might hit the next run.
        self.stopper.finished().await;
        let RunTask { link, facts, run, .. } = self;
        link.remove(run);
        send_report(&facts, run, RunChange::TreeEmpty { orphans: leftovers });
    }

    async fn watch<S: OutputSink>(&mut self, output: &mut PanicSafeSink<S>) -> RunEnd {
        let mut stuck = false;
        loop {
            let full = output.full();
            match self.next(stuck, full).await {
                RunWakeup::Report => {
                    if let Some(end) = self.read_reports() {
                        return end;
                    }
                }
                RunWakeup::Output => self.read_output(output).await,
                RunWakeup::Unsent => stuck = true,
                RunWakeup::Room => stuck = !self.line.flush(),
            }
        }
    }

    /// Waits for work. Reports and orders come first: they are few, and output may never pause.
    /// While the sink is `full`, the pipes are not read.
    async fn next(&self, stuck: bool, full: Option<BoxFuture>) -> RunWakeup {
        let [out, err] = &self.outlets;
        let output = async {
            if let Some(full) = full {
                full.await;
            }
            tokio::select! {
                () = ready(out), if out.is_some() => {}
                () = ready(err), if err.is_some() => {}
            }
        };
        tokio::select! {
            biased;
            _ = self.socket.readable() => RunWakeup::Report,
            room = self.socket.writable(), if stuck => {
                if let Ok(mut room) = room {
                    if self.line.flush() {
                        room.retain_ready();
                    } else {
                        room.clear_ready();
                    }
                }
                RunWakeup::Room
            }
            () = self.line.waiting.notified() => RunWakeup::Unsent,
            () = output, if out.is_some() || err.is_some() => RunWakeup::Output,
        }
    }

    /// Gives both streams a turn, so that a flood on one cannot starve the other.
    async fn read_output<S: OutputSink>(&mut self, output: &mut PanicSafeSink<S>) {
        let mut more = false;
        for state in &mut self.outlets {
            let Some(outlet) = state else { continue };
            match outlet.read_turn(&mut |stream, bytes| output.push(stream, bytes)) {
                ReadProgress::Dry => {}
                ReadProgress::More => more = true,
                ReadProgress::Closed => *state = None,
            }
        }
        if more {
            tokio::task::yield_now().await;
        }
    }

    /// Handles reports of the keeper, and returns how the run ended if it has.
    fn read_reports(&mut self) -> Option<RunEnd> {
        loop {
            let mut bytes = [0; READ_SIZE];
            let read = |socket: &Arc<UnixStream>| {
                Ok(rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?.1)
            };
            match self.socket.try_io(Interest::READABLE, read) {
                Ok(0) => return Some(RunEnd::Lost),
                Ok(count) => self.inbox.extend(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Some(RunEnd::Lost),
            }
            loop {
                match KeeperReport::decode(&self.inbox) {
                    Ok(Some((report, used))) => {
                        self.inbox.drain(..used);
                        if let Some(end) = self.handle_report(report) {
                            return Some(end);
                        }
                    }
                    Ok(None) => break,
                    Err(_) => return Some(RunEnd::Lost),
                }
            }
        }
    }

    fn handle_report(&mut self, report: KeeperReport) -> Option<RunEnd> {
        match report {
            KeeperReport::Spawned { keeper, pid } => {
                self.pids.keeper.store(keeper, Ordering::Relaxed);
                self.pids.main.store(pid, Ordering::Relaxed);
                self.reported = RunProgress::Spawned;
                if let Some(ledger) = self.link.ledger() {
                    ledger.run_started(self.run.0, keeper, pid);
                }
                self.send_report(RunChange::Spawned { pid });
                None
            }
            KeeperReport::Failed { stage, errno } => {
                self.reported = RunProgress::Ended(None);
                let why = spawn_errors::start_failed(stage, errno, &self.program, &self.dir);
                self.send_report(RunChange::SpawnFailed(why));
                Some(RunEnd::Empty(Vec::new()))
            }
            KeeperReport::Exited(exit) => {
                self.reported = RunProgress::Ended(Some(exit));
                self.send_report(RunChange::Exited(exit));
                None
            }
            KeeperReport::Empty { orphans: leftovers } => Some(RunEnd::Empty(leftovers)),
        }
    }

    /// Reads reports and nothing else until the run ends.
    async fn wait_for_end(&mut self) -> RunEnd {
        loop {
            // Fails only when the runtime is shutting down.
            let _ = self.socket.readable().await.map(|mut r| r.retain_ready());
            if let Some(end) = self.read_reports() {
                return end;
            }
        }
    }

    /// The keeper died. The guard kills its orphans; without a guard the supervisor does.
    async fn clean_up_lost(&mut self) {
        let keeper = self.pids.keeper.load(Ordering::Relaxed);
        process::kill_lost_group(self.pids.main.load(Ordering::Relaxed));
        // Makes a keeper that is alive but sent an invalid report end its tree now.
        self.line.close();
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
        let by_guard = (&mut self.lost).await.is_ok();
        if !by_guard {
            adopted_orphans::kill_orphans_of(&self.link, keeper).await;
        }
        let exit = match self.reported {
            RunProgress::Nothing => {
                let why = match by_guard {
                    true => spawn_errors::out_of_resources(
                        "a keeper",
                        &io::Error::from_raw_os_error(libc::ECHILD),
                    ),
                    false => spawn_errors::guard_lost(),
                };
                self.send_report(RunChange::SpawnFailed(why));
                None
            }
            RunProgress::Spawned => {
                let exit = ProcessExit::Signal(libc::SIGKILL);
                self.send_report(RunChange::Exited(exit));
                Some(exit)
            }
            RunProgress::Ended(exit) => exit,
        };
        self.reported = RunProgress::Ended(exit);
    }

    /// Reads what is left in the pipes, which no process of the tree writes to any more.
    fn drain<S: OutputSink>(&mut self, output: &mut PanicSafeSink<S>) {
        for outlet in self.outlets.iter_mut().filter_map(Option::take) {
            let mut outlet = outlet;
            outlet.drain(&mut |stream, bytes| output.push(stream, bytes));
        }
    }

    fn send_report(&self, what: RunChange) {
        send_report(&self.facts, self.run, what);
    }
}

pub(crate) fn send_report(facts: &mpsc::UnboundedSender<RunReport>, run: RunId, what: RunChange) {
    // Fails only when the supervisor's loop has ended.
    let _ = facts.send(RunReport { run, what });
}

async fn ready(outlet: &Option<OutputReader>) {
    match outlet {
        Some(outlet) => outlet.ready().await,
        None => std::future::pending().await,
    }
}

/// Returns the value of a future, or `None` when it panicked.
async fn catch_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}
