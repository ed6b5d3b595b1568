use std::path::{Path, PathBuf};

/// A file that was read, kept for excerpts in diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    path: PathBuf,
    display_name: String,
    text: String,
    /// Where each line starts, in bytes.
    line_starts: Vec<usize>,
    secret: bool,
    main_worktree: bool,
    beside_venv: bool,
}

impl SourceFile {
    /// A configuration file. `shown` is its display name. A byte order mark is removed, and lines
    /// end with a line feed: an editor on Windows must not change what a shell is given.
    pub(crate) fn config(path: PathBuf, shown: String, text: String) -> SourceFile {
        SourceFile::new(path, shown, &text, false)
    }

    /// An env file. Its text is never shown, because it may contain secrets.
    pub(crate) fn secret(path: PathBuf, shown: String, text: String) -> SourceFile {
        SourceFile::new(path, shown, &text, true)
    }

    /// Marks it as a file of the main worktree that is missing in this one.
    pub(crate) fn of_main_worktree(self) -> SourceFile {
        SourceFile { main_worktree: true, ..self }
    }

    /// Marks it as a file in a directory with a virtual environment of Python.
    pub(crate) fn beside_venv(self) -> SourceFile {
        SourceFile { beside_venv: true, ..self }
    }

    fn new(path: PathBuf, display_name: String, text: &str, secret: bool) -> SourceFile {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let line_feeds = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts =
            std::iter::once(0).chain(line_feeds.map(|(index, _)| index + 1)).collect();
        let (main_worktree, beside_venv) = (false, false);
        SourceFile { path, display_name, text, line_starts, secret, main_worktree, beside_venv }
    }

    /// Returns the absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the display name: relative to the working directory where possible.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Whether excerpts must not be shown.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether it is read in place of a file that is missing in this git worktree.
    pub fn is_of_main_worktree(&self) -> bool {
        self.main_worktree
    }

    /// Whether its directory has a virtual environment of Python.
    pub fn is_beside_venv(&self) -> bool {
        self.beside_venv
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Returns line and column of a byte offset, both from 1. Columns count characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line(offset);
        (line, self.text[self.line_starts[line - 1]..offset].chars().count() + 1)
    }
}
