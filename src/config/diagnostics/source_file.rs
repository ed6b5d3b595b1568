use std::path::{Path, PathBuf};

/// A file that was read, kept for excerpts in diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    path: PathBuf,
    display_name: String,
    text: String,
    secret: bool,
}

impl SourceFile {
    /// A configuration file. `shown` is its display name. A byte order mark is removed.
    pub(crate) fn config(path: PathBuf, shown: String, text: String) -> SourceFile {
        SourceFile { path, display_name: shown, text: without_mark(text), secret: false }
    }

    /// An env file. Its text is never shown, because it may contain secrets.
    pub(crate) fn secret(path: PathBuf, shown: String, text: String) -> SourceFile {
        SourceFile { path, display_name: shown, text: without_mark(text), secret: true }
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

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns line and column of a byte offset, both from 1. Columns count characters.
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
