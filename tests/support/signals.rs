use rustix::process::{Pid, kill_process};

use super::Signal;

/// Sends SIGKILL to processes known to be alive: each has a parent of ours that has not reaped it.
pub fn kill_processes(pids: &[u32]) {
    signal_all(pids, Signal::KILL);
}

/// Sends a signal to processes known to be alive.
pub fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids {
        let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
        kill_process(pid, signal).expect("it lives");
    }
}
