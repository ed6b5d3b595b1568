//! The control groups of a container, from `/proc/PID/cgroup` of its first process.

use std::path::PathBuf;

/// Where control groups are mounted, of both versions and with both at once.
const MOUNTED: &str = "/sys/fs/cgroup";

/// Whether a process whose control groups these are belongs to a container. Of another machine, such
/// as that of Docker Desktop, the same pid is any process here.
pub fn is_process_of(control_groups: &str, container: &str) -> bool {
    !container.is_empty() && control_groups.contains(container)
}

/// Returns the files that may list all processes of a container, also those that commands started
/// inside: with Docker, these are no children of its first one.
pub fn member_lists(control_groups: &str, container: &str) -> Vec<PathBuf> {
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
    let found = control_groups.lines().filter(|_| !container.is_empty()).filter_map(own).flatten();
    found.map(|path| path.join("cgroup.procs")).collect()
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
    fn its_members_are_listed_where_its_group_is_mounted() {
        let lists = |groups: &str| {
            let lists = member_lists(groups, "7c21").into_iter();
            lists.map(|list| list.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            lists("0::/system.slice/docker-7c21.scope\n"),
            [
                "/sys/fs/cgroup/system.slice/docker-7c21.scope/cgroup.procs",
                "/sys/fs/cgroup/unified/system.slice/docker-7c21.scope/cgroup.procs"
            ]
        );
        assert_eq!(
            lists("9:name=systemd:/a/7c21\n4:memory:/a/7c21\n2:cpuacct:/\n0::/\n"),
            [
                "/sys/fs/cgroup/systemd/a/7c21/cgroup.procs",
                "/sys/fs/cgroup/memory/a/7c21/cgroup.procs"
            ]
        );
        assert_eq!(lists("garbage\n0::/user.slice"), [""; 0]);
    }
}
