//! macOS: few of these limits exist.

use rustix::process::{Resource, getrlimit};

use super::facts::{Sight, Usage};

/// Folders that this user watches: FSEvents has no limit.
pub(super) fn watches() -> Option<Usage> {
    None
}

/// Programs of this user that watch: without a limit.
pub(super) fn watchers() -> Option<Usage> {
    None
}

/// How many files one process may open: now, and at most when it asks.
pub(super) fn files() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    Some((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
}

/// Processes of this user: not counted.
pub(super) fn processes() -> Option<Usage> {
    None
}

/// Every process is shown.
pub(super) fn sight() -> Sight {
    Sight::All
}
