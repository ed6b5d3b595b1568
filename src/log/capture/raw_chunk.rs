use bytes::Bytes;

use crate::log::store::IndexEntry;
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
    /// Returns the index entry, without number and offset.
    pub fn entry(&self) -> IndexEntry {
        let len = self.parts[0].len() + self.parts[1].len();
        IndexEntry {
            at: self.at,
            seq: 0,
            run: self.run,
            offset: 0,
            len: u32::try_from(len).expect("a chunk is at most two long lines"),
            lines: u32::try_from(self.lines()).expect("a chunk has no more lines than bytes"),
            stream: self.stream,
            continues: self.continues,
            open: self.open,
            lost: false,
        }
    }

    /// Counts the lines. The first part ends within a line, so only newlines count.
    fn lines(&self) -> usize {
        let ends = |part| memchr::memchr_iter(b'\n', part).count();
        ends(self.parts[0]) + ends(self.parts[1]) + usize::from(self.open)
    }

    pub fn joined(&self) -> Bytes {
        self.parts.concat().into()
    }
}
