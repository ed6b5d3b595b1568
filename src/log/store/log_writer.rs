use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::service_log::ServiceLog;
use crate::log::lock_unpoisoned;
use crate::log::log_warnings::LogWarnings;
use crate::model::{Message, MessageClass};

/// The thread that writes log files, and the logs that have something for it. It is the only one
/// that waits for the disk.
#[derive(Default)]
pub(crate) struct LogWriter {
    state: Mutex<WriterState>,
    /// The writer waits here for work.
    work: Condvar,
    /// `wait_idle` waits here for the writer.
    idle: Condvar,
    /// Counts the written chunks.
    steps: AtomicU64,
}

#[derive(Default)]
struct WriterState {
    waiting: VecDeque<Arc<ServiceLog>>,
    /// The writer does not wait for work.
    busy: bool,
    ending: bool,
    /// There is no thread: whatever adds a log writes it.
    threadless: bool,
}

impl LogWriter {
    /// Starts the thread. Without one, the log is written by the threads that capture it.
    pub fn start(self: &Arc<LogWriter>, notes: Arc<LogWarnings>) {
        let (writer, warnings) = (self.clone(), notes.clone());
        let run = move || {
            while let Some(log) = writer.next() {
                writer.write(log, &warnings);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("log-writer".to_owned()).spawn(run) {
            lock_unpoisoned(&self.state).threadless = true;
            cannot_start(&notes, &error);
        }
    }

    pub fn add(&self, log: Arc<ServiceLog>, notes: &LogWarnings) {
        let mut state = lock_unpoisoned(&self.state);
        if state.threadless {
            drop(state);
            return self.write(log, notes);
        }
        state.waiting.push_back(log);
        if !std::mem::replace(&mut state.busy, true) {
            self.work.notify_one();
        }
    }

    fn next(&self) -> Option<Arc<ServiceLog>> {
        let mut state = lock_unpoisoned(&self.state);
        loop {
            if let Some(log) = state.waiting.pop_front() {
                state.busy = true;
                return Some(log);
            }
            state.busy = false;
            self.idle.notify_all();
            if state.ending {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes a log. After a panic the service must not wait for its log forever.
    fn write(&self, log: Arc<ServiceLog>, notes: &LogWarnings) {
        let progressed = || {
            self.steps.fetch_add(1, Ordering::Relaxed);
        };
        let write = || log.write_queued(notes, progressed);
        let more = catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
            let text = format!("internal error: cannot write the log of {}", log.source);
            let help = "its last lines are lost; please report this";
            notes.tell(Message::new(MessageClass::Internal, text).help(help));
            log.drop_unwritten()
        });
        if more {
            self.add(log, notes);
        }
    }

    /// Ends the thread once everything is written.
    pub fn end(&self) {
        lock_unpoisoned(&self.state).ending = true;
        self.work.notify_one();
    }

    /// Waits until everything is written; returns `false` if nothing was for `patience`.
    pub fn wait_idle(&self, patience: Duration) -> bool {
        let mut state = lock_unpoisoned(&self.state);
        while state.busy || !state.waiting.is_empty() {
            let steps = self.steps.load(Ordering::Relaxed);
            let waited = self.idle.wait_timeout(state, patience);
            let (after, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            if waited.timed_out() && self.steps.load(Ordering::Relaxed) == steps {
                return !state.busy && state.waiting.is_empty();
            }
        }
        true
    }
}

fn cannot_start(notes: &LogWarnings, error: &io::Error) {
    let text = format!("cannot write the log in the background: cannot start a thread: {error}");
    let help = "a disk that does not respond would stop the whole stack";
    notes.tell(Message::new(MessageClass::Limit, text).help(help));
}
