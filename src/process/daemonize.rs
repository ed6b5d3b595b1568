//! Forks devstack into a foreground process, which stays with the caller, and a daemon.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;

use crate::atomic_file::{PRIVATE, create_anew};
use crate::model::ProcessExit;
use crate::sys::fork::{ForkResult, detach_stdio, fork};
use crate::sys::{process, signal};

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
/// When this process has threads, or the system cannot create a socket or a process.
pub fn daemonize() -> io::Result<ForkSide> {
    let (ours, theirs) = UnixStream::pair()?;
    match fork()? {
        ForkResult::Child => {
            drop(ours);
            // The daemon must not hold a pipe open whose reader waits for end of file.
            process::close_fds_except(theirs.as_raw_fd());
            Ok(ForkSide::Back(Daemon(theirs)))
        }
        ForkResult::Parent(child) => {
            drop(theirs);
            Ok(ForkSide::Front(Foreground { child, socket: ours }))
        }
    }
}

/// The process that goes to the background; it still has the caller's terminal.
#[derive(Debug)]
pub struct Daemon(UnixStream);

impl Daemon {
    /// Leaves the terminal for a session of its own, safe from Ctrl-C and a closed window. stdin
    /// and stdout become /dev/null; stderr, for panics of devstack, becomes the file `stderr`,
    /// truncated. Returns the socket to the foreground process, non-blocking.
    ///
    /// # Errors
    /// The system's error when /dev/null cannot be opened or the session not be changed.
    pub fn leave_terminal(self, stderr: &Path) -> io::Result<UnixStream> {
        // A full disk must not prevent the start.
        let errors = create_anew(stderr, PRIVATE);
        rustix::process::setsid()?;
        detach_stdio()?;
        if let Ok(errors) = &errors {
            rustix::stdio::dup2_stderr(errors)?;
        }
        self.0.set_nonblocking(true)?;
        Ok(self.0)
    }
}

/// The process that stays with the caller, and its child, the daemon. It never reaps the child, so
/// the child's pid is not recycled while this process lives.
#[derive(Debug)]
pub struct Foreground {
    child: u32,
    socket: UnixStream,
}

impl Foreground {
    /// Returns the pid of the daemon.
    pub fn child(&self) -> u32 {
        self.child
    }

    /// Returns the socket that the daemon writes to, non-blocking. The daemon sees it close when
    /// this process has exited.
    ///
    /// # Errors
    /// When there is no file descriptor left.
    pub fn socket(&self) -> io::Result<UnixStream> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Forwards a signal that ends devstack. Does nothing once the daemon has exited.
    pub fn forward_signal(&self, signal: i32) {
        let other = !matches!(signal, libc::SIGINT | libc::SIGQUIT);
        signal::kill(self.child, if other { libc::SIGTERM } else { signal });
    }

    /// Resolves to the daemon's exit status once it has exited.
    pub fn daemon_exited(&self) -> oneshot::Receiver<ProcessExit> {
        let (tell, ended) = oneshot::channel();
        let child = self.child;
        // Not the runtime's pool: the runtime would wait for that thread when it shuts down.
        let wait = move || {
            if let Some(exit) = wait(child) {
                // The receiver may be dropped.
                let _ = tell.send(exit);
            }
        };
        // Without a thread the receiver fails, as when the child cannot be waited for.
        let _ = std::thread::Builder::new().spawn(wait);
        ended
    }
}

fn wait(child: u32) -> Option<ProcessExit> {
    let child = Pid::from_raw(child.cast_signed())?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(child), options) {
            Ok(Some(status)) => {
                let code = status.exit_status().map(ProcessExit::Code);
                return code.or_else(|| status.terminating_signal().map(ProcessExit::Signal));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
