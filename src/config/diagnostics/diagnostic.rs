use std::ops::Range;
use std::sync::Arc;

use crate::model::Message;

use super::source_file::SourceFile;

/// One error in a configuration: text, help, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    pub(super) message: Message,
    pub(super) marks: Vec<LabeledSpan>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabeledSpan {
    pub source: Arc<SourceFile>,
    pub range: Range<usize>,
    pub label: String,
}

impl Diagnostic {
    /// Returns class, text and help, without the location.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns file, line and column (both from 1) of the first span, if there is one.
    pub fn location(&self) -> Option<(&str, usize, usize)> {
        let mark = self.marks.first()?;
        let (line, column) = mark.source.line_column(mark.range.start);
        Some((mark.source.display_name(), line, column))
    }

    /// The sort key: by file and position, errors without a span first.
    pub(super) fn order(&self) -> Option<(&str, usize)> {
        self.marks.first().map(|mark| (mark.source.display_name(), mark.range.start))
    }
}
