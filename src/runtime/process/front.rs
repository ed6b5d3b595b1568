use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::oneshot;

use crate::model::Exit;

/// The process that stays with whoever called, and what it knows of its child. It never reaps the child, so the number
/// of the child means nobody else as long as this process lives.
#[derive(Debug)]
pub struct Front {
    child: i32,
    socket: Option<UnixStream>,
}

impl Front {
    pub(super) fn new(child: i32, socket: UnixStream) -> Front {
        Front { child, socket: Some(socket) }
    }

    /// The process id of the child.
    pub fn child(&self) -> u32 {
        self.child.unsigned_abs()
    }

    /// What the child writes to, non-blocking. Once.
    ///
    /// # Errors
    /// It was taken already.
    pub fn socket(&mut self) -> io::Result<UnixStream> {
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Passes on a signal that ends devstack. To a child that has ended it does nothing.
    pub fn pass_on(&self, signal: i32) {
        let signal = match signal {
            libc::SIGINT => Signal::INT,
            libc::SIGQUIT => Signal::QUIT,
            _ => Signal::TERM,
        };
        if let Some(child) = Pid::from_raw(self.child) {
            // It has ended: then nothing is to be ended.
            let _ = kill_process(child, signal);
        }
    }

    /// How the child ended, once it has.
    pub fn ended(&self) -> oneshot::Receiver<Exit> {
        let (tell, ended) = oneshot::channel();
        let child = self.child;
        // A thread of its own: the runtime would wait for one of its pool even when nobody else does.
        let wait = move || {
            if let Some(exit) = wait(child) {
                // Nobody waits any more: then nobody wants to know.
                let _ = tell.send(exit);
            }
        };
        // Without a thread nobody tells: as when it cannot be waited for.
        let _ = std::thread::Builder::new().spawn(wait);
        ended
    }
}

fn wait(child: i32) -> Option<Exit> {
    let child = Pid::from_raw(child)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(child), options) {
            Ok(Some(status)) => {
                let code = status.exit_status().map(Exit::Code);
                return code.or_else(|| status.terminating_signal().map(Exit::Signal));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
