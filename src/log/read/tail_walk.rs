use std::cmp::Reverse;

use bytes::Bytes;

use super::line_filter::LineFilter;
use super::line_joiner::LineJoiner;
use crate::log::line_split;
use crate::log::store::IndexEntry;

/// A walk back over entries that counts lines. A long line counts once, with all its pieces.
pub(super) struct TailWalk<'a> {
    lines: u64,
    found: u64,
    /// Number of the first line that was counted.
    first: u64,
    /// Number of the first line to return, by stream: before `first` if a long line began there.
    from: [Option<u64>; 2],
    /// The first line of a stream is the rest of a long one, whose start lies further back.
    headless: [bool; 2],
    /// The same for a search, which needs the whole line.
    ends: [Option<LineTail>; 2],
    /// The lines that a search found.
    hits: Vec<FoundLine>,
    wanted: &'a LineFilter,
}

/// The last pieces of a long line.
struct LineTail {
    /// The numbers of its first and last piece.
    first: u64,
    last: u64,
    /// The last one first.
    pieces: Vec<Bytes>,
    len: usize,
}

struct FoundLine {
    stream: usize,
    /// The numbers of its first and last piece.
    first: u64,
    last: u64,
}

impl TailWalk<'_> {
    pub fn new(lines: u64, wanted: &LineFilter) -> TailWalk<'_> {
        TailWalk {
            lines,
            found: 0,
            first: 0,
            from: [None; 2],
            headless: [false; 2],
            ends: [None, None],
            hits: Vec::new(),
            wanted,
        }
    }

    /// Counts an entry and returns whether to walk on.
    pub fn back(
        &mut self,
        batch: &IndexEntry,
        bytes: impl FnOnce(&IndexEntry) -> Option<Bytes>,
    ) -> bool {
        if self.is_done() {
            return false;
        }
        if self.wanted.before.is_some_and(|before| batch.seq >= before) {
            return true;
        }
        let stream = batch.stream as usize;
        if batch.lost || !self.wanted.accepts_entry(batch) {
            self.headless[stream] = false;
            self.end_line(stream);
            return !self.is_done();
        }
        if !self.wanted.accepts_all() {
            match bytes(batch) {
                Some(bytes) => self.search(batch, &bytes),
                None => self.end_line(stream),
            }
            return !self.is_done();
        }
        let mut end = batch.seq_end().min(self.wanted.before.unwrap_or(u64::MAX));
        if self.headless[stream] {
            // Its last line goes on in what was already counted.
            end -= 1;
            self.begin(batch, end);
        }
        let wanted = (end - batch.seq).min(self.lines - self.found);
        if wanted > 0 {
            self.found += wanted;
            self.first = end - wanted;
            self.begin(batch, self.first);
        }
        !self.is_done()
    }

    fn is_done(&self) -> bool {
        // A long line may end after lines of the other stream that were found already.
        let whole = self.headless == [false; 2] && self.ends.iter().all(Option::is_none);
        self.found >= self.lines && whole
    }

    /// Begins the lines of a stream at this one of an entry.
    fn begin(&mut self, batch: &IndexEntry, seq: u64) {
        let stream = batch.stream as usize;
        self.from[stream] = Some(seq);
        self.headless[stream] = seq == batch.seq && batch.continues;
    }

    fn search(&mut self, batch: &IndexEntry, bytes: &Bytes) {
        let stream = batch.stream as usize;
        if !batch.more {
            self.end_line(stream);
        }
        let lines: Vec<&[u8]> = line_split::lines(bytes).collect();
        for (at, line) in lines.into_iter().enumerate().rev() {
            let seq = batch.seq + at as u64;
            if self.wanted.before.is_some_and(|before| seq >= before) {
                continue;
            }
            let goes_back = at == 0 && batch.continues;
            if self.ends[stream].is_none() && !goes_back {
                self.count(stream, seq, seq, line);
                continue;
            }
            let empty = LineTail { first: seq, last: seq, pieces: Vec::new(), len: 0 };
            let end = self.ends[stream].get_or_insert(empty);
            end.first = seq;
            end.len += line.len();
            end.pieces.push(bytes.slice_ref(line));
            if !goes_back || end.len >= LineJoiner::LONGEST {
                self.end_line(stream);
            }
        }
    }

    /// Searches what there is of a long line.
    fn end_line(&mut self, stream: usize) {
        let Some(end) = self.ends[stream].take() else { return };
        let pieces: Vec<&[u8]> = end.pieces.iter().rev().map(|piece| &**piece).collect();
        self.count(stream, end.first, end.last, &pieces.concat());
    }

    fn count(&mut self, stream: usize, first: u64, last: u64, line: &[u8]) {
        if self.wanted.accepts(line) {
            self.found += 1;
            self.hits.push(FoundLine { stream, first, last });
        }
    }

    /// Returns the number of the first line to return, by stream; `None` if none is wanted.
    pub fn finish(mut self) -> Option<[u64; 2]> {
        (0..self.ends.len()).for_each(|stream| self.end_line(stream));
        if self.found == 0 {
            return None;
        }
        if !self.hits.is_empty() {
            self.hits.sort_unstable_by_key(|hit| Reverse(hit.last));
            let kept = usize::try_from(self.lines).unwrap_or(usize::MAX).min(self.hits.len());
            let (kept, others) = self.hits.split_at(kept);
            self.first = kept.iter().map(|hit| hit.first).min()?;
            for stream in 0..self.from.len() {
                let first = kept.iter().filter(|hit| hit.stream == stream).map(|hit| hit.first);
                let others = others.iter().filter(|hit| hit.stream == stream);
                let after = others.map(|hit| hit.last + 1).max();
                self.from[stream] = first.min().or(after);
            }
        }
        Some(self.from.map(|from| from.unwrap_or(self.first)))
    }
}
