use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::oneshot;

use crate::model::ProcessExit;

/// The process that stays with the caller, and its child, the daemon. It never reaps the child, so
/// the child's pid is not recycled while this process lives.
#[derive(Debug)]
pub struct Foreground {
    child: i32,
    socket: Option<UnixStream>,
}

impl Foreground {
    pub(super) fn new(child: i32, socket: UnixStream) -> Foreground {
        Foreground { child, socket: Some(socket) }
    }

    /// Returns the pid of the daemon.
    pub fn child(&self) -> u32 {
        self.child.unsigned_abs()
    }

    /// Takes the socket that the daemon writes to, non-blocking.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn socket(&mut self) -> io::Result<UnixStream> {
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Forwards a signal that ends devstack. Does nothing once the daemon has exited.
    pub fn forward_signal(&self, signal: i32) {
        let signal = match signal {
            libc::SIGINT => Signal::INT,
            libc::SIGQUIT => Signal::QUIT,
            _ => Signal::TERM,
        };
        if let Some(child) = Pid::from_raw(self.child) {
            // Fails when the daemon has exited.
            let _ = kill_process(child, signal);
        }
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

fn wait(child: i32) -> Option<ProcessExit> {
    let child = Pid::from_raw(child)?;
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
