use std::panic::resume_unwind;
use std::{io, thread};

/// Stack size for deeply nested texts: the parser allows 80 dotted keys in each of 80 tables and
/// recurses through them, which takes a few MiB at worst.
const DEEP_STACK: usize = 32 * 1024 * 1024;

/// Runs `compute` on a thread with that stack. Fails if the thread cannot be started.
pub(super) fn on_deep_stack<T: Send>(compute: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let room = thread::Builder::new().stack_size(DEEP_STACK);
        let computing = room.spawn_scoped(scope, compute)?;
        Ok(computing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
