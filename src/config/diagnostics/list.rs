use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::model::Message;

use super::diagnostic::Diagnostic;
use super::render;

/// All errors of a configuration, in the order of the files. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagnosticList {
    pub(super) list: Vec<Diagnostic>,
    pub(super) dropped: usize,
    pub(super) files: BTreeSet<PathBuf>,
}

impl DiagnosticList {
    /// Returns the errors, at least one.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Every file that was read or looked for: a change to one of them may fix the errors.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Returns the first error with its location, and the number of others, as one message.
    pub fn summary(&self) -> Message {
        let first = &self.list[0];
        let mut message = first.message().clone();
        if let Some((file, line, column)) = first.location() {
            message.text = format!("{file}:{line}:{column}: {}", message.text);
        }
        let more = self.list.len() - 1 + self.dropped;
        if more > 0 {
            message.text.push_str(&format!(" (and {more} more)"));
        }
        message
    }

    /// Renders each error with location, excerpt and help. Ends with a newline.
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }
}

impl fmt::Display for DiagnosticList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for DiagnosticList {}
