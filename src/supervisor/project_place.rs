//! The project directory, which may get another path while the stack runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::status::event_lines;
use super::supervisor::Supervisor;
use crate::engine::Input;
use crate::model::{DirMove, Message};
use crate::regular_file::open_dir;
use crate::sync::lock_unpoisoned;
use crate::sys::file_clock::{FileTime, file_time_now};
use crate::sys::file_id::FileId;
use crate::sys::open_path::open_path;

/// Keeps what is outside of the supervisor with the project directory, which has this path: its
/// lock. May block. Returns what is wrong.
pub type FollowFn = Arc<dyn Fn(&Path) -> Option<Message> + Send + Sync>;

/// The project directory, kept open to find out where it is.
pub struct ProjectPlace {
    /// `None` if it cannot be opened.
    opened: Option<File>,
    /// Its path in the stack.
    dir: PathBuf,
    /// How the system calls it: without links.
    named: Option<PathBuf>,
    /// When it was last found at this path.
    since: FileTime,
    follow: FollowFn,
}

impl ProjectPlace {
    /// Opens the directory.
    pub fn new(dir: &Path, follow: FollowFn) -> ProjectPlace {
        let since = file_time_now();
        let opened = open_dir(dir).ok();
        let named = opened.as_ref().and_then(|file| open_path(file).ok());
        ProjectPlace { opened, dir: dir.to_owned(), named, since, follow }
    }

    /// Returns the move of the directory, if it was moved since the last call, and when it was last
    /// in its former place. Cheap: the file system is only asked if the path has changed.
    fn take_move(&mut self) -> Option<(DirMove, FileTime)> {
        let now = file_time_now();
        let opened = self.opened.as_ref()?;
        let named = open_path(opened).ok()?;
        if self.named.as_ref() == Some(&named) {
            self.since = now;
            return None;
        }
        self.named = Some(named.clone());
        let id = |found: fs::Metadata| FileId::of_metadata(&found);
        let own = opened.metadata().ok().map(id);
        let leads_here = |path: &Path| fs::metadata(path).ok().map(id) == own;
        // A link may still lead to it; and the name of a deleted one leads nowhere.
        if leads_here(&self.dir) || !leads_here(&named) {
            return None;
        }
        let from = std::mem::replace(&mut self.dir, named.clone());
        Some((DirMove { from, to: named }, std::mem::replace(&mut self.since, now)))
    }
}

impl Supervisor {
    /// Follows the project directory if it was moved. What runs goes on, since it is in the same
    /// directory; what starts from now on, and what is written, uses its new path.
    pub(super) fn follow_move(&mut self) {
        let Some((moved, since)) = self.place.take_move() else { return };
        self.executor.relocate(&moved, since);
        self.logs.relocate(&moved);
        self.keep_ports(&moved.to);
        self.keep_lock();
        if self.engine.is_ending() {
            return;
        }
        let stack = self.reloader.relocate(&moved, &self.stack().clone());
        self.executor.watch(&stack, &Default::default());
        self.status.write(vec![event_lines::directory_moved(&moved.to)]);
        self.snapshot = None;
        self.step_engine(vec![Input::Relocate(stack)]);
    }

    /// Remembers ports in the directory, which was moved here.
    fn keep_ports(&self, dir: &Path) {
        let (dir, ports) = (dir.to_owned(), self.reloader.ports());
        drop(spawn_blocking(move || lock_unpoisoned(&ports).move_to(&dir)));
    }

    /// Keeps the lock in the directory, which may have been moved or emptied.
    pub(super) fn keep_lock(&self) {
        let (dir, follow) = (self.place.dir.clone(), self.place.follow.clone());
        let logs = self.logs.clone();
        drop(spawn_blocking(move || {
            if let Some(message) = follow(&dir) {
                logs.write_status(event_lines::stack_problem(&message));
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_noticed_once_and_a_link_or_a_removal_is_none() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        fs::create_dir(path("a")).unwrap();
        let mut place = ProjectPlace::new(&path("a"), Arc::new(|_| None));
        let mut moved = || place.take_move().map(|(moved, _)| (moved.from, moved.to));
        assert_eq!(moved(), None);
        fs::rename(path("a"), path("b")).unwrap();
        assert_eq!(moved(), Some((path("a"), path("b"))));
        assert_eq!(moved(), None);
        fs::rename(path("b"), path("c")).unwrap();
        std::os::unix::fs::symlink("c", path("b")).unwrap();
        assert_eq!(moved(), None, "its path still leads to it");
        fs::remove_file(path("b")).unwrap();
        fs::remove_dir(path("c")).unwrap();
        assert_eq!(moved(), None, "it is gone");
    }
}
