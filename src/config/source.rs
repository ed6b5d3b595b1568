use std::path::{Path, PathBuf};

/// A file that was read, kept so that diagnostics can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    shown: String,
    text: String,
    secret: bool,
}

impl Source {
    /// A configuration file; `shown` is how people call it. A byte order mark is taken off.
    pub(super) fn config(path: PathBuf, shown: String, text: String) -> Source {
        Source { path, shown, text: without_mark(text), secret: false }
    }

    /// An env file: its text is never shown, because it holds passwords.
    pub(super) fn secret(path: PathBuf, shown: String, text: String) -> Source {
        Source { path, shown, text: without_mark(text), secret: true }
    }

    /// The file, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as people call it: relative to the folder devstack was started in where possible.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether excerpts of it must not be shown.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// What is in it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}
