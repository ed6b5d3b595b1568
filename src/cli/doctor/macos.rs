//! macOS: few of these limits exist.

use super::facts::{LimitUsage, ProcessVisibility};

/// Returns the use of directory watches: FSEvents has no limit.
pub(super) fn watches() -> Option<LimitUsage> {
    None
}

pub(super) fn watchers() -> Option<LimitUsage> {
    None
}

/// Returns the use of processes: not counted.
pub(super) fn processes() -> Option<LimitUsage> {
    None
}

pub(super) fn process_visibility() -> ProcessVisibility {
    ProcessVisibility::All
}
