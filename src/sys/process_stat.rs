use std::collections::BTreeSet;
use std::time::Duration;

use super::process::process_stat;
use super::run_mark;

/// What the system reports of one process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Short name, at most 15 bytes on Linux and 31 on macOS.
    pub name: String,
    pub parent: u32,
    pub group: u32,
    /// Start time, in the system's own unit since boot.
    pub born: u64,
    /// Exited but not reaped.
    pub zombie: bool,
}

/// What the system reports that one process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    pub parent: u32,
    /// Of the process itself.
    pub cpu: Duration,
    /// Of the children it has waited for, and of theirs.
    pub reaped: Duration,
    pub memory: u64,
    /// At least 1.
    pub threads: u64,
}

/// Bounds the walk: real nesting is never deeper, and a race could produce a loop.
const MAX_DEPTH: usize = 64;

/// Returns the ancestors of `pid`, nearest first, as far as they are visible.
pub(crate) fn ancestors(pid: u32) -> impl Iterator<Item = (u32, ProcessStat)> {
    let read = |pid: u32| Some((pid, process_stat(pid)?));
    let first = process_stat(pid).and_then(|process| read(process.parent));
    std::iter::successors(first, move |(_, process)| read(process.parent)).take(MAX_DEPTH)
}

/// What `ps` shows as the name of a guard, the parent of services.
pub(crate) const GUARD_NAME: &str = "ds-guard";

/// Whether a process is of the same run as this main process: it carries the same mark, or is below
/// the same keeper.
pub(crate) fn is_of_run(pid: u32, main: u32) -> bool {
    if let Some(mark) = run_mark::of(main) {
        return run_mark::of(pid) == Some(mark);
    }
    let keeper = ancestors(main).next().filter(|(_, above)| above.name != GUARD_NAME);
    keeper.is_some_and(|(keeper, _)| ancestors(pid).any(|(above, _)| above == keeper))
}

/// Returns the pids of this process and its ancestors.
pub fn own_ancestry() -> BTreeSet<u32> {
    let me = std::process::id();
    ancestors(me).map(|(pid, _)| pid).chain([me, std::os::unix::process::parent_id()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_up_from_the_parent() {
        let me = std::process::id();
        let parent = std::os::unix::process::parent_id();
        assert_eq!(ancestors(me).next().expect("has a parent").0, parent);
        let line = own_ancestry();
        assert!(line.contains(&me) && line.contains(&parent));
        assert!(ancestors(u32::MAX).next().is_none());
    }
}
