//! The commands that run because watched files have changed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::log::last_lines;
use super::process::{Leash, Processes, Sink, headline};
use crate::engine::Job;
use crate::model::{Class, Exit, Launch, Message, Stream};

/// How many of its last lines are told with the failure of a command. A compiler's summary fits; all of it is in the
/// log.
const LINES: usize = 10;

/// Bytes of the end of a command's output that are kept for them.
const OUTPUT_MAX: usize = 8 << 10;

/// A command is over, and nothing of it is left.
#[derive(Debug)]
pub struct Done {
    /// Which.
    pub job: Job,
    /// It ended with code 0, or why it did not.
    pub result: Result<(), Message>,
}

/// The commands that run. Each is under a keeper of its own, so that nothing of it outlives devstack.
pub(super) struct Jobs {
    processes: Arc<Processes>,
    done: mpsc::UnboundedSender<Done>,
    live: BTreeMap<Job, Leash>,
}

impl Jobs {
    pub fn new(processes: Arc<Processes>, done: mpsc::UnboundedSender<Done>) -> Jobs {
        Jobs { processes, done, live: BTreeMap::new() }
    }

    /// Starts a command. What becomes of it is told once, when nothing of it is left.
    pub fn start(&mut self, job: Job, launch: &Launch, sink: impl Sink) {
        let tail = Tail::default();
        let mut aside = self.processes.aside(launch, Tee { sink, tail: tail.clone() });
        self.live.insert(job, aside.leash().clone());
        let (done, command) = (self.done.clone(), headline(&launch.command));
        tokio::spawn(async move {
            let end = aside.exited().await;
            aside.emptied().await;
            let result = match end {
                Ok(Exit::Code(0)) => Ok(()),
                Ok(exit) => Err(failed(&format!("`{command}` ended with {exit}"), &tail)),
                Err(why) => Err(failed(&format!("`{command}` could not be started: {why}"), &tail)),
            };
            // Without a receiver the stack is ending.
            let _ = done.send(Done { job, result });
        });
    }

    /// Asks a command to end.
    pub fn stop(&self, job: Job) {
        if let Some(leash) = self.live.get(&job) {
            leash.stop(libc::SIGTERM);
        }
    }

    /// Kills a command with all that is left of it.
    pub fn kill(&self, job: Job) {
        if let Some(leash) = self.live.get(&job) {
            leash.kill();
        }
    }

    /// A command is over.
    pub fn forget(&mut self, job: Job) {
        self.live.remove(&job);
    }
}

fn failed(what: &str, tail: &Tail) -> Message {
    let mut text = what.to_owned();
    for line in tail.lines() {
        text += "\n  | ";
        text += &line;
    }
    let help = "what ran before is left as it is; the next save runs the command again";
    Message::new(Class::Build, text).help(help)
}

/// The end of what a command prints.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        // Plain data: true whatever the holder was doing.
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[bytes.len().saturating_sub(OUTPUT_MAX)..]);
        let surplus = tail.len().saturating_sub(OUTPUT_MAX);
        tail.drain(..surplus);
    }

    fn lines(&self) -> Vec<String> {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last_lines(tail.make_contiguous(), LINES)
    }
}

/// Passes on what a command prints, and keeps the end of it.
struct Tee<S> {
    sink: S,
    tail: Tail,
}

impl<S: Sink> Sink for Tee<S> {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.tail.push(bytes);
        self.sink.push(stream, bytes);
    }

    fn closed(&mut self, exit: Option<Exit>) {
        self.sink.closed(exit);
    }
}
