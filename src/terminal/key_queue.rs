use std::sync::Arc;

use super::KeyWriter;
use super::service_terminal::ServiceTerminal;

/// Bytes that may wait for a service that does not read: a large paste.
const MAX_WAITING: usize = 1 << 20;

/// Writes keys to a service's pty. Keys that the pty does not take yet wait here, bounded. They
/// belong to the run in which they were typed; no later run gets them.
#[derive(Debug)]
pub struct KeyQueue {
    console: Arc<ServiceTerminal>,
    typist: Option<KeyWriter>,
    waiting: Vec<u8>,
}

impl KeyQueue {
    pub(super) fn new(console: Arc<ServiceTerminal>) -> KeyQueue {
        KeyQueue { console, typist: None, waiting: Vec::new() }
    }

    /// Writes or queues keys without blocking. False if some were dropped: no run, or queue full.
    pub fn push(&mut self, keys: &[u8]) -> bool {
        self.follow_run();
        let Some(typist) = &self.typist else { return false };
        let taken = if self.waiting.is_empty() { typist.write(keys) } else { 0 };
        let rest = &keys[taken..];
        let room = MAX_WAITING - self.waiting.len();
        self.waiting.extend_from_slice(&rest[..rest.len().min(room)]);
        rest.len() <= room
    }

    /// Writes queued keys whenever there is room. Never resolves; cancelling it loses nothing.
    pub async fn run(&mut self) {
        loop {
            let Some(typist) = self.typist.as_ref().filter(|_| !self.waiting.is_empty()) else {
                return std::future::pending().await;
            };
            typist.writable().await;
            let taken = typist.write(&self.waiting);
            self.waiting.drain(..taken);
        }
    }

    /// Switches to the pty of the current run and drops keys for an earlier one.
    pub fn follow_run(&mut self) {
        let present = self.console.terminal();
        let same = match (&self.typist, &present) {
            (Some(typist), Some(terminal)) => Arc::ptr_eq(typist.terminal(), terminal),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.waiting = Vec::new();
            // Without a descriptor, act as if the service did not read.
            self.typist = present.and_then(|terminal| KeyWriter::new(terminal).ok());
        }
    }
}
