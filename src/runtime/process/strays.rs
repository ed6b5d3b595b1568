//! What to do when the guard itself is gone. Its orphans become children of the supervisor, which is the
//! next to adopt; keepers end their trees by themselves, and what a dead keeper left is ended here.

use std::time::Duration;

use super::link::Link;
use super::{platform, reap, tree};

/// How often to look.
const AGAIN: Duration = Duration::from_millis(2);
/// How often to look at most: two seconds in all. What SIGKILL does not end by then is stuck in the kernel.
const LOOKS: u32 = 1000;

/// How long the end of a process that has hung up may take.
const EVENT: Duration = Duration::from_secs(1);

/// Waits until the guard is dead and reaps it. True when it said that nothing was left.
pub(super) async fn reap_guard(guard: u32) -> bool {
    // Usually it is a matter of microseconds; the looks are for systems that give no event.
    let _ = tokio::time::timeout(EVENT, platform::ended(guard)).await;
    for _ in 0..LOOKS {
        if let Some(exit) = reap::bury(guard) {
            return exit == crate::model::Exit::Code(0);
        }
        if platform::look(guard).is_none_or(|p| p.parent != std::process::id()) {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    false
}

/// Ends what a keeper left when the guard is gone, too.
pub(super) async fn end(link: &Link, keeper: u32) {
    for _ in 0..LOOKS {
        // Before the keeper is reaped its orphans may not have been handed over.
        let dead = platform::look(keeper).is_none_or(|p| p.zombie);
        if sweep(link) == 0 && dead {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Ends everything that was adopted. True when nothing of it is left.
pub(super) async fn end_all(link: &Link) -> bool {
    for _ in 0..LOOKS {
        if sweep(link) == 0 {
            return true;
        }
        tokio::time::sleep(AGAIN).await;
    }
    false
}

/// Kills and reaps the adopted. Everything that keepers start has a session of its own, so children of
/// this process that share its session are its own affair. How many there were.
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
    // SAFETY: a number.
    unsafe { libc::getsid(pid.cast_signed()) }
}
