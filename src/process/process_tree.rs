use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::{Survivor, SurvivorState};
use crate::sys::{process, signal};

/// The most processes in one walk: a bound for hostile trees.
pub(super) const MAX_TREE: usize = 10_000;

/// How long to stop the processes of a tree that grows meanwhile. Others wait for as long.
const FREEZE_MAX: Duration = Duration::from_secs(1);

/// Lists processes with their live descendants, parents before children.
pub(super) fn with_descendants(roots: &[u32]) -> Vec<u32> {
    let mut next: Vec<u32> = roots.iter().rev().copied().collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(pid) = next.pop() {
        if found.len() < MAX_TREE && seen.insert(pid) {
            found.push(pid);
            next.extend(process::children(pid));
        }
    }
    found
}

/// How much of a command line is shown.
const COMMAND_LEN: usize = 40;

/// Lists what is alive in a tree that was killed, and the helpers that should have killed it and
/// cannot: the guard, and the keeper, which is then the parent of the main process.
pub(super) fn survivors(tree: &[u32], guard: u32) -> Vec<Survivor> {
    let living = |pid: u32| process::process_stat(pid).filter(|stat| !stat.zombie);
    let parent = tree.first().and_then(|main| process::process_stat(*main)).map(|main| main.parent);
    let helpers = BTreeSet::from([guard, parent.unwrap_or(guard)]);
    let helpers = helpers.into_iter().filter_map(|pid| {
        let name = living(pid)?.name;
        match process::survivor_state(pid) {
            state @ (SurvivorState::Stopped | SurvivorState::Frozen(_)) => {
                Some(Survivor { pid, command: name, state })
            }
            SurvivorState::Uninterruptible | SurvivorState::Other(_) => None,
        }
    });
    let tree = tree.iter().filter_map(|pid| {
        let command = match process::command_line_of(*pid).join(" ") {
            empty if empty.is_empty() => living(*pid)?.name,
            words => living(*pid).map(|_| words)?,
        };
        let command = command.chars().take(COMMAND_LEN);
        let command = command.map(|letter| if letter.is_control() { ' ' } else { letter });
        let command = command.collect();
        Some(Survivor { pid: *pid, command, state: process::survivor_state(*pid) })
    });
    // A helper first: it can be helped.
    helpers.chain(tree).collect()
}

/// Kills children of this process, each with its group. Free of races: an unreaped child keeps its
/// pid, and its group has no strangers because every service has a session of its own.
pub(super) fn kill_with_groups(children: &[u32]) {
    let own_group = signal::own_group();
    for &pid in children {
        let group = signal::group_of(pid);
        if group > 1 && group != own_group {
            signal::kill_group(group.cast_unsigned(), libc::SIGKILL);
        }
        signal::kill(pid, libc::SIGKILL);
    }
}

/// Kills the children of this process, except those that `spare` selects, each with its group, and
/// returns how many there were.
pub(super) fn kill_children(spare: impl Fn(u32) -> bool) -> usize {
    let children: Vec<u32> =
        process::children(std::process::id()).into_iter().filter(|pid| !spare(*pid)).collect();
    kill_with_groups(&children);
    children.len()
}

/// Stops these children of this process and all that is below them, in rounds until nothing new is
/// found, and then kills it: what forks faster than it is killed cannot go on.
pub(super) fn freeze_and_kill(roots: &[u32]) {
    let until = Instant::now() + FREEZE_MAX;
    let mut frozen = BTreeSet::new();
    let is_ours = |p: &crate::sys::process_stat::ProcessStat, tree: &BTreeSet<u32>| {
        p.parent == std::process::id() || tree.contains(&p.parent)
    };
    loop {
        let found: BTreeSet<u32> = with_descendants(roots).into_iter().collect();
        let new: Vec<u32> = found.difference(&frozen).copied().collect();
        for &pid in &new {
            process::signal_checked(pid, libc::SIGSTOP, |p| is_ours(p, &found));
        }
        frozen.extend(&new);
        if new.is_empty() || Instant::now() >= until {
            break;
        }
    }
    for &pid in &frozen {
        process::signal_checked(pid, libc::SIGKILL, |p| is_ours(p, &frozen));
    }
}

/// Sends a signal, then CONT, to those of these children of this process and their descendants that
/// `choose` selects. Where processes cannot be pinned, only to children, which keep their pids until
/// reaped. For a process with one thread.
pub(super) fn signal_trees(
    roots: &[u32],
    signal: i32,
    choose: impl Fn(&crate::sys::process_stat::ProcessStat) -> bool,
) {
    let me = std::process::id();
    let found = with_descendants(roots);
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn survivors_are_what_lives_and_helpers_that_do_not_work() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
        let mut keeper = shell.spawn().expect("sh exists");
        let mut printed = [0; 2];
        keeper.stdout.as_mut().expect("piped").read_exact(&mut printed).expect("it prints");
        let [main] = process::children(keeper.id())[..] else { panic!("it has one child") };
        let own = std::process::id();
        let of = |pid: u32| move |found: &Survivor| found.pid == pid;
        // A helper that works is not to blame.
        let left = survivors(&[main, u32::MAX], own);
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left.iter().any(of(main)));
        signal::kill(keeper.id(), libc::SIGSTOP);
        let pid = rustix::process::Pid::from_child(&keeper);
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED)
            .expect("our child");
        let left = survivors(&[main], own);
        assert_eq!((left.len(), &left[0].state), (2, &SurvivorState::Stopped), "{left:?}");
        assert!(of(keeper.id())(&left[0]) && of(main)(&left[1]));
        for pid in [main, keeper.id()] {
            signal::kill(pid, libc::SIGKILL);
        }
        keeper.wait().expect("our child");
        assert_eq!(survivors(&[keeper.id()], own), []);
    }
}
