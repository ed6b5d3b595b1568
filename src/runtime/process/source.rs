use std::io::PipeReader;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use super::terminal::Terminal;

/// What is taken to be in a source that does not tell: more than a terminal holds, and as much as a pipe that
/// devstack enlarged.
const UNTOLD: usize = 1 << 20;

/// Where the output of a service is read.
#[derive(Debug)]
pub(super) enum Source {
    /// One of its two streams.
    Pipe(PipeReader),
    /// Both, mixed as they are on a terminal.
    Terminal(Arc<Terminal>),
}

impl Source {
    /// Reads once. A terminal gives a few kilobytes at a time, so of it as much is read as there is.
    pub fn read(&self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let terminal = match self {
            Source::Pipe(pipe) => return rustix::io::read(pipe, buffer),
            Source::Terminal(terminal) => terminal,
        };
        let mut taken = 0;
        while taken < buffer.len() {
            match rustix::io::read(terminal, &mut buffer[taken..]) {
                Ok(count) if count > 0 => taken += count,
                // What hinders now hinders again next time.
                outcome if taken == 0 => return outcome,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// How many bytes can be in it now, at most.
    pub fn left(&self) -> usize {
        match self {
            Source::Pipe(pipe) => {
                rustix::io::ioctl_fionread(pipe).map_or(UNTOLD, |count| count as usize)
            }
            // It tells less than was written: some of it is still on its way.
            Source::Terminal(_) => UNTOLD,
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Pipe(pipe) => pipe.as_fd(),
            Source::Terminal(terminal) => terminal.as_fd(),
        }
    }
}

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
