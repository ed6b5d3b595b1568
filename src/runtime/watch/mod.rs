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
//! 2. if it is anybody's, it is `pending`, with how far a save of it has come (`touch`): one plainly whole save after
//!    quiet is due at once; half of one, several files, and what comes after a change settle first, and all waits for git;
//! 3. each path is compared; what differs is given to the services whose globs want it;
//! 4. a service with a longer settle time than usual is held back until its own is over;
//! 5. while more changes are pending after one was told, the loop knows, and starts nothing because of a change.
//!
//! Paths are kept without links. What leads to them by a link is a `route`, a filter's alias, and an entry of the tree's
//! links. Where no events come from (`cover`, `mounts`), `polls` says when to look.

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
