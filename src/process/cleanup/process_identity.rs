use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::sys::process;

/// Identifies one process for all time: a pid may be recycled, but not with the same start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    pub pid: u32,
    /// Start time, in the system's own unit since boot.
    pub born: u64,
}

impl ProcessIdentity {
    pub fn of(pid: u32) -> Option<ProcessIdentity> {
        let born = process::process_stat(pid).filter(|process| !process.zombie)?.born;
        Some(ProcessIdentity { pid, born })
    }

    pub fn is_alive(&self) -> bool {
        ProcessIdentity::of(self.pid).as_ref() == Some(self)
    }
}

/// Waits until all of these are gone, at most until this time. Blocks.
pub(super) fn wait_for_exits<'a>(
    all: impl Iterator<Item = &'a ProcessIdentity> + Clone,
    until: Instant,
) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let alive: Vec<u32> = all.clone().filter(|one| one.is_alive()).map(|one| one.pid).collect();
        if left.is_zero() || alive.is_empty() {
            return;
        }
        process::wait_any_exit(&alive, left);
    }
}
