//! Forks this process, and what a forked process does to itself.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::process;

/// How long a thread that has been joined may still be listed.
const JOINED_THREAD_LINGERS: Duration = Duration::from_millis(200);

/// The side of a fork that this process is.
pub(crate) enum ForkResult {
    /// The old process; the pid of its child.
    Parent(u32),
    Child,
}

static IDLE_THREADS: AtomicBool = AtomicBool::new(false);

/// Lets this process fork although it has other threads, as in a test whose harness waits for it.
///
/// # Safety
/// While this process forks, its other threads hold no lock: they only wait.
pub unsafe fn allow_idle_threads() {
    IDLE_THREADS.store(true, Ordering::Relaxed);
}

/// Forks. Refused while this process has several threads: their locks would stay locked in the
/// child for ever.
pub(crate) fn fork() -> io::Result<ForkResult> {
    let limit = Instant::now() + JOINED_THREAD_LINGERS;
    // Without `/proc` the threads cannot be counted: `up` refuses to start anything there anyway.
    while !IDLE_THREADS.load(Ordering::Relaxed) && process::own_threads().unwrap_or(1) > 1 {
        if Instant::now() >= limit {
            return Err(io::Error::other("a process with several threads cannot be forked"));
        }
        std::thread::yield_now();
    }
    // SAFETY: this is the only thread that does anything, so the child may do anything too.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(ForkResult::Child),
        pid => Ok(ForkResult::Parent(pid.cast_unsigned())),
    }
}

/// Makes stdin, stdout and stderr of this process /dev/null.
pub(crate) fn detach_stdio() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}

/// Ends a forked process without running the exit handlers of its parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process, so nothing is used afterwards.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The thread that waits is the second one.
        let refused = std::thread::scope(|scope| {
            let forked = scope.spawn(|| match fork() {
                Ok(ForkResult::Child) => exit_now(1),
                Ok(ForkResult::Parent(_)) => None,
                Err(error) => Some(error.to_string()),
            });
            forked.join().expect("no panic")
        });
        assert_eq!(refused.as_deref(), Some("a process with several threads cannot be forked"));
    }
}
