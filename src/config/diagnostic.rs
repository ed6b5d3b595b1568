use std::ops::Range;
use std::sync::Arc;

use crate::model::Message;

use super::source::Source;

/// One mistake: what it is, how to mend it, and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    pub(super) message: Message,
    pub(super) marks: Vec<Mark>,
}

/// A place in a file that a diagnostic points to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub source: Arc<Source>,
    pub range: Range<usize>,
    pub label: String,
}

impl Diagnostic {
    /// Class, text and help, without the place.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// File, line and column (both from 1) of the first place, if it has any.
    pub fn location(&self) -> Option<(&str, usize, usize)> {
        let mark = self.marks.first()?;
        let (line, column) = mark.source.line_column(mark.range.start);
        Some((mark.source.shown(), line, column))
    }

    /// Orders diagnostics as a reader meets them: those without a place first.
    pub(super) fn order(&self) -> Option<(&str, usize)> {
        self.marks.first().map(|mark| (mark.source.shown(), mark.range.start))
    }
}
