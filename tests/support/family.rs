use std::fs;

use super::{RunningProgram, Signal, kill_processes, signal_all};

/// Returns the children of a process with this name, sorted by pid, including unreaped zombies.
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

/// Returns the guard of a devstack.
#[track_caller]
pub fn guard(up: &RunningProgram) -> u32 {
    let found = children(up.pid(), "ds-guard");
    let [guard] = found[..] else { panic!("one guard, not {found:?}") };
    guard
}

/// Returns the keepers of a devstack: one per run.
#[track_caller]
pub fn keepers(up: &RunningProgram) -> Vec<u32> {
    children(guard(up), "ds-keep")
}

/// Kills a devstack, its guard and its keepers at the same moment, so that none of them can react
/// to the end of another.
#[track_caller]
pub fn kill_all_at_once(up: &RunningProgram) {
    let guard = guard(up);
    up.stop();
    signal_all(&[guard], Signal::STOP);
    let keepers = children(guard, "ds-keep");
    signal_all(&keepers, Signal::STOP);
    // Bottom-up: a stopped process group continues when its parent exits.
    kill_processes(&keepers);
    kill_processes(&[guard]);
    up.kill9();
}
