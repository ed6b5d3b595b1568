//! macOS: few of these limits exist.

use rustix::process::{Resource, getrlimit};

use super::facts::{LimitUsage, ProcessVisibility};

/// Returns the use of directory watches: FSEvents has no limit.
pub(super) fn watches() -> Option<LimitUsage> {
    None
}

pub(super) fn watchers() -> Option<LimitUsage> {
    None
}

pub(super) fn files() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    Some((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
}

/// Returns the use of processes: not counted.
pub(super) fn processes() -> Option<LimitUsage> {
    None
}

pub(super) fn process_visibility() -> ProcessVisibility {
    ProcessVisibility::All
}
