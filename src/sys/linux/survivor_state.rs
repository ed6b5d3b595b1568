//! What keeps a process from ending.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::SurvivorState;

/// Where cgroups are mounted: both versions, also side by side.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Finds out what keeps a process from ending, as far as the system shows it.
pub(crate) fn survivor_state(pid: u32) -> SurvivorState {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if let Some(file) = freezer(&cgroups, Path::new(CGROUPS)) {
        return SurvivorState::Frozen(file);
    }
    match super::process_list::state_letter(pid) {
        Some('D') => SurvivorState::Uninterruptible,
        Some('T' | 't') => SurvivorState::Stopped,
        letter => SurvivorState::Other(letter),
    }
}

/// Returns the file that thaws a process with these lines in `/proc/PID/cgroup`, if it is frozen: of
/// the outermost frozen group, as that freezes all below.
fn freezer(cgroups: &str, mounts: &Path) -> Option<PathBuf> {
    cgroups.lines().find_map(|line| {
        // `0::/path` is version 2, `7:freezer:/path` version 1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (roots, file): (&[&str], _) = match controllers {
            "" => (&["", "unified"], "cgroup.freeze"),
            _ if controllers.split(',').any(|one| one == "freezer") => {
                (&["freezer"], "freezer.state")
            }
            _ => return None,
        };
        roots.iter().find_map(|root| {
            let root = mounts.join(root);
            let groups = Path::new(group).ancestors().map(|group| root.join(group).join(file));
            groups.filter(|file| is_frozen(file)).last()
        })
    })
}

fn is_frozen(file: &Path) -> bool {
    let state = fs::read_to_string(file).unwrap_or_default();
    matches!(state.trim(), "1" | "FROZEN" | "FREEZING")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_frozen_group_is_found_in_both_versions() {
        let dir = tempfile::tempdir().expect("temp dir");
        let write = |file: &str, state: &str| {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().expect("it has one")).expect("writable");
            fs::write(&file, state).expect("writable");
            file
        };
        let outer = write("unified/user/cgroup.freeze", "1\n");
        write("unified/user/app/cgroup.freeze", "1\n");
        write("unified/user/app/idle/cgroup.freeze", "0\n");
        write("unified/cgroup.freeze", "0\n");
        let pure = write("two/cgroup.freeze", "1\n");
        let first = write("freezer/box/freezer.state", "FREEZING\n");
        write("freezer/open/freezer.state", "THAWED\n");
        let found = |cgroups: &str| freezer(cgroups, dir.path());
        assert_eq!(found("0::/user/app/idle\n"), Some(outer));
        assert_eq!(found("3:cpu:/\n0::/two\n"), Some(pure));
        assert_eq!(found("2:cpu,freezer:/box/inner\n0::/\n"), Some(first));
        for thawed in ["7:freezer:/open\n", "7:freezer:/\n", "0::/none\n", "1:cpu:/box\n", "x", ""]
        {
            assert_eq!(found(thawed), None, "{thawed}");
        }
    }

    #[test]
    fn the_state_of_a_process_is_read() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("our child");
        let stopped = rustix::process::WaitOptions::UNTRACED;
        rustix::process::waitpid(Some(pid), stopped).expect("our child");
        assert_eq!(survivor_state(child.id()), SurvivorState::Stopped);
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(survivor_state(child.id()), SurvivorState::Other(None));
    }
}
