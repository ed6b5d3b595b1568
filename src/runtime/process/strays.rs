//! Cleans up once the guard is gone. Its orphans become children of the supervisor, the next
//! subreaper. Keepers end their trees on their own; orphans of a dead keeper are killed here.

use std::time::Duration;

use super::link::Link;
use super::{platform, reap, tree};

const AGAIN: Duration = Duration::from_millis(2);
/// Two seconds in all. What survives SIGKILL for longer is stuck in the kernel.
const LOOKS: u32 = 1000;

/// How long a process that has hung up may take to exit.
const EVENT: Duration = Duration::from_secs(1);

/// Waits until the guard has exited and reaps it. True when it reported that nothing is left.
pub(super) async fn reap_guard(guard: u32) -> bool {
    // Usually takes microseconds; the loop below is for systems without an exit event.
    let _ = tokio::time::timeout(EVENT, platform::ended(guard)).await;
    for _ in 0..LOOKS {
        if let Some(exit) = reap::bury(guard) {
            return exit == crate::model::ProcessExit::Code(0);
        }
        if platform::look(guard).is_none_or(|p| p.parent != std::process::id()) {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    false
}

/// Kills the orphans of a dead keeper when the guard is gone too.
pub(super) async fn end(link: &Link, keeper: u32) {
    for _ in 0..LOOKS {
        // Until the keeper is dead, its orphans may not have been reparented.
        let dead = platform::look(keeper).is_none_or(|p| p.zombie);
        if sweep(link) == 0 && dead {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Kills everything that was adopted. True when nothing of it is left.
pub(super) async fn end_all(link: &Link) -> bool {
    for _ in 0..LOOKS {
        if sweep(link) == 0 {
            return true;
        }
        tokio::time::sleep(AGAIN).await;
    }
    false
}

/// Kills and reaps adopted orphans, and returns how many there were. Everything that keepers start
/// has a session of its own, so children in the session of this process are spared.
pub(super) fn sweep(link: &Link) -> usize {
    let own = session(0);
    let spared = |pid: u32| pid == link.guard() || session(pid) == own || link.is_keeper(pid);
    for pid in platform::children(std::process::id()) {
        if !spared(pid) {
            reap::bury(pid);
        }
    }
    tree::kill_children(spared)
}

fn session(pid: u32) -> i32 {
    // SAFETY: takes a number only.
    unsafe { libc::getsid(pid.cast_signed()) }
}
