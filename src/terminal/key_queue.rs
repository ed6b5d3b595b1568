use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::service_terminal::ServiceTerminal;
use crate::sys::async_fd::register;
use crate::sys::pty::Pty;

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
            (Some(typist), Some(terminal)) => Arc::ptr_eq(&typist.terminal, terminal),
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

/// Writes keys to the pty of a service without blocking.
#[derive(Debug)]
struct KeyWriter {
    terminal: Arc<Pty>,
    fd: AsyncFd<OwnedFd>,
}

impl KeyWriter {
    fn new(terminal: Arc<Pty>) -> io::Result<KeyWriter> {
        // Its own descriptor: the output reader is registered on the other one.
        let fd = register(terminal.controller_fd()?, Interest::WRITABLE)?;
        Ok(KeyWriter { terminal, fd })
    }

    /// Writes as many keys as fit now, and returns how many bytes that was.
    fn write(&self, keys: &[u8]) -> usize {
        let mut taken = 0;
        while taken < keys.len() {
            let write = |fd: &OwnedFd| Ok(rustix::io::write(fd, &keys[taken..])?);
            match self.fd.try_io(Interest::WRITABLE, write) {
                Ok(count) if count > 0 => taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        taken
    }

    /// Waits until there may be room.
    async fn writable(&self) {
        // Fails only when the runtime is shutting down.
        let _ = self.fd.writable().await.map(|mut room| room.retain_ready());
    }
}
