use regex::bytes::Regex;

use super::log_cursor::ReadFrom;
use crate::log::escape_filter;
use crate::log::line_split;
use crate::log::status_line::StatusLine;
use crate::log::store::IndexEntry;
use crate::model::{Name, OutputStream};

/// Which lines a reader gets.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    /// Only lines read at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only lines from this number on. A number tells where a line is in the whole stack.
    pub from: Option<u64>,
    /// Only lines before this number.
    pub before: Option<u64>,
    pub stream: Option<OutputStream>,
    /// Only lines that match all of these, without escape sequences.
    pub grep: Vec<Regex>,
    /// Whether to include status lines. They have no stream: that filter excludes them.
    pub status_mode: StatusMode,
    /// Whether to include the starts of lines whose end has not come.
    pub unfinished: bool,
    /// What the lines are.
    pub form: StoredForm,
}

/// What stored lines are.
#[derive(Debug, Clone, Default)]
pub enum StoredForm {
    /// What a service printed.
    #[default]
    Output,
    /// Status lines, of which those that match this are wanted.
    Status(Option<Regex>),
}

impl LineFilter {
    pub(super) fn has_lines(&self) -> bool {
        self.status_mode != StatusMode::Only
    }

    /// Returns the filter for stored status lines: those about these services and the whole stack,
    /// or all if no services are given. `None`: status lines are not wanted.
    pub(super) fn for_status_lines(&self, services: Option<&[Name]>) -> Option<LineFilter> {
        let wants = self.status_mode != StatusMode::Without;
        if !wants || self.stream.is_some() {
            return None;
        }
        let about = services.map(|names| Regex::new(&StatusLine::about_pattern(names)));
        let form = StoredForm::Status(about.transpose().ok()?);
        let LineFilter { since, from, before, .. } = *self;
        let grep = self.grep.clone();
        Some(LineFilter { since, from, before, grep, form, ..LineFilter::default() })
    }

    /// Returns whether the entry may have wanted lines.
    pub(super) fn accepts_entry(&self, batch: &IndexEntry) -> bool {
        self.since.is_none_or(|since| batch.at >= since)
            && self.stream.is_none_or(|stream| batch.stream == stream)
    }

    /// Returns where a reader starts that was asked for this many last lines.
    pub(super) fn start(&self, last: usize) -> ReadFrom {
        self.from.map_or(ReadFrom::Last(last), ReadFrom::Seq)
    }

    /// Returns whether every line of an accepted entry is wanted.
    pub(super) fn accepts_all(&self) -> bool {
        self.grep.is_empty() && !matches!(self.form, StoredForm::Status(Some(_)))
    }

    /// Returns whether a line of an accepted entry is wanted.
    pub(super) fn accepts(&self, line: &[u8]) -> bool {
        if self.accepts_all() {
            return true;
        }
        let line = line_split::trim_line_end(line);
        match &self.form {
            StoredForm::Output if memchr::memchr(0x1b, line).is_none() => self.matches(line),
            StoredForm::Output => self.matches(escape_filter::strip(line).as_bytes()),
            StoredForm::Status(about) => {
                let text = || StatusLine::decode(line, 0).map(|status| status.text.text);
                about.as_ref().is_none_or(|about| about.is_match(line))
                    && (self.grep.is_empty()
                        || text().is_some_and(|it| self.matches(it.as_bytes())))
            }
        }
    }

    fn matches(&self, text: &[u8]) -> bool {
        self.grep.iter().all(|pattern| pattern.is_match(text))
    }
}

/// Whether a reader gets status lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatusMode {
    /// Only lines of services.
    #[default]
    Without,
    /// Status lines between the lines of services.
    With,
    Only,
}
