use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::ImportTrust;
use crate::regular_file::{open_linked, read_text};

/// Largest file to read. Manifests and entry points of programs are smaller.
const MAX_BYTES: u64 = 1024 * 1024;

/// How much is read of a project in all. The rest counts as absent.
const MAX_TOTAL: u64 = 32 * 1024 * 1024;

/// Directories that hold copies of other projects, or results of a build.
const SKIPPED: [&str; 12] = [
    "__pycache__",
    "bower_components",
    "build",
    "coverage",
    "dist",
    "env",
    "node_modules",
    "out",
    "target",
    "tmp",
    "vendor",
    "venv",
];

/// How many entries of a directory are looked at.
const MAX_ENTRIES: usize = 1000;

/// Reads the files of a project, within limits. Paths are relative to its root.
#[derive(Debug)]
pub(super) struct ProjectFiles<'a> {
    root: PathBuf,
    trust: &'a ImportTrust,
    read: Cell<u64>,
}

impl ProjectFiles<'_> {
    pub fn of<'a>(root: &Path, trust: &'a ImportTrust) -> ProjectFiles<'a> {
        ProjectFiles { root: root.to_owned(), trust, read: Cell::new(0) }
    }

    /// Whether there is a file, and it may be used. Nothing is read.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        let path = self.root.join(path);
        path.is_file() && self.trust.allows(&path)
    }

    /// Returns the text of a file. `None`: it does not exist, may not be used, is too large, or is
    /// not UTF-8.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = self.root.join(path);
        let file = open_linked(&path).ok().filter(|_| self.trust.allows(&path))?;
        let size = file.metadata().ok()?.len();
        let total = self.read.get() + size;
        if size > MAX_BYTES || total > MAX_TOTAL {
            return None;
        }
        self.read.set(total);
        let text = read_text(file, MAX_BYTES).ok()?;
        Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// Returns the directories in a directory, sorted, without hidden and generated ones.
    pub fn directories(&self, path: impl AsRef<Path>) -> Vec<PathBuf> {
        let path = path.as_ref();
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| {
            // Links may lead out of the project, or around in it.
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().into_string().ok().filter(|_| is_dir)?;
            let skipped = name.starts_with('.') || SKIPPED.contains(&name.as_str());
            (!skipped).then_some(name)
        };
        let mut names: Vec<String> = entries.take(MAX_ENTRIES).filter_map(name).collect();
        names.sort();
        names.iter().map(|name| path.join(name)).collect()
    }
}
