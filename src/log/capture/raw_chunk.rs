use bytes::Bytes;

use crate::model::{OutputStream, RunId};

/// Captured lines of one stream, not numbered yet.
pub(crate) struct RawChunk<'a> {
    pub run: RunId,
    pub stream: OutputStream,
    pub continues: bool,
    pub open: bool,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The bytes, in two parts to avoid joining them.
    pub parts: [&'a [u8]; 2],
}

impl RawChunk<'_> {
    pub fn len(&self) -> usize {
        self.parts[0].len() + self.parts[1].len()
    }

    /// Counts the lines. The first part ends within a line, so only newlines count.
    pub fn lines(&self) -> usize {
        let ends = |part| memchr::memchr_iter(b'\n', part).count();
        ends(self.parts[0]) + ends(self.parts[1]) + usize::from(self.open)
    }

    pub fn joined(&self) -> Bytes {
        self.parts.concat().into()
    }
}
