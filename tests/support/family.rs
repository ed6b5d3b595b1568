use std::fs;

use rustix::process::{Pid, kill_process};

use super::{Running, Signal};

/// The children of a process with this name, in order of their pids; dead ones that nobody has reaped as well.
pub fn children(parent: u32, name: &str) -> Vec<u32> {
    let child = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let named = head.split_once('(')?.1 == name;
        let above: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (named && above == parent).then_some(pid)
    };
    let mut found: Vec<u32> =
        fs::read_dir("/proc").expect("/proc").flatten().filter_map(child).collect();
    found.sort();
    found
}

/// The guard of a devstack.
#[track_caller]
pub fn guard(up: &Running) -> u32 {
    let found = children(up.pid(), "ds-guard");
    let [guard] = found[..] else { panic!("one guard, not {found:?}") };
    guard
}

/// SIGKILL to processes that are known to live: the parent of each is ours and has not reaped it.
pub fn kill(pids: &[u32]) {
    signal_all(pids, Signal::KILL);
}

/// A signal to processes that are known to live.
pub fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids {
        let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
        kill_process(pid, signal).expect("it lives");
    }
}

/// The keepers of a devstack: one a run.
#[track_caller]
pub fn keepers(up: &Running) -> Vec<u32> {
    children(guard(up), "ds-keep")
}

/// SIGKILL to a devstack, its guard and its keepers in one moment, so that none of them can do anything about
/// the end of another.
#[track_caller]
pub fn kill_all_at_once(up: &Running) {
    let guard = guard(up);
    up.stop();
    signal_all(&[guard], Signal::STOP);
    let keepers = children(guard, "ds-keep");
    signal_all(&keepers, Signal::STOP);
    // From below: the end of its parent makes a stopped group go on.
    kill(&keepers);
    kill(&[guard]);
    up.kill9();
}
