//! Into the background: one process becomes two, of which one stays with whoever called and one goes on alone.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::back::Back;
use super::front::Front;
use super::platform;

/// Which of the two this process is.
#[derive(Debug)]
pub enum Fork {
    /// The one that was started, which tells how it goes.
    Front(Front),
    /// Its child, which does the work and stays.
    Back(Back),
}

/// Forks. To be called before there are threads, and before the guard is forked. The child still has the terminal, so
/// that it can ask somebody there, but nothing else that this process was given.
///
/// # Errors
/// What the system says when it gives no socket or no process.
pub fn detach() -> io::Result<Fork> {
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: the caller promises that there are no other threads, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(ours);
            // A pipe that somebody waits for the end of must not stay open because of us.
            platform::close_all_but(theirs.as_raw_fd());
            Ok(Fork::Back(Back::new(theirs)))
        }
        pid => {
            drop(theirs);
            Ok(Fork::Front(Front::new(pid, ours)))
        }
    }
}
