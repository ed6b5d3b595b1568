//! Children of this process that belong to the user and not to the stack: the front door, which other
//! stacks use too.

use std::sync::Mutex;

use super::process_identity::ProcessIdentity;
use crate::sync::lock_unpoisoned;

/// Children belong to the whole process.
static LEFT_ALONE: Mutex<Vec<ProcessIdentity>> = Mutex::new(Vec::new());

/// Keeps clean-ups from ending a child that was just started.
pub(crate) fn leave_alone(child: u32) {
    let mut all = lock_unpoisoned(&LEFT_ALONE);
    all.retain(ProcessIdentity::is_alive);
    all.extend(ProcessIdentity::of(child));
}

/// Whether a child is left alone.
pub(super) fn is_left_alone(pid: u32) -> bool {
    let all = lock_unpoisoned(&LEFT_ALONE);
    all.iter().any(|one| one.pid == pid && one.is_alive())
}
