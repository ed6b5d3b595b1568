use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lock_unpoisoned;
use super::log_origin::LogOrigin;
use crate::model::{Message, MessageClass};

/// Problems with the log itself, to be reported to the user.
#[derive(Default)]
pub(crate) struct LogWarnings {
    state: Mutex<WarningState>,
    some: Notify,
}

#[derive(Default)]
struct WarningState {
    waiting: VecDeque<Message>,
    disk_told: Option<Instant>,
}

impl LogWarnings {
    /// Shortest time between two disk warnings: the error recurs with every line.
    const PAUSE: Duration = Duration::from_secs(60);
    /// Most warnings that are kept until they are taken.
    const MAX: usize = 16;

    /// Warns that `what` cannot be written.
    pub fn disk_error(&self, what: &str, error: &std::io::Error) {
        let mut state = lock_unpoisoned(&self.state);
        if state.disk_told.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        state.disk_told = Some(Instant::now());
        let text = format!("cannot write {what}: {error}; keeping recent lines in memory");
        let help = "free up disk space or check the permissions of .devstack/logs; writing resumes automatically";
        let message = Message { class: MessageClass::Disk, text, help: help.to_owned() };
        tracing::warn!("{}", message.text);
        Self::add(&mut state, message);
        drop(state);
        self.some.notify_one();
    }

    /// Warns that the output of a service waits for the disk.
    pub fn disk_stalled(&self, origin: &LogOrigin) {
        let mut state = lock_unpoisoned(&self.state);
        if state.disk_told.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        state.disk_told = Some(Instant::now());
        let text = format!("the disk does not respond; the output of {origin} is paused");
        let help = "check the file system of .devstack/logs; output resumes automatically";
        Self::add(&mut state, Message::new(MessageClass::Disk, text).help(help));
        drop(state);
        self.some.notify_one();
    }

    pub fn tell(&self, message: Message) {
        Self::add(&mut lock_unpoisoned(&self.state), message);
        self.some.notify_one();
    }

    fn add(state: &mut WarningState, message: Message) {
        if state.waiting.len() < Self::MAX {
            state.waiting.push_back(message);
        }
    }

    pub fn take(&self) -> Vec<Message> {
        lock_unpoisoned(&self.state).waiting.drain(..).collect()
    }

    /// Waits until there is a warning to take.
    pub async fn available(&self) {
        loop {
            let notified = self.some.notified();
            if !lock_unpoisoned(&self.state).waiting.is_empty() {
                return;
            }
            notified.await;
        }
    }
}
