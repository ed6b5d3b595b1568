//! Children that this process did not start: orphans that it adopts as the first process of a
//! container, or for the command of `run`, and those of a shell that became devstack through `exec`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::sys::process;
use crate::sys::wait::{self, ChildPoll};

/// The children that this process started and reaps elsewhere.
#[derive(Debug, Clone)]
pub struct OwnChildren {
    guard: u32,
    /// 0 before there is one.
    command: Arc<AtomicU32>,
}

impl OwnChildren {
    /// Only the guard at first.
    pub fn new(guard: u32) -> OwnChildren {
        OwnChildren { guard, command: Arc::default() }
    }

    /// Adds the command of `run`. Must be called before anything is awaited after its start.
    pub fn add_command(&self, pid: u32) {
        self.command.store(pid, Ordering::Relaxed);
    }

    /// Reaps all other children when they exit. Ends with the guard: then keepers become children
    /// too, and their pids must not be recycled before their trees are empty.
    pub async fn reap_others(self) {
        let Ok(mut exits) = signal(SignalKind::child()) else { return };
        while self.reap_exited() && exits.recv().await.is_some() {}
    }

    /// False when the guard is gone. Reads no file unless something exited that is reaped elsewhere.
    fn reap_exited(&self) -> bool {
        let own = [self.guard, self.command.load(Ordering::Relaxed)];
        loop {
            let found = wait::poll_child();
            // After the poll: what it found is no keeper if the guard is still there.
            if wait::has_exited(self.guard) {
                return false;
            }
            match found {
                Ok(ChildPoll::Exited(pid)) if own.contains(&pid) => break,
                Ok(ChildPoll::Exited(pid)) => drop(wait::reap(pid)),
                // On an error the next exit is another chance.
                Ok(ChildPoll::AllRunning | ChildPoll::NoChildren) | Err(_) => return true,
            }
        }
        // One that is reaped elsewhere may hide others.
        for pid in process::children(std::process::id()) {
            if !own.contains(&pid) && wait::has_exited(pid) && !wait::has_exited(self.guard) {
                wait::reap(pid);
            }
        }
        true
    }
}
