use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// Where the log is shown.
pub enum Output {
    /// Descriptor 1 of this process.
    Stdout,
    /// Descriptor 2 of this process.
    Stderr,
    /// Nowhere.
    None,
    /// Anywhere else. May block: it is used by a thread of its own.
    Other(Box<dyn Write + Send>),
}

impl Output {
    /// The most that is written at once: what a pipe holds, so that a slow reader is told apart from one that is gone.
    pub(super) const WRITE_MAX: usize = 64 * 1024;

    /// Writes the start of `bytes`, waiting as long as it takes; gives how many bytes were written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(Self::WRITE_MAX)];
        match self {
            Output::Stdout => descriptor(rustix::stdio::stdout(), bytes),
            Output::Stderr => descriptor(rustix::stdio::stderr(), bytes),
            Output::None => Ok(bytes.len()),
            Output::Other(other) => loop {
                match other.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    result => return result,
                }
            },
        }
    }

    /// Hands on what `Other` keeps back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout | Output::Stderr | Output::None => Ok(()),
            Output::Other(other) => other.flush(),
        }
    }
}

/// Writes to a descriptor. It is shared with others: that it blocks is never changed here, and when
/// somebody else made it non-blocking, that is waited out.
fn descriptor(output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(output, bytes) {
            Ok(len) => return Ok(len),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut writable = [PollFd::new(&output, PollFlags::OUT)];
                match rustix::event::poll(&mut writable, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
