use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lock_unpoisoned;
use super::log_source::LogSource;
use crate::model::{Message, MessageClass};

/// Problems with the log itself, to be reported to the user.
#[derive(Default)]
pub(crate) struct LogWarnings {
    waiting: Mutex<VecDeque<Message>>,
    disk_told: Mutex<Option<Instant>>,
    some: Notify,
}

impl LogWarnings {
    /// Shortest time between two disk warnings: the error recurs with every line.
    const PAUSE: Duration = Duration::from_secs(60);
    /// Most warnings that are kept until they are taken.
    const MAX: usize = 16;

    /// Warns that `what` cannot be written.
    pub fn disk_error(&self, what: &str, error: &std::io::Error) {
        let text = || format!("cannot write {what}: {error}; keeping recent lines in memory");
        let help = "free up disk space or check the permissions of .devstack/logs; writing resumes automatically";
        if let Some(text) = self.tell_of_disk(text, help) {
            tracing::warn!("{text}");
        }
    }

    /// Warns that the output of a service waits for the disk.
    pub fn disk_stalled(&self, source: &LogSource) {
        let text = || format!("the disk does not respond; the output of {source} is paused");
        let help = "check the file system of .devstack/logs; output resumes automatically";
        self.tell_of_disk(text, help);
    }

    /// Adds a warning about the disk, unless there has just been one. Returns its text if it did.
    fn tell_of_disk(&self, text: impl FnOnce() -> String, help: &str) -> Option<String> {
        let mut told = lock_unpoisoned(&self.disk_told);
        if told.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return None;
        }
        *told = Some(Instant::now());
        let text = text();
        self.tell(Message::new(MessageClass::Disk, text.clone()).help(help));
        Some(text)
    }

    pub fn tell(&self, message: Message) {
        let mut waiting = lock_unpoisoned(&self.waiting);
        if waiting.len() < Self::MAX {
            waiting.push_back(message);
        }
        drop(waiting);
        self.some.notify_one();
    }

    pub fn take(&self) -> Vec<Message> {
        lock_unpoisoned(&self.waiting).drain(..).collect()
    }

    /// Waits until there is a warning to take.
    pub async fn available(&self) {
        loop {
            let notified = self.some.notified();
            if !lock_unpoisoned(&self.waiting).is_empty() {
                return;
            }
            notified.await;
        }
    }
}
