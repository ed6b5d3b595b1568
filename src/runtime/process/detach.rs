//! Forks devstack into a foreground process, which stays with the caller, and a daemon.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::back::Daemon;
use super::front::Foreground;
use super::platform;

/// Which side of the fork this process is.
#[derive(Debug)]
pub enum ForkSide {
    /// The process that the user started; it reports how the daemon starts.
    Front(Foreground),
    /// Its child, which runs the stack.
    Back(Daemon),
}

/// Forks. Must be called before there are threads and before the guard is forked. The child keeps
/// the terminal for prompts, but no other inherited descriptor.
///
/// # Errors
/// The system's error when it cannot create a socket or a process.
pub fn daemonize() -> io::Result<ForkSide> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: the caller guarantees that there are no other threads, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(ours);
            // The daemon must not hold a pipe open whose reader waits for end of file.
            platform::close_fds_except(theirs.as_raw_fd());
            Ok(ForkSide::Back(Daemon::new(theirs)))
        }
        pid => {
            drop(theirs);
            Ok(ForkSide::Front(Foreground::new(pid, ours)))
        }
    }
}
