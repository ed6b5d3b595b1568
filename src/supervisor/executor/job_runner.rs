//! Commands that run because watched files changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::engine::{JobId, KILL_TIMEOUT};
use crate::log::{EXCERPT, last_lines};
use crate::model::{LaunchConfig, Message, MessageClass, OutputStream, ProcessExit, Survivor};
use crate::process::{
    BoxFuture, OutputSink, OutputTail, ProcessManager, RunHandle, command_summary,
};
use crate::supervisor::off_loop::off_loop;

/// Number of output lines reported with a failed command. A compiler's summary fits; the log has
/// everything.
const LINES: usize = 10;

/// Bytes of output kept for them.
const OUTPUT_MAX: usize = 8 << 10;

/// What becomes of a command.
#[derive(Debug)]
pub struct JobReport {
    pub job: JobId,
    /// What happened to it.
    pub what: JobChange,
}

/// What can happen to a command. `Ended` comes once and last.
#[derive(Debug)]
pub enum JobChange {
    /// It has exited, but something of it cannot be killed.
    Survived(Vec<Survivor>),
    /// It has exited, and none of its processes is left. Success is exit code 0.
    Ended(Result<(), Message>),
}

/// The running commands. The guard keeps each, so that none of its processes outlives devstack.
pub(super) struct JobRunner {
    processes: Arc<ProcessManager>,
    done: mpsc::UnboundedSender<JobReport>,
    live: BTreeMap<JobId, RunHandle>,
}

impl JobRunner {
    pub fn new(
        processes: Arc<ProcessManager>,
        done: mpsc::UnboundedSender<JobReport>,
    ) -> JobRunner {
        JobRunner { processes, done, live: BTreeMap::new() }
    }

    /// Starts a command. Its result is reported once, when none of its processes is left.
    pub fn start(&mut self, job: JobId, launch: &LaunchConfig, sink: impl OutputSink) {
        let tail = OutputTail::new(OUTPUT_MAX);
        let mut aside = self.processes.spawn_one_shot(launch, TeeSink { sink, tail: tail.clone() });
        let survivors = self.processes.survivors(aside.handle());
        self.live.insert(job, aside.handle().clone());
        let (done, command) = (self.done.clone(), command_summary(&launch.command));
        tokio::spawn(async move {
            let end = aside.exited().await;
            if timeout(KILL_TIMEOUT, aside.emptied()).await.is_err() {
                let left = off_loop(survivors).await.unwrap_or_default();
                // Without a receiver the stack is shutting down.
                let _ = done.send(JobReport { job, what: JobChange::Survived(left) });
                aside.emptied().await;
            }
            let result = match end {
                Ok(ProcessExit::Code(0)) => Ok(()),
                Ok(exit) => Err(failed(&format!("`{command}` failed ({exit})"), &tail)),
                Err(why) => Err(failed(&format!("cannot start `{command}`: {why}"), &tail)),
            };
            // Without a receiver the stack is shutting down.
            let _ = done.send(JobReport { job, what: JobChange::Ended(result) });
        });
    }

    pub fn stop(&self, job: JobId) {
        if let Some(handle) = self.live.get(&job) {
            handle.stop(libc::SIGTERM);
        }
    }

    pub fn kill(&self, job: JobId) {
        if let Some(handle) = self.live.get(&job) {
            handle.kill();
        }
    }

    pub fn get(&self, job: JobId) -> Option<&RunHandle> {
        self.live.get(&job)
    }

    pub fn remove(&mut self, job: JobId) {
        self.live.remove(&job);
    }
}

fn failed(what: &str, tail: &OutputTail) -> Message {
    let mut text = what.to_owned();
    for line in last_lines(&tail.bytes(), LINES) {
        text += &format!("\n{EXCERPT}{line}");
    }
    let help = "fix it and save to run the command again; the previous version keeps running";
    Message::new(MessageClass::Build, text).help(help)
}

/// Passes output on and keeps the end of it.
pub(in crate::supervisor) struct TeeSink<S> {
    pub sink: S,
    pub tail: OutputTail,
}

impl<S: OutputSink> OutputSink for TeeSink<S> {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.tail.push(stream, bytes);
        self.sink.push(stream, bytes);
    }

    fn full(&self) -> Option<BoxFuture> {
        self.sink.full()
    }

    fn quiet_at(&self) -> Option<Instant> {
        self.sink.quiet_at()
    }

    fn quiet(&mut self, now: Instant) {
        self.sink.quiet(now);
    }

    fn closed(&mut self, exit: Option<ProcessExit>) {
        self.sink.closed(exit);
    }
}
