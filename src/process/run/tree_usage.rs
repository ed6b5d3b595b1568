//! CPU time and memory of the trees of runs, measured on request by walking only those trees.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::run_handle::RunPids;
use crate::process::process_tree::MAX_TREE;
use crate::sys::process;
use crate::sys::process::ChildIndex;

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
pub struct RunTree(pub(crate) Arc<RunPids>);

impl RunTree {
    /// Returns the tree of a run that has no process yet.
    #[cfg(test)]
    pub fn none() -> RunTree {
        RunTree(Arc::default())
    }

    /// Measures several trees. `None` for one without a process, or that the system does not show.
    pub fn spent(trees: &[RunTree]) -> Vec<Option<TreeUsage>> {
        let mut kinship = ChildIndex::default();
        let keepers = trees.iter().map(|RunTree(pids)| pids.keeper.load(Ordering::Relaxed));
        keepers
            .map(|keeper| if keeper == 0 { None } else { usage_below(keeper, &mut kinship) })
            .collect()
    }
}

/// Measures what is below a keeper. Of the keeper's own usage, only what it reaped counts.
fn usage_below(keeper: u32, kinship: &mut ChildIndex) -> Option<TreeUsage> {
    let load = process::process_usage(keeper)?;
    let mut spent = TreeUsage { cpu: load.reaped, memory: 0 };
    let mut tree = BTreeSet::from([keeper]);
    let mut parents = vec![(keeper, load.threads)];
    while let Some((parent, threads)) = parents.pop() {
        for child in kinship.children(parent, threads) {
            if tree.len() > MAX_TREE || tree.contains(&child) {
                continue;
            }
            // The pid may have been recycled. An orphan is now a child of the keeper.
            let Some(load) =
                process::process_usage(child).filter(|load| tree.contains(&load.parent))
            else {
                continue;
            };
            spent.cpu += load.cpu + load.reaped;
            spent.memory += load.memory;
            tree.insert(child);
            parents.push((child, load.threads));
        }
    }
    (tree.len() > 1).then_some(spent)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::Stdio;

    use super::*;

    /// The test program is not a keeper but has children like one.
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
        let spent = usage_below(me, &mut kinship).expect("has a child");
        assert!(spent.memory >= load.memory && spent.memory > 0, "{spent:?}");
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(process::process_usage(child.id()), None);
    }
}
