use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::OFlags;

/// The process that goes to the background; it still has the caller's terminal.
#[derive(Debug)]
pub struct Daemon(UnixStream);

impl Daemon {
    pub(super) fn new(socket: UnixStream) -> Daemon {
        Daemon(socket)
    }

    /// Leaves the terminal for a session of its own, safe from Ctrl-C and a closed window. stdin
    /// and stdout become /dev/null; stderr, for panics of devstack, becomes the file `stderr`,
    /// truncated. Returns the socket to the foreground process, non-blocking.
    ///
    /// # Errors
    /// The system's error when /dev/null cannot be opened or the session not be changed.
    pub fn leave_terminal(self, stderr: &Path) -> io::Result<UnixStream> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // A full disk must not prevent the start.
        let errors = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(stderr);
        rustix::process::setsid()?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(errors.as_ref().unwrap_or(&null))?;
        self.0.set_nonblocking(true)?;
        Ok(self.0)
    }
}
