use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lock;
use crate::model::{Class, Message};

/// What went wrong with the log itself, for whoever tells people.
#[derive(Default)]
pub(super) struct Notes {
    state: Mutex<State>,
    some: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Message>,
    disk_told: Option<Instant>,
}

impl Notes {
    /// Trouble with the disk is told at most this often: it comes with every line.
    const PAUSE: Duration = Duration::from_secs(60);
    /// More notes than this wait for nobody.
    const MAX: usize = 16;

    /// Tells that `what` cannot be written.
    pub fn disk(&self, what: &str, error: &std::io::Error) {
        let mut state = lock(&self.state);
        if state.disk_told.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        state.disk_told = Some(Instant::now());
        let text = format!("{what} cannot be written: {error}; the last lines are kept in memory");
        let help = "make room or check the rights of .devstack/logs; writing resumes by itself";
        let message = Message { class: Class::Disk, text, help: help.to_owned() };
        tracing::warn!("{}", message.text);
        Self::add(&mut state, message);
        drop(state);
        self.some.notify_one();
    }

    /// Tells something else.
    pub fn tell(&self, message: Message) {
        Self::add(&mut lock(&self.state), message);
        self.some.notify_one();
    }

    fn add(state: &mut State, message: Message) {
        if state.waiting.len() < Self::MAX {
            state.waiting.push_back(message);
        }
    }

    /// Takes what was told since the last time.
    pub fn take(&self) -> Vec<Message> {
        lock(&self.state).waiting.drain(..).collect()
    }

    /// Waits until there is something to take.
    pub async fn some(&self) {
        loop {
            let notified = self.some.notified();
            if !lock(&self.state).waiting.is_empty() {
                return;
            }
            notified.await;
        }
    }
}
