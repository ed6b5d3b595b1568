//! The guard process: keeps the runs of the stack, and ends them once the supervisor is gone.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::process::keeper::{KeeperLoop, KeeperRole, end_with};
use crate::sys::fork::detach_stdio;
use crate::sys::open_files::raise_open_files;
use crate::sys::process;
use crate::sys::process::ChildSignals;
use crate::sys::process_stat::GUARD_NAME;

pub(super) fn run(socket: UnixStream, role: KeeperRole) -> ! {
    end_with(|| {
        std::panic::set_hook(Box::new(|_| {}));
        let signals = isolate(&socket)?;
        let open_files = raise_open_files();
        Ok(KeeperLoop::new(socket, signals, role, open_files).serve())
    })
}

/// Detaches from the user's terminal, directory and files: a guard that held the user's stdout
/// would keep `devstack up | head` waiting.
fn isolate(socket: &UnixStream) -> io::Result<ChildSignals> {
    let name = std::ffi::CString::new(GUARD_NAME)?;
    process::set_process_name(&name);
    rustix::process::setsid()?;
    process::become_subreaper()?;
    detach_stdio()?;
    process::close_fds_except(socket.as_raw_fd());
    let signals = ChildSignals::new()?;
    #[expect(clippy::disallowed_methods, reason = "own process with one thread")]
    std::env::set_current_dir("/")?;
    Ok(signals)
}
