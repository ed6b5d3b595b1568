use std::io;
use std::panic::resume_unwind;
use std::thread;

/// The stack for texts that nest deeply: the parser allows 80 dotted keys within each of 80 tables and
/// recurses through them, which takes a few MiB at worst.
const DEEP_STACK: usize = 32 * 1024 * 1024;

/// Computes on a stack of that size, and is over when this returns. Fails when the system has no room for it.
pub(super) fn on_deep_stack<T: Send>(compute: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let room = thread::Builder::new().stack_size(DEEP_STACK);
        let computing = room.spawn_scoped(scope, compute)?;
        Ok(computing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
