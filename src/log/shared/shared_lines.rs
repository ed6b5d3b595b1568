use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use crate::log::line_split::MAX_LINE;
use crate::log::lock_unpoisoned;
use crate::log::log_source::LogSource;
use crate::log::store::LogChunk;

/// The long lines that readers hold now. Readers at the same line share one copy, so stalled clients
/// cost one copy of each line, however many they are.
#[derive(Default)]
pub(crate) struct SharedLines(Mutex<BTreeMap<(LogSource, u64), Weak<Bytes>>>);

struct SharedLine(Arc<Bytes>);

impl AsRef<[u8]> for SharedLine {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl SharedLines {
    /// Returns the same chunk, with the bytes of a reader that holds it if there is one.
    pub fn share(&self, chunk: LogChunk) -> LogChunk {
        if chunk.bytes.len() <= MAX_LINE || chunk.is_unfinished() {
            return chunk;
        }
        let LogChunk { source, batch, bytes } = chunk;
        let mut lines = lock_unpoisoned(&self.0);
        lines.retain(|_, line| line.strong_count() > 0);
        let known = lines.get(&(source.clone(), batch.seq)).and_then(Weak::upgrade);
        // A reader that missed the start of a line has less of it.
        let line = known.filter(|known| **known == bytes).unwrap_or_else(|| Arc::new(bytes));
        lines.insert((source.clone(), batch.seq), Arc::downgrade(&line));
        LogChunk { source, batch, bytes: Bytes::from_owner(SharedLine(line)) }
    }
}
