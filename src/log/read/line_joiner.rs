use std::collections::BTreeMap;

use bytes::Bytes;

use crate::log::log_source::LogSource;
use crate::log::store::{IndexEntry, LogChunk};
use crate::model::OutputStream;

/// Joins the pieces of long lines, which captures cut to bound their memory. A line beyond
/// [`LineJoiner::LONGEST`] comes in parts: the first are open, and those after them continue it.
#[derive(Default)]
pub(crate) struct LineJoiner {
    started: BTreeMap<(LogSource, OutputStream), LongLine>,
}

/// The pieces of a line whose end has not come.
struct LongLine {
    /// The entry of the newest piece: lines are in the order of their ends.
    entry: IndexEntry,
    pieces: Vec<Bytes>,
    len: usize,
}

impl LongLine {
    fn add(&mut self, piece: &LogChunk) {
        // The time and the start are those of the first piece.
        let IndexEntry { at, continues, .. } = self.entry;
        self.entry = IndexEntry { at, continues, ..piece.batch };
        self.pieces.push(piece.bytes.clone());
        self.len += piece.bytes.len();
    }

    fn join(&self, source: &LogSource) -> LogChunk {
        let open = self.entry.open;
        let entry = IndexEntry { lines: 1, more: false, open, ..self.entry };
        LogChunk { source: source.clone(), batch: entry, bytes: self.pieces.concat().into() }
    }
}

impl LineJoiner {
    /// Longest line that is joined, in bytes.
    pub const LONGEST: usize = 16 * 1024 * 1024;
    /// Most bytes of all lines together that wait for their ends.
    const MAX_BYTES: usize = 4 * Self::LONGEST;

    /// Returns how many bytes wait for their ends.
    pub fn held(&self) -> usize {
        self.started.values().map(|line| line.len).sum()
    }

    /// Takes a chunk, and appends what is complete.
    pub fn push(&mut self, chunk: LogChunk, out: &mut Vec<LogChunk>) {
        let waits = !self.started.is_empty() && !chunk.is_unfinished();
        if !chunk.batch.more && !waits {
            return out.push(chunk);
        }
        let key = (chunk.source.clone(), chunk.batch.stream);
        let mut rest = Some(chunk);
        if let Some(mut line) = self.started.remove(&key) {
            let (first, others) = rest.take().map_or((None, None), split_first);
            match first {
                Some(piece) if piece.batch.continues && piece.batch.run == line.entry.run => {
                    line.add(&piece);
                    match piece.batch.more {
                        true => self.hold(key.clone(), line, out),
                        false => out.push(line.join(&key.0)),
                    }
                    rest = others;
                }
                // Its end was lost, or its run ended.
                first => {
                    out.extend((line.len > 0).then(|| line.join(&key.0)));
                    out.extend(first);
                    rest = others;
                }
            }
        }
        let Some(rest) = rest else { return };
        if !rest.batch.more {
            return out.push(rest);
        }
        let (lines, last) = split_last(rest);
        out.extend(lines);
        let mut line = LongLine { entry: last.batch, pieces: Vec::new(), len: 0 };
        line.add(&last);
        self.hold(key, line, out);
    }

    /// Keeps the start of a line; passes on what is too much.
    fn hold(
        &mut self,
        key: (LogSource, OutputStream),
        mut line: LongLine,
        out: &mut Vec<LogChunk>,
    ) {
        if line.len >= Self::LONGEST || self.held() + line.len > Self::MAX_BYTES {
            out.push(line.join(&key.0));
            (line.pieces, line.len, line.entry.continues) = (Vec::new(), 0, true);
        }
        self.started.insert(key, line);
    }

    /// Appends what waits for an end that does not come any more.
    pub fn finish(&mut self, out: &mut Vec<LogChunk>) {
        let started = std::mem::take(&mut self.started);
        let lines = started.iter().filter(|(_, line)| line.len > 0);
        out.extend(lines.map(|((source, _), line)| line.join(source)));
    }
}

/// Splits off the first line.
fn split_first(chunk: LogChunk) -> (Option<LogChunk>, Option<LogChunk>) {
    match memchr::memchr(b'\n', &chunk.bytes).map(|at| at + 1) {
        Some(len) if len < chunk.bytes.len() => {
            let (first, others) = split(&chunk, len, 1);
            (Some(first), Some(others))
        }
        Some(_) | None => (Some(chunk), None),
    }
}

/// Splits off the last line, which has no newline.
fn split_last(chunk: LogChunk) -> (Option<LogChunk>, LogChunk) {
    match memchr::memrchr(b'\n', &chunk.bytes) {
        Some(at) => {
            let (lines, last) = split(&chunk, at + 1, chunk.batch.lines - 1);
            (Some(lines), last)
        }
        None => (None, chunk),
    }
}

/// Splits a chunk after so many bytes, which are so many lines.
fn split(chunk: &LogChunk, len: usize, lines: u32) -> (LogChunk, LogChunk) {
    let LogChunk { source, batch, bytes } = chunk;
    let first = IndexEntry { lines, open: false, more: false, ..*batch };
    let rest = IndexEntry {
        seq: batch.seq + u64::from(lines),
        lines: batch.lines.saturating_sub(lines),
        continues: false,
        ..*batch
    };
    let part = |batch, bytes| LogChunk { source: source.clone(), batch, bytes };
    (part(first, bytes.slice(..len)), part(rest, bytes.slice(len..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, RunId};

    fn chunk(text: &str, continues: bool, more: bool) -> LogChunk {
        let batch = IndexEntry {
            at: 7,
            seq: 0,
            run: RunId(1),
            offset: 0,
            len: text.len() as u32,
            lines: crate::log::line_split::count(text.as_bytes()) as u32,
            stream: OutputStream::Stdout,
            continues,
            open: !text.ends_with('\n'),
            more,
            lost: false,
        };
        let source = LogSource::Service(Name::new("api").unwrap());
        LogChunk { source, batch, bytes: text.to_owned().into() }
    }

    /// The chunks that come out: text, whether it continues, whether it is open.
    fn joined(chunks: Vec<LogChunk>) -> Vec<(String, bool, bool)> {
        let (mut joiner, mut out) = (LineJoiner::default(), Vec::new());
        chunks.into_iter().for_each(|chunk| joiner.push(chunk, &mut out));
        joiner.finish(&mut out);
        let text = |chunk: &LogChunk| String::from_utf8(chunk.bytes.to_vec()).unwrap();
        out.iter().map(|one| (text(one), one.batch.continues, one.batch.open)).collect()
    }

    fn whole(text: &str) -> (String, bool, bool) {
        (text.to_owned(), false, !text.ends_with('\n'))
    }

    #[test]
    fn pieces_become_lines() {
        let out = joined(vec![
            chunk("a\nb1 ", false, true),
            chunk("b2 ", true, true),
            chunk("b3\nc\nd1 ", true, true),
            chunk("d2\n", true, false),
            chunk("e", false, false),
        ]);
        let lines = ["a\n", "b1 b2 b3\n", "c\n", "d1 d2\n", "e"];
        assert_eq!(out, lines.map(whole));
    }

    #[test]
    fn a_line_whose_end_is_missing_is_not_glued_to_the_next() {
        let out = joined(vec![chunk("a1", false, true), chunk("b\nc\n", false, false)]);
        assert_eq!(out, ["a1", "b\n", "c\n"].map(whole));
        assert_eq!(joined(vec![chunk("a1", false, true)]), [whole("a1")]);
        let rest = joined(vec![chunk("a2\n", true, false)]);
        assert_eq!(rest, [("a2\n".to_owned(), true, false)]);
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_parts() {
        let (mut joiner, mut out) = (LineJoiner::default(), Vec::new());
        let piece = "x".repeat(64 * 1024);
        for number in 0..600 {
            joiner.push(chunk(&piece, number > 0, true), &mut out);
            assert!(joiner.started.values().all(|line| line.len < LineJoiner::LONGEST));
        }
        joiner.push(chunk("end\n", true, false), &mut out);
        let parts: Vec<_> =
            out.iter().map(|one| (one.bytes.len(), one.batch.continues, one.batch.open)).collect();
        let long = LineJoiner::LONGEST;
        let rest = 600 * piece.len() - 2 * long + 4;
        assert_eq!(parts, [(long, false, true), (long, true, true), (rest, true, false)]);
    }
}
