use std::io;
use std::os::unix::net::UnixStream;

use super::guard_loop;

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
    /// The system's error when it cannot create a socket or a process.
    pub fn start() -> io::Result<GuardHandle> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: the caller guarantees that there are no other threads.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                guard_loop::run(theirs)
            }
            pid => {
                raise_open_file_limit();
                if let Err(error) = crate::sys::process::become_subreaper() {
                    tracing::debug!("cannot adopt orphans: {error}");
                }
                Ok(GuardHandle { pid: pid.cast_unsigned(), socket: ours })
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
