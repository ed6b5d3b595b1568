use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::OrphanProcess;

pub fn alive(token: &str, dir: &Path) -> Vec<OrphanProcess> {
    let found = pids().into_iter().filter(|pid| belongs(*pid, token, dir));
    found.map(|pid| OrphanProcess { pid, command: command(pid) }).collect()
}

/// The pidfd pins the process; its membership is then checked again, so that a reused pid is left
/// alone.
pub fn kill(pid: u32, token: &str, dir: &Path) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(pinned) = pidfd_open(id, PidfdFlags::empty())
        && belongs(pid, token, dir)
    {
        let _ = pidfd_send_signal(pinned, Signal::KILL);
    }
}

pub fn zombies(parents: &[u32]) -> Vec<u32> {
    let dead_child = |pid: &u32| {
        state(*pid).is_some_and(|(state, parent)| state == 'Z' && parents.contains(&parent))
    };
    pids().into_iter().filter(dead_child).collect()
}

fn belongs(pid: u32, token: &str, dir: &Path) -> bool {
    // A zombie has neither environment nor directory.
    let environment = fs::read(of(pid, "environ")).unwrap_or_default();
    let carries = environment.split(|byte| *byte == 0).any(|entry| entry == token.as_bytes());
    carries || fs::read_link(of(pid, "cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// State letter and parent pid.
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(of(pid, "stat")).ok()?;
    // The name in parentheses may itself contain parentheses.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn command(pid: u32) -> String {
    let bytes = fs::read(of(pid, "cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ")
}

fn of(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}
