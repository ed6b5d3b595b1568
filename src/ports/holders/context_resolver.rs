use std::collections::BTreeMap;
use std::path::PathBuf;

use super::container::detect_container;
use super::holder::{HolderProcess, truncate_escaped};
use super::system;
use crate::model::SERVICE_VAR;
use crate::ports::HolderContext;
use crate::sys::process::{env_vars_of, process_stat, uid_of};
use crate::sys::process_stat::{GUARD_NAME, ProcessStat, ancestors};

const SYSTEMD: &str = "systemd";

/// The longest name shown; names of stacks and services are never longer.
const LONGEST_NAME: usize = 63;

/// Finds what processes belong to, with a cache.
#[derive(Default)]
pub(super) struct ContextResolver {
    own_groups: String,
    /// Project directories of devstack processes, by pid.
    dirs: BTreeMap<u32, Option<PathBuf>>,
}

impl ContextResolver {
    pub fn new() -> ContextResolver {
        let own_groups = system::control_groups(None).unwrap_or_default();
        ContextResolver { own_groups, dirs: BTreeMap::new() }
    }

    /// Returns what a process belongs to, if that can be proved.
    pub fn resolve(&mut self, process: &HolderProcess) -> Option<HolderContext> {
        let above: Vec<(u32, ProcessStat)> = ancestors(process.pid).collect();
        if let Some(service) = self.service(process, &above) {
            return Some(service);
        }
        if let Some(dir) = self.stack_dir(process.pid) {
            return Some(HolderContext::Stack { dir });
        }
        let groups = system::control_groups(Some(process.pid)).unwrap_or_default();
        if let Some(container) = detect_container(process, &groups, &self.own_groups) {
            return Some(container);
        }
        if process.name == SYSTEMD {
            return Some(HolderContext::SocketUnit);
        }
        let unit = unit_in(&groups).filter(|unit| unit_in(&self.own_groups) != Some(*unit))?;
        Some(HolderContext::Unit { unit: truncate_escaped(unit, LONGEST_NAME) })
    }

    /// Returns the service of the nearest guard above; names come from the process's environment.
    fn service(
        &mut self,
        process: &HolderProcess,
        above: &[(u32, ProcessStat)],
    ) -> Option<HolderContext> {
        let guard = |(pid, above): &(u32, ProcessStat)| {
            above.name == GUARD_NAME && uid_of(*pid) == Some(process.uid)
        };
        let at = above.iter().position(guard)?;
        let [stack, service] = env_vars_of(process.pid, ["DEVSTACK_STACK", SERVICE_VAR]);
        let shown = |name: Option<String>| {
            name.map(|name| truncate_escaped(&name, LONGEST_NAME)).filter(|name| !name.is_empty())
        };
        // The guard's parent is devstack.
        let dir = above.get(at + 1).and_then(|(pid, _)| self.stack_dir(*pid));
        Some(HolderContext::Service { stack: shown(stack), service: shown(service), dir })
    }

    fn stack_dir(&mut self, pid: u32) -> Option<PathBuf> {
        self.dirs.entry(pid).or_insert_with(|| system::stack_dir(pid)).clone()
    }
}

/// Whether the process has lost its parent: it was adopted by init or by the user's systemd.
pub(super) fn is_orphan(process: &HolderProcess, context: Option<&HolderContext>) -> bool {
    // On other systems, launchd starts programs itself, so parent 1 proves nothing.
    if cfg!(not(target_os = "linux")) || process.pid == 1 {
        return false;
    }
    let adopted = process.parent == 1
        || process_stat(process.parent).is_some_and(|parent| parent.name == SYSTEMD);
    adopted && context.is_none() && !is_in_service_unit(process.pid)
}

/// Whether the process runs in a systemd service unit.
fn is_in_service_unit(pid: u32) -> bool {
    let groups = system::control_groups(Some(pid)).unwrap_or_default();
    groups.lines().any(|line| line.ends_with(".service"))
}

/// Returns the system unit that these control groups name. Units of a user session prove nothing:
/// everything started from a terminal is in the terminal's unit.
fn unit_in(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?.strip_prefix("/system.slice/")?;
        path.rsplit('/').find(|part| part.ends_with(".service"))
    })
}

#[cfg(test)]
mod tests {
    use super::unit_in;

    #[test]
    fn only_units_of_the_system_count() {
        for (groups, unit) in [
            ("0::/system.slice/redis.service\n", Some("redis.service")),
            ("2:cpu:/\n1:name=systemd:/system.slice/redis.service", Some("redis.service")),
            (
                "0::/system.slice/system-postgresql.slice/postgresql@16.service/x",
                Some("postgresql@16.service"),
            ),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", None),
            ("0::/system.slice/docker-1.scope", None),
            ("0::/", None),
            ("", None),
        ] {
            assert_eq!(unit_in(groups), unit, "{groups}");
        }
    }
}
