//! Cleans up once the guard is gone. Its orphans become children of the supervisor, the next
//! subreaper. Keepers end their trees on their own; orphans of a dead keeper are killed here.

use std::time::Duration;

use super::left_alone::is_left_alone;
use crate::process::guard::GuardConnection;
use crate::process::process_tree;
use crate::sys::signal::session_of;
use crate::sys::{process, wait};

const RETRY_INTERVAL: Duration = Duration::from_millis(2);
/// Two seconds in all. What survives SIGKILL for longer is stuck in the kernel.
const MAX_RETRIES: u32 = 1000;

/// How long a process that has hung up may take to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until the guard has exited and reaps it. True when it reported that nothing is left.
pub(crate) async fn reap_guard(guard: u32) -> bool {
    // Usually takes microseconds; the loop below is for systems without an exit event.
    let _ = tokio::time::timeout(EXIT_TIMEOUT, process::process_exited(guard)).await;
    for _ in 0..MAX_RETRIES {
        if let Some(exit) = wait::reap(guard) {
            return exit == crate::model::ProcessExit::Code(0);
        }
        if process::process_stat(guard).is_none_or(|p| p.parent != std::process::id()) {
            return false;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    false
}

/// Kills what a dead guard left, and the orphans of this keeper, if there is one, once it is dead.
pub(crate) async fn kill_orphans_of(link: &GuardConnection, keeper: Option<u32>) {
    for _ in 0..MAX_RETRIES {
        // Until the keeper is dead, its orphans may not have been reparented.
        let is_dead = |keeper| process::process_stat(keeper).is_none_or(|p| p.zombie);
        let dead = keeper.is_none_or(is_dead);
        if kill_once(link) == 0 && dead {
            return;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Kills everything that was adopted. True when nothing of it is left.
pub(crate) async fn kill_all(link: &GuardConnection) -> bool {
    for _ in 0..MAX_RETRIES {
        if kill_once(link) == 0 {
            return true;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    false
}

/// Kills and reaps adopted orphans, and returns how many there were. Everything that keepers start
/// has a session of its own, so children in the session of this process are spared.
fn kill_once(link: &GuardConnection) -> usize {
    let own = session_of(0);
    let spared = |pid: u32| {
        pid == link.guard() || session_of(pid) == own || link.is_keeper(pid) || is_left_alone(pid)
    };
    for pid in process::children(std::process::id()) {
        if !spared(pid) {
            wait::reap(pid);
        }
    }
    process_tree::kill_children(spared)
}
