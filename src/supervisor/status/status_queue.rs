//! Writes status lines in order, although some wait for log lines that are read off the loop.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::log::{StackLog, StatusText};
use crate::model::Name;
use crate::supervisor::off_loop::off_loop;

/// How many log lines are shown with a failure.
const FAILURE_LINES: usize = 10;

/// Status lines on their way to the log. What comes after a failure waits for its log lines.
pub(crate) struct StatusQueue {
    logs: StackLog,
    waiting: VecDeque<QueuedStatus>,
    /// How many entries have left the queue.
    written: u64,
    tails: (mpsc::UnboundedSender<LogTail>, mpsc::UnboundedReceiver<LogTail>),
}

/// Formats status lines that show these log lines.
type FormatFn = Box<dyn FnOnce(&[String]) -> Vec<StatusText> + Send>;

struct QueuedStatus {
    format: FormatFn,
    /// The log lines to show; `None`: not read yet.
    tail: Option<Vec<String>>,
}

/// The last log lines for an entry of the queue.
pub(crate) struct LogTail {
    number: u64,
    lines: Vec<String>,
}

impl StatusQueue {
    pub fn new(logs: StackLog) -> StatusQueue {
        let tails = mpsc::unbounded_channel();
        StatusQueue { logs, waiting: VecDeque::new(), written: 0, tails }
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes lines once everything before them is written.
    pub fn write(&mut self, lines: Vec<StatusText>) {
        let format: FormatFn = Box::new(|_| lines);
        self.waiting.push_back(QueuedStatus { format, tail: Some(Vec::new()) });
        self.flush();
    }

    /// Writes lines that show the last log lines of a service.
    pub fn write_with_log(&mut self, service: Name, format: FormatFn) {
        let number = self.written + self.waiting.len() as u64;
        self.waiting.push_back(QueuedStatus { format, tail: None });
        let (logs, tell) = (self.logs.clone(), self.tails.0.clone());
        tokio::spawn(async move {
            // A failure is reported without log lines rather than not at all.
            let lines = off_loop(move || logs.tail(&service, FAILURE_LINES)).await;
            // The supervisor may have finished meanwhile.
            let _ = tell.send(LogTail { number, lines: lines.unwrap_or_default() });
        });
    }

    /// Waits for the next log lines.
    pub async fn next_tail(&mut self) -> LogTail {
        self.tails.1.recv().await.expect("this has a sender")
    }

    /// Writes what has waited for these log lines.
    pub fn add_tail(&mut self, tail: LogTail) {
        let index = tail.number.checked_sub(self.written).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = index.and_then(|index| self.waiting.get_mut(index)) {
            entry.tail = Some(tail.lines);
        }
        self.flush();
    }

    /// Writes everything left.
    pub async fn finish(&mut self) {
        while !self.is_empty() {
            let tail = self.next_tail().await;
            self.add_tail(tail);
        }
    }

    fn flush(&mut self) {
        while self.waiting.front().is_some_and(|entry| entry.tail.is_some())
            && let Some(QueuedStatus { format, tail }) = self.waiting.pop_front()
        {
            let tail = tail.unwrap_or_default();
            self.written += 1;
            format(&tail).into_iter().for_each(|line| self.logs.write_status(line));
        }
    }
}
