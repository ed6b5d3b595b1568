//! CPU time and memory of the trees of runs, measured on request by walking only those trees.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::run_handle::{OrphanIndex, RunPids};
use crate::process::process_tree::MAX_TREE;
use crate::sys::process;
use crate::sys::process::ChildIndex;
use crate::sys::process_stat::ProcessUsage;

/// What the processes of a run have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeUsage {
    /// CPU time since the run began, including that of reaped processes. Time of processes that
    /// were never waited for is lost, so it may shrink.
    pub cpu: Duration,
    /// Resident memory now, in bytes. Shared memory counts for each process.
    pub memory: u64,
}

/// The processes of a run, to measure. Does not keep or control the run.
#[derive(Debug, Clone)]
pub struct RunTree {
    pids: Arc<RunPids>,
    /// The processes of its container.
    container: Vec<u32>,
}

impl RunTree {
    /// Returns the tree of a run that has no process yet.
    #[cfg(test)]
    pub fn none() -> RunTree {
        RunTree::new(Arc::default())
    }

    pub(super) fn new(pids: Arc<RunPids>) -> RunTree {
        RunTree { pids, container: Vec::new() }
    }

    /// Adds the processes of the run's container, which the engine started.
    pub fn and(self, container: Vec<u32>) -> RunTree {
        RunTree { container, ..self }
    }

    /// Measures several trees. `None` for one without a process, or that the system does not show.
    pub fn spent(trees: &[RunTree]) -> Vec<Option<TreeUsage>> {
        let mut kinship = ChildIndex::default();
        let mut orphans = OrphanIndex::default();
        trees
            .iter()
            .map(|tree| {
                let mut roots = tree.pids.roots(&mut orphans);
                roots.extend(&tree.container);
                usage_of(&roots, &mut kinship)
            })
            .collect()
    }
}

/// Measures processes with what is below them.
fn usage_of(roots: &[u32], kinship: &mut ChildIndex) -> Option<TreeUsage> {
    let mut spent = TreeUsage::default();
    let mut tree = BTreeSet::new();
    let mut next: Vec<(u32, Option<u32>)> = roots.iter().map(|root| (*root, None)).collect();
    while let Some((pid, parent)) = next.pop() {
        if tree.len() >= MAX_TREE || tree.contains(&pid) {
            continue;
        }
        // The pid may have been recycled.
        let is_ours = |load: &ProcessUsage| parent.is_none_or(|parent| load.parent == parent);
        let Some(load) = process::process_usage(pid).filter(is_ours) else { continue };
        spent.cpu += load.cpu + load.reaped;
        spent.memory += load.memory;
        tree.insert(pid);
        next.extend(
            kinship.children(pid, load.threads).into_iter().map(|child| (child, Some(pid))),
        );
    }
    (!tree.is_empty()).then_some(spent)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::Stdio;

    use super::*;

    #[test]
    fn children_are_found_and_strangers_are_not() {
        let mut child = std::process::Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat exists");
        // It echoes once it is set up: right after `exec` a program has no memory yet.
        child.stdin.as_mut().expect("piped").write_all(b".").expect("cat reads");
        child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("cat echoes");
        let me = std::process::id();
        let own = process::process_usage(me).expect("this process is alive");
        assert!(own.memory > 100_000 && own.threads >= 1, "{own:?}");
        let load = process::process_usage(child.id()).expect("is alive");
        assert_eq!(load.parent, me);
        let mut kinship = ChildIndex::default();
        assert!(kinship.children(me, own.threads).contains(&child.id()));
        let spent = usage_of(&[me], &mut kinship).expect("is alive");
        assert!(spent.memory >= load.memory + own.memory / 2, "{spent:?}");
        let spent = usage_of(&[child.id()], &mut kinship).expect("is alive");
        assert!(spent.memory > 0 && spent.memory < own.memory, "{spent:?}");
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(process::process_usage(child.id()), None);
    }
}
