use std::fs;
use std::path::Path;

use super::{OrphanProcess, RunningProgram, Signal, TestProject, kill_processes, signal_all};

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

/// Kills a devstack and its guard at the same moment, so that neither can react to the end of the
/// other. The kernel kills the main processes and the groups that the guard knows.
#[track_caller]
pub fn kill_all_at_once(up: &RunningProgram) {
    let guard = guard(up);
    up.stop();
    signal_all(&[guard], Signal::STOP);
    kill_processes(&[guard]);
    up.kill9();
}

/// Like `kill_all_at_once`, but first lets services that wait for the file `go` in this directory
/// start processes that the guard does not see any more, until these texts are shown.
#[track_caller]
pub fn leave_behind(up: &RunningProgram, project: &TestProject, dir: &Path, shown: &[&str]) {
    signal_all(&[guard(up)], Signal::STOP);
    project.write(dir.join("go"), "");
    for text in shown {
        up.wait_for(text);
    }
    kill_all_at_once(up);
}

/// The processes of the fixture that are alive.
pub fn misbehaving(project: &TestProject) -> Vec<OrphanProcess> {
    let is_fixture = |one: &OrphanProcess| {
        // A shell has its name among its arguments.
        one.command.split(' ').next().is_some_and(|program| program.ends_with("misbehave"))
    };
    project.alive().into_iter().filter(is_fixture).collect()
}
