use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// Where the log is printed.
pub enum LogOutput {
    /// Standard output of this process.
    Stdout,
    /// Standard error of this process.
    Stderr,
    /// Nowhere.
    None,
    /// Any other writer. It may block: it is used on its own thread.
    Other(Box<dyn Write + Send>),
}

impl LogOutput {
    /// Most bytes per write: the capacity of a pipe, to tell a slow reader from one that is stuck.
    const WRITE_MAX: usize = 64 * 1024;

    /// Writes the start of `bytes`, however long it takes, and returns how many bytes were written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(Self::WRITE_MAX)];
        match self {
            LogOutput::Stdout => write_fd(rustix::stdio::stdout(), bytes),
            LogOutput::Stderr => write_fd(rustix::stdio::stderr(), bytes),
            LogOutput::None => Ok(bytes.len()),
            LogOutput::Other(other) => loop {
                match other.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    result => return result,
                }
            },
        }
    }

    /// Returns the width, if it is a terminal.
    pub(crate) fn columns(&self) -> Option<usize> {
        let size = match self {
            LogOutput::Stdout => rustix::termios::tcgetwinsize(rustix::stdio::stdout()),
            LogOutput::Stderr => rustix::termios::tcgetwinsize(rustix::stdio::stderr()),
            LogOutput::None | LogOutput::Other(_) => return None,
        };
        size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Flushes `Other`; descriptors have no buffer.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            LogOutput::Stdout | LogOutput::Stderr | LogOutput::None => Ok(()),
            LogOutput::Other(other) => other.flush(),
        }
    }
}

/// Writes to a descriptor that is shared with other processes: its blocking mode is not changed.
fn write_fd(output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
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
