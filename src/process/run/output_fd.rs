use std::io::PipeReader;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use crate::sys::async_fd::StableFd;
use crate::sys::pty::Pty;

/// Assumed amount when the system reports none: that of an enlarged pipe, and more than a pty's.
const UNKNOWN_AVAILABLE: usize = 1 << 20;

/// The read end of a service's output.
#[derive(Debug)]
pub(crate) enum OutputFd {
    /// One of the two streams.
    Pipe(PipeReader),
    /// Both streams, mixed as on any terminal.
    Terminal(Arc<Pty>),
}

impl OutputFd {
    /// Reads once. A pty returns only a few kilobytes per read, so it is read until empty.
    pub fn read(&self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let terminal = match self {
            OutputFd::Pipe(pipe) => return rustix::io::read(pipe, buffer),
            OutputFd::Terminal(terminal) => terminal,
        };
        let mut taken = 0;
        while taken < buffer.len() {
            match rustix::io::read(terminal, &mut buffer[taken..]) {
                Ok(count) if count > 0 => taken += count,
                // If there was data, the next call returns the same error.
                outcome if taken == 0 => return outcome,
                Ok(_) | Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// The most bytes that can be in it now.
    pub fn available(&self) -> usize {
        match self {
            OutputFd::Pipe(pipe) => {
                rustix::io::ioctl_fionread(pipe).map_or(UNKNOWN_AVAILABLE, |count| count as usize)
            }
            // The system reports too little: some output may still be on its way.
            OutputFd::Terminal(_) => UNKNOWN_AVAILABLE,
        }
    }
}

impl AsFd for OutputFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            OutputFd::Pipe(pipe) => pipe.as_fd(),
            OutputFd::Terminal(terminal) => terminal.as_fd(),
        }
    }
}

impl StableFd for OutputFd {}

impl AsRawFd for OutputFd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
