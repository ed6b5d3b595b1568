use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use crate::log::lock_unpoisoned;
use crate::log::log_source::LogSource;
use crate::log::store::LogChunk;

/// The latest chunks as JSON. Readers that follow all lines of a service get the same bytes: with a
/// hundred of them a line is encoded once.
#[derive(Default)]
pub(crate) struct EncodedChunks(Mutex<VecDeque<EncodedChunk>>);

struct EncodedChunk {
    source: LogSource,
    /// Numbers of its first line and of the one after its last.
    lines: (u64, u64),
    pieces: Vec<Bytes>,
}

impl EncodedChunks {
    /// Most bytes of JSON that are kept.
    const MAX_BYTES: usize = 128 * 1024;
    /// Most chunks, which can be short.
    const MAX_CHUNKS: usize = 128;
    /// Bytes from which a piece gets no more lines.
    pub const PIECE: usize = 16 * 1024;

    /// Returns the lines of a stored chunk as JSON, in pieces.
    pub fn pieces(&self, chunk: &LogChunk) -> Vec<Bytes> {
        let Some(name) = chunk.source.service() else { return Vec::new() };
        let lines = (chunk.batch.seq, chunk.batch.seq_end());
        let mut kept = lock_unpoisoned(&self.0);
        let known = kept.iter().rev().find(|one| one.lines == lines && one.source == chunk.source);
        if let Some(known) = known {
            return known.pieces.clone();
        }
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        for line in chunk.lines(name) {
            crate::log::LogItem::Line(line).write_json(&mut piece);
            if piece.len() >= Self::PIECE {
                pieces.push(without_spare(std::mem::take(&mut piece)));
            }
        }
        if !piece.is_empty() {
            pieces.push(without_spare(piece));
        }
        let source = chunk.source.clone();
        kept.push_back(EncodedChunk { source, lines, pieces: pieces.clone() });
        let mut bytes: usize = kept.iter().map(EncodedChunk::bytes).sum();
        while kept.len() > Self::MAX_CHUNKS || (bytes > Self::MAX_BYTES && kept.len() > 1) {
            bytes -= kept.pop_front().map_or(0, |one| one.bytes());
        }
        pieces
    }
}

impl EncodedChunk {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// Without the spare room, which would be kept as well.
fn without_spare(piece: Vec<u8>) -> Bytes {
    Bytes::from(piece.into_boxed_slice())
}
