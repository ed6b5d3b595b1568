//! Forks devstack into a foreground process, which stays with the caller, and a daemon.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::back::Back;
use super::front::Front;
use super::platform;

/// Which side of the fork this process is.
#[derive(Debug)]
pub enum Fork {
    /// The process that the user started; it reports how the daemon starts.
    Front(Front),
    /// Its child, which runs the stack.
    Back(Back),
}

/// Forks. Must be called before there are threads and before the guard is forked. The child keeps
/// the terminal for prompts, but no other inherited descriptor.
///
/// # Errors
/// The system's error when it cannot create a socket or a process.
pub fn detach() -> io::Result<Fork> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: the caller guarantees that there are no other threads, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(ours);
            // The daemon must not hold a pipe open whose reader waits for end of file.
            platform::close_all_but(theirs.as_raw_fd());
            Ok(Fork::Back(Back::new(theirs)))
        }
        pid => {
            drop(theirs);
            Ok(Fork::Front(Front::new(pid, ours)))
        }
    }
}
