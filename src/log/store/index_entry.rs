use crate::log::line_split;
use crate::log::log_size::LogSize;
use crate::model::{OutputStream, RunId};

/// A stretch of lines of one stream in a log file. Only the last can be without newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// When its first bytes were read, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Number of the first line within the stack; the other lines follow without gaps.
    pub seq: u64,
    pub run: RunId,
    /// Offset of the first byte in the log file.
    pub offset: u64,
    /// Length in bytes, above 0.
    pub len: u32,
    /// Number of lines, a last one without newline included. Below `LINES_END`.
    pub lines: u32,
    pub stream: OutputStream,
    /// The first line continues the previous line of this stream, which was too long.
    pub continues: bool,
    /// The last line has no newline: it was too long or the stream ended.
    pub open: bool,
    /// The last line goes on in the next entry of this stream: it was too long.
    pub more: bool,
    /// Stands for lines that could not be kept and are not in the file.
    pub lost: bool,
}

/// The number of lines and the flags share one word; the flags start here.
const LINES_END: u32 = 1 << 24;
/// No stack gets this far: a higher number is damage, a lower one can be added to without overflow.
const SEQ_END: u64 = 1 << 62;
const STDERR: u32 = 1 << 24;
const CONTINUES: u32 = 1 << 25;
const OPEN: u32 = 1 << 26;
const LOST: u32 = 1 << 27;
const MORE: u32 = 1 << 28;
const KNOWN: u32 = (LINES_END - 1) | STDERR | CONTINUES | OPEN | LOST | MORE;

impl IndexEntry {
    /// Size of an encoded entry in bytes.
    pub const SIZE: usize = 40;
    /// Largest entry that reads are joined into, in bytes: what a reader takes at once.
    pub const JOIN_MAX: usize = 256 * 1024;
    /// Largest possible entry in bytes: two long lines, or one fully escaped status line.
    const LEN_MAX: u32 = 1 << 20;
    /// Reads further apart than this, in milliseconds, are not joined, to keep timestamps useful.
    const JOIN_MS: i64 = 10;

    /// Describes lines as they were captured, without number and offset.
    pub fn captured(run: RunId, stream: OutputStream, at: i64, bytes: &[u8]) -> IndexEntry {
        let lines = line_split::count(bytes);
        IndexEntry {
            at,
            seq: 0,
            run,
            offset: 0,
            len: u32::try_from(bytes.len()).expect("a chunk is at most two long lines"),
            lines: u32::try_from(lines).expect("a chunk has no more lines than bytes"),
            stream,
            continues: false,
            open: !bytes.ends_with(b"\n"),
            more: false,
            lost: false,
        }
    }

    pub fn seq_end(&self) -> u64 {
        self.seq + u64::from(self.lines)
    }

    pub fn end(&self) -> u64 {
        if self.lost { self.offset } else { self.offset + u64::from(self.len) }
    }

    pub fn amount(&self) -> LogSize {
        LogSize { lines: self.lines.into(), bytes: self.len.into() }
    }

    /// Returns entries that stand for the `lost` lines, of which this one is the first.
    pub fn lost_entries(&self, lost: LogSize) -> Vec<IndexEntry> {
        let many = lost.lines.div_ceil(u64::from(LINES_END - 1));
        let parts = many.max(lost.bytes.div_ceil(u64::from(u32::MAX)));
        // Proportional shares, rounded such that they add up to the whole.
        let share =
            |of: u64, part: u64| (u128::from(of) * u128::from(part) / u128::from(parts)) as u64;
        let gap = |part| {
            let lines = share(lost.lines, part + 1) - share(lost.lines, part);
            let bytes = share(lost.bytes, part + 1) - share(lost.bytes, part);
            let seq = self.seq + share(lost.lines, part);
            IndexEntry {
                seq,
                len: bytes as u32,
                lines: lines as u32,
                lost: true,
                open: false,
                more: false,
                ..*self
            }
        };
        (0..parts).map(gap).collect()
    }

    /// Appends `next` if it follows directly and is of the same kind. Returns whether it did.
    pub fn join(&mut self, next: &IndexEntry) -> bool {
        let joins = self.run == next.run
            && self.stream == next.stream
            && !self.open
            && !next.continues
            && !self.lost
            && !next.lost
            && self.seq_end() == next.seq
            && self.end() == next.offset
            && self.len as usize + next.len as usize <= Self::JOIN_MAX
            && (0..Self::JOIN_MS).contains(&next.at.saturating_sub(self.at));
        if joins {
            self.len += next.len;
            self.lines += next.lines;
            (self.open, self.more) = (next.open, next.more);
        }
        joins
    }

    /// Counts the lost lines of `next` here, if both stand for lost lines and the sum fits.
    pub fn join_lost(&mut self, next: &IndexEntry) -> bool {
        let len = self.len.checked_add(next.len);
        let lines = self.lines + next.lines;
        match len {
            Some(len) if self.lost && next.lost && lines < LINES_END => {
                (self.len, self.lines) = (len, lines);
                true
            }
            Some(_) | None => false,
        }
    }

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut word = self.lines & (LINES_END - 1);
        word |= if self.stream == OutputStream::Stderr { STDERR } else { 0 };
        word |= if self.continues { CONTINUES } else { 0 };
        word |= if self.open { OPEN } else { 0 };
        word |= if self.lost { LOST } else { 0 };
        word |= if self.more { MORE } else { 0 };
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(&self.at.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.run.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.len.to_le_bytes());
        bytes[36..40].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    /// Decodes an entry; `None` for bytes that `encode` never produces.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<IndexEntry> {
        let long = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
        };
        let short = |at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes"))
        };
        let (seq, offset, len, word) = (long(8), long(24), short(32), short(36));
        let lines = word & (LINES_END - 1);
        let lost = word & LOST != 0;
        // Readers allocate `len` bytes up front, so implausible sizes are rejected.
        let sane = len > 0 && lines > 0 && lines <= len && word & !KNOWN == 0;
        let small = lost || len <= Self::LEN_MAX;
        let fits = offset.checked_add(u64::from(len)).is_some() && seq < SEQ_END;
        (sane && small && fits).then(|| IndexEntry {
            at: i64::from_le_bytes(long(0).to_le_bytes()),
            seq,
            run: RunId(long(16)),
            offset,
            len,
            lines,
            stream: if word & STDERR == 0 { OutputStream::Stdout } else { OutputStream::Stderr },
            continues: word & CONTINUES != 0,
            open: word & OPEN != 0,
            more: word & MORE != 0,
            lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> IndexEntry {
        IndexEntry {
            at: -5,
            seq: 7,
            run: RunId(3),
            offset: 100,
            len: 20,
            lines: 2,
            stream: OutputStream::Stderr,
            continues: true,
            open: false,
            more: false,
            lost: false,
        }
    }

    #[test]
    fn what_is_lost_fits_into_the_index() {
        for lost in [
            LogSize { lines: 1, bytes: 1 },
            LogSize { lines: 100_000, bytes: 10 << 32 },
            LogSize { lines: 40 << 20, bytes: 40 << 20 },
            LogSize { lines: (40 << 20) + 1, bytes: 9 << 32 },
        ] {
            let all = batch().lost_entries(lost);
            let mut sum = LogSize::ZERO;
            for gap in &all {
                assert_eq!(IndexEntry::decode(&gap.encode()), Some(*gap));
                sum += gap.amount();
            }
            assert_eq!(sum, lost);
            assert!(all.windows(2).all(|pair| pair[0].seq_end() == pair[1].seq));
        }
        assert_eq!(batch().lost_entries(LogSize::ZERO), []);
    }

    #[test]
    fn a_batch_survives_the_index() {
        assert_eq!(IndexEntry::decode(&batch().encode()), Some(batch()));
    }

    #[test]
    fn bytes_that_are_no_batch_are_refused() {
        assert_eq!(IndexEntry::decode(&[0; IndexEntry::SIZE]), None);
        assert_eq!(IndexEntry::decode(&[0xff; IndexEntry::SIZE]), None);
    }

    #[test]
    fn only_what_follows_directly_is_joined() {
        let next = IndexEntry { seq: 9, offset: 120, continues: false, ..batch() };
        let mut joined = batch();
        assert!(joined.join(&next));
        assert_eq!((joined.len, joined.lines), (40, 4));
        for other in [
            IndexEntry { seq: 10, ..next },
            IndexEntry { offset: 121, ..next },
            IndexEntry { run: RunId(4), ..next },
            IndexEntry { stream: OutputStream::Stdout, ..next },
            IndexEntry { at: 1000, ..next },
            IndexEntry { continues: true, ..next },
            IndexEntry { lost: true, ..next },
        ] {
            assert!(!batch().join(&other), "{other:?}");
        }
    }
}
