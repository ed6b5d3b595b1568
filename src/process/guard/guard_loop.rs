//! The guard process: keeps the runs of the stack, and ends them once the supervisor is gone.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::process::keeper::{KeeperLoop, KeeperRole, end_with};
use crate::sys::fork::{ForkResult, detach_stdio, exit_now, fork};
use crate::sys::open_files::raise_open_files;
use crate::sys::process::ChildSignals;
use crate::sys::process_stat::GUARD_NAME;
use crate::sys::wait::{has_exited, poll_within, wait_and_reap};
use crate::sys::{process, signal};

/// How often to look whether the last act is over.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long the last act may take: engines of containers need a second, a stuck one for ever.
const LAST_ACT_LIMIT: Duration = Duration::from_secs(30);

/// What the guard does once everything is over, with what the supervisor told it before.
pub type LastAct = fn(&[u8]);

pub(super) fn run(socket: UnixStream, role: KeeperRole, last_act: LastAct) -> ! {
    end_with(|| {
        std::panic::set_hook(Box::new(|_| {}));
        let signals = isolate(&socket)?;
        let open_files = raise_open_files();
        let mut keeper = KeeperLoop::new(socket, signals, role, open_files);
        let is_empty = keeper.serve();
        if !keeper.last_act().is_empty() {
            perform(last_act, keeper.last_act());
        }
        Ok(is_empty)
    })
}

/// Performs the last act in a process of its own: it uses what a guard must not depend on.
fn perform(last_act: LastAct, data: &[u8]) {
    match fork() {
        Ok(ForkResult::Child) => {
            // The guard sees the exit either way.
            let _ = std::panic::catch_unwind(|| last_act(data));
            exit_now(0)
        }
        Ok(ForkResult::Parent(child)) => {
            let limit = Instant::now() + LAST_ACT_LIMIT;
            while !has_exited(child) {
                let left = limit.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    signal::kill(child, libc::SIGKILL);
                }
                poll_within(&mut [], Some(left.clamp(Duration::from_millis(1), LOOK_AGAIN)));
            }
            wait_and_reap(child);
        }
        // Then the next devstack in this directory does it.
        Err(_) => {}
    }
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
