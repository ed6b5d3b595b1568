use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::OrphanProcess;

/// `ps` shows the environment of this user's processes after their commands; it does not show
/// working directories.
pub fn alive(token: &str, _dir: &Path) -> Vec<OrphanProcess> {
    let carries = |(pid, rest): (u32, String)| {
        let found = rest.split(' ').any(|word| word == token);
        found.then_some(OrphanProcess { pid, command: rest })
    };
    list(&["-axEww", "-o", "pid=,command="]).into_iter().filter_map(carries).collect()
}

pub fn kill(pid: u32, token: &str, dir: &Path) {
    let still = alive(token, dir).iter().any(|leftover| leftover.pid == pid);
    if let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| still) {
        let _ = kill_process(id, Signal::KILL);
    }
}

pub fn zombies(parents: &[u32]) -> Vec<u32> {
    let dead_child = |(pid, rest): (u32, String)| {
        let (parent, state) = rest.split_once(' ')?;
        let ours = parents.contains(&parent.parse().ok()?);
        (ours && state.trim_start().starts_with('Z')).then_some(pid)
    };
    list(&["-ax", "-o", "pid=,ppid=,stat="]).into_iter().filter_map(dead_child).collect()
}

/// The lines of `ps`, each as its first number and the rest.
fn list(args: &[&str]) -> Vec<(u32, String)> {
    let output = Command::new("ps").args(args).output().expect("ps is part of the system");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let split = |line: &str| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        Some((pid.parse().ok()?, rest.trim_start().to_owned()))
    };
    text.lines().filter_map(split).collect()
}
