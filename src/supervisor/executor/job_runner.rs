//! Commands that run because watched files changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::JobId;
use crate::log::last_lines;
use crate::model::{LaunchConfig, Message, MessageClass, OutputStream, ProcessExit};
use crate::process::{
    BoxFuture, OutputSink, OutputTail, ProcessManager, RunHandle, command_summary,
};

/// Number of output lines reported with a failed command. A compiler's summary fits; the log has
/// everything.
const LINES: usize = 10;

/// Bytes of output kept for them.
const OUTPUT_MAX: usize = 8 << 10;

/// A command has finished, and none of its processes is left.
#[derive(Debug)]
pub struct JobReport {
    /// The job.
    pub job: JobId,
    /// Success is exit code 0.
    pub result: Result<(), Message>,
}

/// The running commands. Each has its own keeper, so that none of its processes outlives devstack.
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
        self.live.insert(job, aside.leash().clone());
        let (done, command) = (self.done.clone(), command_summary(&launch.command));
        tokio::spawn(async move {
            let end = aside.exited().await;
            aside.emptied().await;
            let result = match end {
                Ok(ProcessExit::Code(0)) => Ok(()),
                Ok(exit) => Err(failed(&format!("`{command}` failed ({exit})"), &tail)),
                Err(why) => Err(failed(&format!("cannot start `{command}`: {why}"), &tail)),
            };
            // Without a receiver the stack is shutting down.
            let _ = done.send(JobReport { job, result });
        });
    }

    pub fn stop(&self, job: JobId) {
        if let Some(leash) = self.live.get(&job) {
            leash.stop(libc::SIGTERM);
        }
    }

    pub fn kill(&self, job: JobId) {
        if let Some(leash) = self.live.get(&job) {
            leash.kill();
        }
    }

    pub fn remove(&mut self, job: JobId) {
        self.live.remove(&job);
    }
}

fn failed(what: &str, tail: &OutputTail) -> Message {
    let mut text = what.to_owned();
    for line in last_lines(&tail.bytes(), LINES) {
        text += "\n  | ";
        text += &line;
    }
    let help = "fix it and save to run the command again; the previous version keeps running";
    Message::new(MessageClass::Build, text).help(help)
}

/// Passes output on and keeps the end of it.
struct TeeSink<S> {
    sink: S,
    tail: OutputTail,
}

impl<S: OutputSink> OutputSink for TeeSink<S> {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.tail.push(stream, bytes);
        self.sink.push(stream, bytes);
    }

    fn full(&self) -> Option<BoxFuture> {
        self.sink.full()
    }

    fn closed(&mut self, exit: Option<ProcessExit>) {
        self.sink.closed(exit);
    }
}
