//! Starts programs in one place, because a start duplicates every descriptor for a moment.

use std::io::Read;
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock};

/// Held shared by starts, and exclusively to wait until none is under way.
static STARTS: RwLock<()> = RwLock::new(());

/// Above all other descriptors of the tests, and below the usual limit of 1,024.
const ABOVE_ALL: i32 = 1_000;

/// Starts a program. Returns when it no longer has any of our descriptors.
///
/// `spawn` alone returns a little earlier: the system wakes the parent in the middle of `exec`,
/// before the descriptors are closed. They are closed in ascending order, so a pipe with a high
/// number is closed last.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let _shared = STARTS.read().unwrap_or_else(PoisonError::into_inner);
    let (mut end, begin) = std::io::pipe()?;
    let last = rustix::io::fcntl_dupfd_cloexec(&begin, ABOVE_ALL)?;
    drop(begin);
    let child = command.spawn()?;
    drop(last);
    end.read_to_end(&mut Vec::new())?;
    Ok(child)
}

/// Waits for starts of other tests: until its `exec` is done a child has a copy of every
/// descriptor, and what was closed here is still open there.
pub fn no_spawn_in_progress() {
    drop(STARTS.write().unwrap_or_else(PoisonError::into_inner));
}
