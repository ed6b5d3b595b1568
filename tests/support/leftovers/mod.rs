//! Finds orphans of a project: processes with its token in their environment, or working in its
//! directory (a child may have cleared its environment).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

use std::path::Path;
use std::time::Duration;

use super::patience::wait_at_most;

/// Nothing may be alive for longer than one second after the end; one more for a loaded machine.
const GRACE: Duration = Duration::from_secs(2);

/// A process that should not be alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrphanProcess {
    pub pid: u32,
    pub command: String,
}

/// Live processes, sorted by pid; never the caller.
pub fn alive(token: &str, dir: &Path) -> Vec<OrphanProcess> {
    let mut found = system::alive(token, dir);
    found.retain(|leftover| leftover.pid != std::process::id());
    found.sort_by_key(|leftover| leftover.pid);
    found
}

/// Waits until there are none; returns those that remain.
pub fn remaining_after_grace<T>(mut look: impl FnMut() -> Vec<T>) -> Vec<T> {
    let mut last = Vec::new();
    wait_at_most(GRACE, || {
        last = look();
        last.is_empty().then_some(())
    });
    last
}

/// Kills exactly these, after checking them again, and whatever they fork meanwhile.
pub fn kill_all(token: &str, dir: &Path) {
    wait_at_most(GRACE, || {
        let found = alive(token, dir);
        found.iter().for_each(|leftover| system::kill(leftover.pid, token, dir));
        found.is_empty().then_some(())
    });
}

/// Zombies that these processes have not reaped.
pub fn zombies(parents: &[u32]) -> Vec<u32> {
    system::zombies(parents)
}
