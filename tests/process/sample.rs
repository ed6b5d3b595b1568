//! A tree that hides, and what to see of processes.

use std::fs;
use std::time::Duration;

use crate::lab::{Lab, Started, eventually};
use crate::pinned::Pinned;

/// Prints the pid of each of its processes, one a line: itself, a plain child, one in a session of its
/// own, two of a double fork, one with a cleared environment.
pub const TREE: &str = "
    me='echo $$; exec sleep 1000'
    sh -c \"$me\" &
    setsid sh -c \"$me\" &
    (setsid sh -c \"sh -c '$me' & $me\" &)
    env -i /usr/bin/setsid /bin/sh -c \"echo \\$\\$; exec /bin/sleep 1000\" &
    echo $$
    wait";
const TREE_SIZE: usize = 6;

/// Starts the tree and waits until all of it is there. The main process is the first.
pub async fn tree(lab: &mut Lab, script: &str) -> (Started, Vec<Pinned>) {
    let started = lab.script(script);
    let main = lab.spawned(started.run).await;
    let lines = started.heard.lines(TREE_SIZE).await;
    let mut pids: Vec<u32> = lines.iter().map(|line| line.parse().expect("a pid")).collect();
    pids.sort_by_key(|pid| *pid != main);
    assert_eq!(pids[0], main);
    for pid in &pids[1..] {
        becomes_sleep(*pid).await;
    }
    (started, pids.into_iter().map(Pinned::new).collect())
}

/// Waits until a shell has become the program it was to become.
pub async fn becomes_sleep(pid: u32) {
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).expect("it lives");
    eventually(|| name() == "sleep\n").await;
}

pub fn all_gone(pids: &[Pinned]) {
    for pinned in pids {
        assert!(pinned.ends_within(Duration::ZERO), "process {} lives", pinned.pid);
    }
}

pub fn stat(pid: u32) -> Vec<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let rest = stat.rsplit_once(')').expect("a name in brackets").1;
    rest.split_whitespace().skip(1).take(2).map(|w| w.parse().expect("a number")).collect()
}

pub fn parent_of(pid: u32) -> u32 {
    stat(pid)[0]
}

pub fn group_of(pid: u32) -> u32 {
    stat(pid)[1]
}

pub fn fds(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it is ours");
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub fn limits(pid: &str) -> String {
    let all = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it is ours");
    all.lines().find(|line| line.starts_with("Max open files")).expect("it is listed").to_owned()
}
