use std::io;
use std::os::unix::net::UnixStream;

use super::guard_loop;
use crate::sys::fork::{ForkResult, fork};

/// Handle on the guard, the small process that all services descend from. It outlives the
/// supervisor even when that is killed, and then ends everything that services started.
#[derive(Debug)]
pub struct GuardHandle {
    pub(crate) pid: u32,
    pub(crate) socket: UnixStream,
}

impl GuardHandle {
    /// Ends a guard that has no keepers, and waits for its exit.
    pub fn dismiss(self) {
        drop(self.socket);
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        // On any other error `init` reaps it.
        while rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
            .is_err_and(|error| error == rustix::io::Errno::INTR)
        {}
    }

    /// Returns the pid of the guard.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Forks the guard. Must be called at the start of `main`: before any thread or runtime exists
    /// and before anything large is allocated, because every keeper is a copy of the guard. Raises
    /// the soft limit of open files of this process afterwards, so services keep the original one.
    ///
    /// # Errors
    /// When this process has threads, or the system cannot create a socket or a process.
    pub fn start() -> io::Result<GuardHandle> {
        let (ours, theirs) = UnixStream::pair()?;
        match fork()? {
            ForkResult::Child => {
                drop(ours);
                guard_loop::run(theirs)
            }
            ForkResult::Parent(pid) => {
                raise_open_file_limit();
                if let Err(error) = crate::sys::process::become_subreaper() {
                    tracing::debug!("cannot adopt orphans: {error}");
                }
                Ok(GuardHandle { pid, socket: ours })
            }
        }
    }
}

/// Each run takes three descriptors, so the usual soft limit of 1024 is reached with 300 services.
fn raise_open_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// More is of no use, and macOS rejects more.
    const MAX_OPEN_FILES: u64 = 10_240;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(MAX_OPEN_FILES, |m| m.min(MAX_OPEN_FILES));
    if current.is_some_and(|c| c < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!("cannot raise the open file limit: {error}");
    }
}
