use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::OFlags;

/// The process that stays in the background, while it still has the terminal of whoever called.
#[derive(Debug)]
pub struct Back(UnixStream);

impl Back {
    pub(super) fn new(socket: UnixStream) -> Back {
        Back(socket)
    }

    /// Lets go of the terminal: a session of its own, which no Ctrl-C and no closed window reaches. Nothing is read or
    /// printed any more, but for what devstack itself writes to stderr when it breaks: that goes to `stderr`, which is
    /// emptied first. Gives the socket to the process in front, non-blocking.
    ///
    /// # Errors
    /// What the system says when a file cannot be opened.
    pub fn let_go(self, stderr: &Path) -> io::Result<UnixStream> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // A disk that is full is no reason not to start.
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
