use std::collections::BTreeSet;

use crate::sys::{process, signal};

/// The most processes in one walk: a bound for hostile trees.
pub(super) const MAX_TREE: usize = 10_000;

/// Lists the live descendants of a process, parents before children.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut seen = BTreeSet::from([root]);
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        for child in process::children(pid) {
            if found.len() < MAX_TREE && seen.insert(child) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

/// Kills the children of this process, except those that `spare` selects, each with its group, and
/// returns how many there were. Free of races: an unreaped child keeps its pid, and its group has
/// no strangers because every service has a session of its own.
pub(super) fn kill_children(spare: impl Fn(u32) -> bool) -> usize {
    let own_group = signal::own_group();
    let children: Vec<u32> =
        process::children(std::process::id()).into_iter().filter(|pid| !spare(*pid)).collect();
    for &pid in &children {
        let group = signal::group_of(pid);
        if group > 1 && group != own_group {
            signal::kill_group(group.cast_unsigned(), libc::SIGKILL);
        }
        signal::kill(pid, libc::SIGKILL);
    }
    children.len()
}

/// Sends a signal, then CONT, to the descendants that `choose` selects. Where processes cannot be
/// pinned, only to children, which keep their pids until reaped. For a process with one thread.
pub(super) fn signal_descendants(
    signal: i32,
    choose: impl Fn(&crate::sys::process_stat::ProcessStat) -> bool,
) {
    let me = std::process::id();
    let found = descendants(me);
    let tree: BTreeSet<u32> = found.iter().copied().chain([me]).collect();
    let pins = process::has_pidfd();
    for pid in found {
        for signal in [signal, libc::SIGCONT] {
            if pins {
                process::signal_checked(pid, signal, |p| tree.contains(&p.parent) && choose(p));
            } else if process::process_stat(pid).is_some_and(|p| p.parent == me && choose(&p)) {
                crate::sys::signal::kill(pid, signal);
            }
        }
    }
}
