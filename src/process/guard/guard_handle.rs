use std::io;
use std::os::unix::net::UnixStream;

use super::guard_loop::{self, LastAct};
use crate::process::keeper::KeeperRole;
use crate::sys::fork::{ForkResult, fork};
use crate::sys::open_files::raise_open_files;
use crate::sys::process::become_subreaper;
use crate::sys::run_mark;
use crate::sys::wait::wait_and_reap;

/// Handle on the guard, the small process that all services descend from. It outlives the
/// supervisor even when that is killed, and then ends everything that services started.
#[derive(Debug)]
pub struct GuardHandle {
    pub(crate) pid: u32,
    pub(crate) socket: UnixStream,
}

impl GuardHandle {
    /// Ends a guard that keeps no run, and waits for its exit.
    pub fn dismiss(self) {
        drop(self.socket);
        wait_and_reap(self.pid);
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Forks the guard. Must be called at the start of `main`: before any thread or runtime exists
    /// and before anything large is allocated, because every service begins as a copy of the guard.
    /// Raises the soft limit of open files of this process afterwards, so services keep the
    /// original one.
    ///
    /// `last_act` is what the guard does when the supervisor was killed and its runs are over. It gets
    /// what the supervisor told the guard last, and is not called if that is nothing.
    ///
    /// # Errors
    /// When this process has threads, or the system cannot create a socket or a process.
    pub fn start(last_act: LastAct) -> io::Result<GuardHandle> {
        let role = match run_mark::are_supported() {
            true => KeeperRole::AllRuns,
            false => KeeperRole::KeeperPerRun,
        };
        GuardHandle::start_as(role, last_act)
    }

    /// Like [`GuardHandle::start`] on a system that cannot mark processes, without a last act.
    ///
    /// # Errors
    /// The same.
    #[doc(hidden)]
    pub fn start_without_marks() -> io::Result<GuardHandle> {
        GuardHandle::start_as(KeeperRole::KeeperPerRun, |_| {})
    }

    fn start_as(role: KeeperRole, last_act: LastAct) -> io::Result<GuardHandle> {
        let (ours, theirs) = UnixStream::pair()?;
        match fork()? {
            ForkResult::Child => {
                drop(ours);
                guard_loop::run(theirs, role, last_act)
            }
            ForkResult::Parent(pid) => {
                raise_open_files();
                if let Err(error) = become_subreaper() {
                    tracing::debug!("cannot adopt orphans: {error}");
                }
                Ok(GuardHandle { pid, socket: ours })
            }
        }
    }
}
