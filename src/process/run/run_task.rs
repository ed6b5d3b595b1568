use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::output_reader::{OutputReader, ReadProgress};
use super::output_sink::{BoxFuture, OutputSink, PanicSafeSink};
use super::run_handle::RunPids;
use super::run_report::{RunChange, RunReport};
use super::stop_command::StopCommand;
use crate::model::{ProcessExit, RunId};
use crate::process::cleanup::adopted_orphans;
use crate::process::guard::GuardConnection;
use crate::process::keeper::{KeeperOrder, KeeperReport};
use crate::process::spawn::spawn_errors;
use crate::sync::catch_panic;
use crate::sys::process;

/// The task of one run, from its request to the last report.
pub(crate) struct RunTask {
    pub run: RunId,
    pub run_reports: mpsc::UnboundedSender<RunReport>,
    pub link: Arc<GuardConnection>,
    pub pids: Arc<RunPids>,
    pub stopper: Arc<StopCommand>,
    /// Identifies the processes of this run.
    pub mark: u64,
    /// What the guard reports.
    pub reports: mpsc::UnboundedReceiver<KeeperReport>,
    /// What must be over before the end is reported.
    pub epilogue: Option<BoxFuture>,
    pub outlets: [Option<OutputReader>; 2],
    pub program: PathBuf,
    pub dir: PathBuf,
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
    /// The run's own keeper died, and the guard has ended the tree.
    KeeperLost,
    GuardLost,
}

enum RunWakeup {
    /// `None`: the guard is gone.
    Report(Option<KeeperReport>),
    Output,
    Quiet,
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
                self.link.order(self.run, KeeperOrder::Kill);
                catch_panic(self.wait_for_end()).await.unwrap_or(RunEnd::GuardLost)
            }
        };
        let leftovers = match end {
            RunEnd::Empty(leftovers) => leftovers,
            RunEnd::KeeperLost | RunEnd::GuardLost => {
                catch_panic(self.clean_up_lost(end)).await;
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
        self.pids.clear();
        // Otherwise a running stop command might hit the next run.
        self.stopper.finished().await;
        if let Some(epilogue) = self.epilogue.take() {
            catch_panic(epilogue).await;
        }
        let RunTask { link, run_reports, run, .. } = self;
        link.remove(run);
        send_report(&run_reports, run, RunChange::TreeEmpty { orphans: leftovers });
    }

    async fn watch<S: OutputSink>(&mut self, output: &mut PanicSafeSink<S>) -> RunEnd {
        loop {
            let full = output.full();
            match self.next(full, output.quiet_at()).await {
                RunWakeup::Report(report) => {
                    if let Some(end) = self.handle(report) {
                        return end;
                    }
                }
                RunWakeup::Output => self.read_output(output).await,
                RunWakeup::Quiet => output.quiet(Instant::now()),
            }
        }
    }

    /// Waits for work. Reports come first: they are few, and output may never pause. While the sink
    /// is `full`, the pipes are not read.
    async fn next(&mut self, full: Option<BoxFuture>, quiet_at: Option<Instant>) -> RunWakeup {
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
        let quiet = async {
            match quiet_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            report = self.reports.recv() => RunWakeup::Report(report),
            () = output, if out.is_some() || err.is_some() => RunWakeup::Output,
            () = quiet => RunWakeup::Quiet,
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

    fn handle(&mut self, report: Option<KeeperReport>) -> Option<RunEnd> {
        let Some(report) = report else { return Some(RunEnd::GuardLost) };
        match report {
            KeeperReport::Spawned { keeper, pid } => {
                let guard = self.link.guard();
                self.pids.set(keeper, guard, pid, self.mark);
                self.reported = RunProgress::Spawned;
                if let Some(ledger) = self.link.ledger() {
                    ledger.run_started(self.run.0, keeper.unwrap_or(guard), pid);
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
                self.pids.main_exited();
                self.reported = RunProgress::Ended(Some(exit));
                self.send_report(RunChange::Exited(exit));
                None
            }
            KeeperReport::Empty { orphans: leftovers } => Some(RunEnd::Empty(leftovers)),
            KeeperReport::Lost => Some(RunEnd::KeeperLost),
        }
    }

    /// Reads reports and nothing else until the run ends.
    async fn wait_for_end(&mut self) -> RunEnd {
        loop {
            let report = self.reports.recv().await;
            if let Some(end) = self.handle(report) {
                return end;
            }
        }
    }

    /// The keeper or the guard died. The guard kills orphans of a keeper; without a guard the
    /// supervisor does.
    async fn clean_up_lost(&mut self, end: RunEnd) {
        let by_guard = matches!(end, RunEnd::KeeperLost);
        process::kill_lost_group(self.pids.main().unwrap_or(0));
        if !by_guard {
            adopted_orphans::kill_orphans_of(&self.link, self.pids.keeper()).await;
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
        send_report(&self.run_reports, self.run, what);
    }
}

pub(crate) fn send_report(
    run_reports: &mpsc::UnboundedSender<RunReport>,
    run: RunId,
    what: RunChange,
) {
    // Fails only when the supervisor's loop has ended.
    let _ = run_reports.send(RunReport { run, what });
}

async fn ready(outlet: &Option<OutputReader>) {
    match outlet {
        Some(outlet) => outlet.ready().await,
        None => std::future::pending().await,
    }
}
