use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::async_fd::register;
use crate::sys::pty::Pty;

/// Writes keys to the pty of a service without blocking.
#[derive(Debug)]
pub struct KeyWriter {
    terminal: Arc<Pty>,
    fd: AsyncFd<OwnedFd>,
}

impl KeyWriter {
    /// Must be called inside a runtime with I/O.
    ///
    /// # Errors
    /// The system's error when there are no more descriptors.
    pub fn new(terminal: Arc<Pty>) -> io::Result<KeyWriter> {
        // Its own descriptor: the output reader is registered on the other one.
        let fd = register(terminal.controller_fd()?, Interest::WRITABLE)?;
        Ok(KeyWriter { terminal, fd })
    }

    /// Returns the pty it writes to.
    pub fn terminal(&self) -> &Arc<Pty> {
        &self.terminal
    }

    /// Writes as many keys as fit now, and returns how many bytes that was.
    pub fn write(&self, keys: &[u8]) -> usize {
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
    pub async fn writable(&self) {
        // Fails only when the runtime is shutting down.
        let _ = self.fd.writable().await.map(|mut room| room.retain_ready());
    }
}
