//! Starts of programs in one place, because a start borrows every descriptor for a moment.

use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock};

/// Shared by starts, alone for whoever needs that none is under way.
static STARTS: RwLock<()> = RwLock::new(());

/// Starts a program. Returns when it is executed, and has no descriptors of ours any more.
pub fn start(command: &mut Command) -> std::io::Result<Child> {
    let _shared = STARTS.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Waits for the starts of other tests: between its birth and its `exec` a child has a copy of every
/// descriptor, and what was closed here is still open there.
pub fn settled() {
    drop(STARTS.write().unwrap_or_else(PoisonError::into_inner));
}
