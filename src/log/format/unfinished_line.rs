use crate::log::escape_filter;
use crate::model::{Name, OutputStream, RunId};

/// Where lines come from, without their bytes.
#[derive(Clone, Copy)]
pub(super) struct LineSource<'a> {
    pub service: &'a Name,
    pub stream: OutputStream,
    pub run: RunId,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    pub continues: bool,
    pub open: bool,
}

impl LineSource<'_> {
    pub fn key(&self) -> (Name, OutputStream) {
        (self.service.clone(), self.stream)
    }
}

/// A line that was printed without its end.
pub(super) struct UnfinishedLine {
    pub key: (Name, OutputStream),
    pub run: RunId,
    /// The bytes of it that were printed.
    pub shown: Vec<u8>,
    /// The column after them.
    pub column: usize,
}

impl UnfinishedLine {
    /// Returns whether a line begins with what was printed, and the rest can follow it.
    pub fn is_start_of(&self, from: LineSource<'_>, line: &[u8]) -> bool {
        let (service, stream) = &self.key;
        (service, *stream, self.run) == (from.service, from.stream, from.run)
            && !from.continues
            && line.starts_with(&self.shown)
            && !escape_filter::overwrites(line)
    }
}

pub(super) fn end_line(line: Option<UnfinishedLine>, out: &mut Vec<u8>) {
    if line.is_some() {
        out.push(b'\n');
    }
}
