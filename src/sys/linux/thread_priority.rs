//! The priority of a thread.

use std::io;

/// Steps below the usual priority: about a tenth of a processor that others want, too.
const NICE: i32 = 10;

/// Lets the calling thread, and those that it starts, wait for all others that want a processor.
pub(crate) fn lower() -> io::Result<()> {
    // On Linux, no process means the calling thread.
    let now = rustix::process::getpriority_process(None)?;
    Ok(rustix::process::setpriority_process(None, now + NICE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_and_those_that_it_starts_are_slowed() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let inside = std::thread::spawn(move || {
            lower().unwrap();
            (priority(), std::thread::spawn(priority).join().unwrap())
        });
        let lowest = (before + NICE).min(19);
        assert_eq!(inside.join().unwrap(), (lowest, lowest));
        assert_eq!(priority(), before);
    }
}
