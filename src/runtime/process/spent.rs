//! What the trees of runs use of the machine: looked at when somebody asks, along the trees and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::leash::Pids;
use super::platform::{self, Kinship};
use super::tree::MAX_WALK;

/// What the processes of a run have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Time on processors since the run began, also of processes that have ended and were waited for. Ends that nobody
    /// waited for are forgotten, so that it may shrink.
    pub cpu: Duration,
    /// Resident memory now, in bytes. What processes share counts for each of them.
    pub memory: u64,
}

/// What the system says that one process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// The parent.
    pub parent: u32,
    /// By itself.
    pub cpu: Duration,
    /// By those of its children that it has waited for, and theirs.
    pub reaped: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
    /// How many threads it has, at least 1.
    pub threads: u64,
}

/// The tree of a run, for whoever only looks: without a hold on the run.
#[derive(Debug, Clone)]
pub struct Tree(pub(super) Arc<Pids>);

impl Tree {
    /// One that has no process.
    #[cfg(test)]
    pub fn none() -> Tree {
        Tree(Arc::default())
    }

    /// What several trees have used; `None`: it has no process yet, or none any more, or the system does not say.
    pub fn spent(trees: &[Tree]) -> Vec<Option<Spent>> {
        let mut kinship = Kinship::default();
        let keepers = trees.iter().map(|Tree(pids)| pids.keeper.load(Ordering::Relaxed));
        keepers.map(|keeper| if keeper == 0 { None } else { below(keeper, &mut kinship) }).collect()
    }
}

/// What is below a keeper. What the keeper itself uses is devstack's, but not what it reaped.
fn below(keeper: u32, kinship: &mut Kinship) -> Option<Spent> {
    let load = platform::load(keeper)?;
    let mut spent = Spent { cpu: load.reaped, memory: 0 };
    let mut tree = BTreeSet::from([keeper]);
    let mut parents = vec![(keeper, load.threads)];
    while let Some((parent, threads)) = parents.pop() {
        for child in kinship.children(parent, threads) {
            if tree.len() > MAX_WALK || tree.contains(&child) {
                continue;
            }
            // The number may be a stranger's by now. An orphan has gone to the keeper meanwhile.
            let Some(load) = platform::load(child).filter(|load| tree.contains(&load.parent))
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

    /// The test program is nobody's keeper, but has children all the same.
    #[test]
    fn children_are_found_and_strangers_are_not() {
        let mut child = std::process::Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat exists");
        // It answers when it is set up: right after `exec` a program has no memory yet.
        child.stdin.as_mut().expect("it is piped").write_all(b".").expect("it reads");
        child.stdout.as_mut().expect("it is piped").read_exact(&mut [0]).expect("it answers");
        let me = std::process::id();
        let own = platform::load(me).expect("we live");
        assert!(own.memory > 100_000 && own.threads >= 1, "{own:?}");
        let load = platform::load(child.id()).expect("it lives");
        assert_eq!(load.parent, me);
        let mut kinship = Kinship::default();
        assert!(kinship.children(me, own.threads).contains(&child.id()));
        let spent = below(me, &mut kinship).expect("it has a child");
        assert!(spent.memory >= load.memory && spent.memory > 0, "{spent:?}");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        assert_eq!(platform::load(child.id()), None);
    }
}
