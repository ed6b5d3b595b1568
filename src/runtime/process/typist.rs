use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::steady::wait_for;
use super::terminal::Terminal;

/// Types in the terminal of a service, without waiting for anybody.
#[derive(Debug)]
pub struct Typist {
    terminal: Arc<Terminal>,
    fd: AsyncFd<OwnedFd>,
}

impl Typist {
    /// To be called inside a runtime with I/O.
    ///
    /// # Errors
    /// What the system says when there is no descriptor more.
    pub fn new(terminal: Arc<Terminal>) -> io::Result<Typist> {
        // A descriptor of its own: the other one is waited for by whoever reads.
        let fd = wait_for(terminal.keys()?, Interest::WRITABLE)?;
        Ok(Typist { terminal, fd })
    }

    /// The terminal in which it types.
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.terminal
    }

    /// Types as much as there is room for now; how many bytes that was.
    pub fn type_in(&self, keys: &[u8]) -> usize {
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
    pub async fn room(&self) {
        // An error means that the runtime is ending.
        let _ = self.fd.writable().await.map(|mut room| room.retain_ready());
    }
}
