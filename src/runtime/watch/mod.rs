//! Which saved file concerns whom.
//!
//! One thread owns everything: the one notify instance (`cover`), what is known of the files
//! (`tree`), and the timing (`settle`). Events only say *where* to look; whether something
//! changed is decided by comparing the file with what was known of it (`mark`), so that a touch, a
//! save of the same bytes or a doubled event is no change, and a lost event can be made up for.
//!
//! What happens between an event and a [`Change`]:
//! 1. the event's path goes into the `inbox`, which is bounded: too many paths become one "look
//!    everywhere";
//! 2. the inbox settles: a short pause without further events, longer for many paths, for
//!    what looks like half of a save, and while git writes its index;
//! 3. each path is compared; what differs is given to the services whose globs want it;
//! 4. a service with a longer settle time than the others is held back until its own is over.

mod change;
mod clock;
mod cover;
mod entry;
mod files;
mod filter;
mod folder;
#[cfg(test)]
mod gate;
mod git;
mod hold;
mod inbox;
#[cfg(target_os = "linux")]
mod linux;
mod listing;
mod lookout;
#[cfg(target_os = "macos")]
mod macos;
mod mark;
mod mounts;
mod pattern;
mod pending;
mod polls;
mod route;
mod rules;
mod settle;
#[cfg(test)]
mod tests;
mod touch;
mod tree;
mod waits;
mod watcher;

pub use change::Change;
pub use watcher::Watcher;

/// The kind of the file system of a folder, when others may change its files without a word to this system.
pub fn distant_file_system(dir: &std::path::Path) -> Option<String> {
    let dir = std::fs::canonicalize(dir).ok()?;
    mounts::Mounts::now().distant(&dir).map(|(_, kind)| kind.to_owned())
}
