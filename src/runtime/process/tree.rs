use std::collections::BTreeSet;

use super::platform;

/// The most processes of one tree that are looked at in one walk: a bound for hostile trees.
pub(super) const MAX_WALK: usize = 10_000;

/// The live descendants of a process, parents before children.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut seen = BTreeSet::from([root]);
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        for child in platform::children(pid) {
            if found.len() < MAX_WALK && seen.insert(child) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

/// The process group that this process is in. 0 when it is the group of a process that cannot be seen from here,
/// as for the first process of a container.
pub fn own_group() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::getpgrp() }
}

/// Ends the direct children of this process for which `spare` does not hold, each with its group, and
/// says how many there were. Free of races: an unreaped child keeps its number, and a group that one
/// of them is in has no strangers, because every service starts a session of its own.
pub(super) fn kill_children(spare: impl Fn(u32) -> bool) -> usize {
    let own_group = own_group();
    let children: Vec<u32> =
        platform::children(std::process::id()).into_iter().filter(|pid| !spare(*pid)).collect();
    for pid in &children {
        let pid = pid.cast_signed();
        // SAFETY: numbers only; errors mean that it is gone.
        unsafe {
            let group = libc::getpgid(pid);
            if group > 1 && group != own_group {
                libc::kill(-group, libc::SIGKILL);
            }
            libc::kill(pid, libc::SIGKILL);
        }
    }
    children.len()
}

/// Asks the whole tree below this process, or what `choose` picks of it, to end: the signal, then CONT
/// for what was stopped. Where processes cannot be pinned, only children of this process are asked: unreaped they keep
/// their numbers. For a process of one thread.
pub(super) fn signal_tree(signal: i32, choose: impl Fn(&super::proc::Proc) -> bool) {
    let me = std::process::id();
    let found = descendants(me);
    let tree: BTreeSet<u32> = found.iter().copied().chain([me]).collect();
    let pins = platform::pins();
    for pid in found {
        for signal in [signal, libc::SIGCONT] {
            if pins {
                platform::signal_checked(pid, signal, |p| tree.contains(&p.parent) && choose(p));
            } else if platform::look(pid).is_some_and(|p| p.parent == me && choose(&p)) {
                // SAFETY: numbers only; it is our child.
                unsafe { libc::kill(pid.cast_signed(), signal) };
            }
        }
    }
}
