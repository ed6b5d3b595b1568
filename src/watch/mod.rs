//! Which saved file concerns which service.
//!
//! One thread owns everything: the only notify instance (`watch_set`), what is known of the files
//! (`tree`) and the timing (`events`). Events only say *where* to look. A file changed if its
//! fingerprint differs from the last one, so a touch, a save of the same bytes or a duplicate event
//! is no change, and lost events can be made up for.
//!
//! From an event to a [`WatchReport`]:
//! 1. The path goes into the inbox, which is bounded: too many paths become one "compare
//!    everything".
//! 2. If a service or the configuration wants it, the debouncer keeps it with the stage of its
//!    save. One complete save after quiet is due at once; half a save, several files, and whatever
//!    follows a change settle first, and everything waits for git.
//! 3. Each path is compared; differences go to the services whose globs accept them.
//! 4. A service with a longer quiet period gets them later.
//! 5. While more changes are pending after a report, the supervisor knows, and starts nothing
//!    because of a change.
//!
//! Paths are kept resolved. What leads to them through symlinks is in `ResolvedPath`, the aliases
//! of a filter, and the link table of the tree. Where the system sends no events (`watch_set`,
//! `mount_table`), `poll_schedule` decides when to look.

pub(crate) mod events;
pub(crate) mod filter;
mod missing_paths;
mod mount_table;
mod output_files;
mod poll_schedule;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tree;
mod watch_report;
mod watch_set;
mod watch_worker;
mod watched_files;
mod watcher;

pub use output_files::{OutputClaim, OutputFiles};
pub use watch_report::WatchReport;
pub use watcher::Watcher;

/// Returns the type of a directory's file system if its files can change without an event on this
/// machine.
pub fn remote_file_system(dir: &std::path::Path) -> Option<String> {
    let dir = std::fs::canonicalize(dir).ok()?;
    mount_table::MountTable::now().remote_mount(&dir).map(|(_, kind)| kind.to_owned())
}
