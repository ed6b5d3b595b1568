//! The control groups of a container, from `/proc/PID/cgroup` of its first process.

use std::path::PathBuf;

/// Where control groups are mounted, of both versions and with both at once.
const MOUNTED: &str = "/sys/fs/cgroup";

/// Whether a process whose control groups these are belongs to a container. Of another machine, such
/// as that of Docker Desktop, the same pid is any process here.
pub fn is_process_of(control_groups: &str, container: &str) -> bool {
    !container.is_empty() && control_groups.contains(container)
}

/// Returns the directories that a container may have as control groups.
pub fn group_dirs(control_groups: &str, container: &str) -> Vec<PathBuf> {
    let own = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        // Without its own group, it may be in that of its engine.
        (path.starts_with('/') && path.contains(container)).then(|| {
            let places: &[&str] = match controllers.strip_prefix("name=").unwrap_or(controllers) {
                "" => &["", "unified"],
                controller => &[controller],
            };
            let mounted = |place: &&str| PathBuf::from(MOUNTED).join(place).join(&path[1..]);
            places.iter().map(mounted).collect::<Vec<_>>()
        })
    };
    control_groups.lines().filter(|_| !container.is_empty()).filter_map(own).flatten().collect()
}

/// The file with all processes of a control group, also those that commands started inside: with
/// Docker, these are no children of a container's first one.
pub const MEMBERS: &str = "cgroup.procs";

/// The files of a control group that count what was killed for its memory and name its limit, with
/// either version.
pub const MEMORY_FILES: [[&str; 2]; 2] =
    [["memory.events", "memory.max"], ["memory.oom_control", "memory.limit_in_bytes"]];

/// What no limit is above: without one, version 1 has a number near this.
const NO_LIMIT: u64 = 1 << 62;

/// Whether the kernel killed a process of a control group because it used too much memory.
pub fn counts_memory_kill(counts: &str) -> bool {
    let number = counts.lines().find_map(|line| line.strip_prefix("oom_kill "));
    number.is_some_and(|number| number.trim() != "0")
}

/// Reads how much memory a control group may use, in bytes. `None`: as much as there is.
pub fn memory_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_the_container_that_its_control_groups_name() {
        assert!(is_process_of("9:name=systemd:/docker/7c21f443b1e5\n", "7c21f443b1e5"));
        assert!(is_process_of("0::/machine.slice/libpod-7c21f443b1e5.scope", "7c21f443b1e5"));
        assert!(!is_process_of("0::/user.slice", "7c21f443b1e5"));
        assert!(!is_process_of("0::/", ""));
    }

    #[test]
    fn its_groups_are_where_they_are_mounted() {
        let dirs = |groups: &str| {
            let dirs = group_dirs(groups, "7c21").into_iter();
            dirs.map(|dir| dir.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            dirs("0::/system.slice/docker-7c21.scope\n"),
            [
                "/sys/fs/cgroup/system.slice/docker-7c21.scope",
                "/sys/fs/cgroup/unified/system.slice/docker-7c21.scope"
            ]
        );
        assert_eq!(
            dirs("9:name=systemd:/a/7c21\n4:memory:/a/7c21\n2:cpuacct:/\n0::/\n"),
            ["/sys/fs/cgroup/systemd/a/7c21", "/sys/fs/cgroup/memory/a/7c21"]
        );
        assert_eq!(dirs("garbage\n0::/user.slice"), [""; 0]);
    }

    #[test]
    fn what_was_killed_for_its_memory_is_counted_in_both_versions() {
        assert!(counts_memory_kill("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n"));
        assert!(counts_memory_kill("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"));
        assert!(!counts_memory_kill("oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"));
        assert!(!counts_memory_kill(""));
        assert_eq!(memory_limit("33554432\n"), Some(32 << 20));
        assert_eq!(memory_limit("max\n"), None);
        assert_eq!(memory_limit("9223372036854771712\n"), None);
    }
}
