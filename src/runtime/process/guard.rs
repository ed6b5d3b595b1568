use std::io;
use std::os::unix::net::UnixStream;

use super::guard_loop;

/// The small process that all services descend from. It outlives this one, whatever happens to it, and
/// then ends everything that a service started.
#[derive(Debug)]
pub struct Guard {
    pub(super) pid: u32,
    pub(super) socket: UnixStream,
}

impl Guard {
    /// Ends the guard when nothing was started, and waits for its end.
    pub fn dismiss(self) {
        drop(self.socket);
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        // It is our child; whatever else happens, `init` buries it.
        while rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
            .is_err_and(|error| error == rustix::io::Errno::INTR)
        {}
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Forks the guard. To be called first thing in `main`: before any thread, any runtime, and before
    /// anything large is allocated (every keeper is a copy of the guard). Raises the soft limit of open
    /// files of this process afterwards, so services keep the original one.
    ///
    /// # Errors
    /// What the system says when it gives no socket or no process.
    pub fn start() -> io::Result<Guard> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: the caller promises that there are no other threads, so the child may do anything.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                guard_loop::run(theirs)
            }
            pid => {
                raise_file_limit();
                if let Err(error) = super::platform::adopt_orphans() {
                    tracing::debug!("cannot adopt orphans: {error}");
                }
                Ok(Guard { pid: pid.cast_unsigned(), socket: ours })
            }
        }
    }
}

/// Three descriptors a run: the usual soft limit of 1024 would be met with 300 services.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// More is of no use, and macOS refuses more.
    const ENOUGH: u64 = 10_240;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |m| m.min(ENOUGH));
    if current.is_some_and(|c| c < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!("cannot raise the limit of open files: {error}");
    }
}
