use std::collections::VecDeque;

use super::log_row::LogRow;

/// The part of the stored log that the TUI has in memory: rows without a gap between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogWindow {
    rows: VecDeque<LogRow>,
    /// Nothing wanted is stored before the first row.
    pub at_start: bool,
}

/// Most rows that are kept.
pub const WINDOW_ROWS: usize = 2000;

impl LogWindow {
    /// Creates a window with these rows.
    pub fn new(rows: Vec<LogRow>, at_start: bool) -> LogWindow {
        LogWindow { rows: rows.into(), at_start }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the row at this index.
    pub fn row(&self, at: usize) -> Option<&LogRow> {
        self.rows.get(at)
    }

    /// Returns the rows up to and with this index, the last one first.
    pub fn back_from(&self, at: usize) -> impl Iterator<Item = &LogRow> {
        self.rows.iter().take(at + 1).rev()
    }

    /// Returns the number of the first row.
    pub fn first_seq(&self) -> Option<u64> {
        self.rows.front().map(|row| row.seq)
    }

    /// Returns the number after the last row.
    pub fn end_seq(&self) -> Option<u64> {
        self.rows.back().map(|row| row.seq + 1)
    }

    /// Returns the index of the row with this number, or of the first one after it.
    pub fn index_of(&self, seq: u64) -> usize {
        self.rows.partition_point(|row| row.seq < seq)
    }

    /// Adds newer rows; the oldest ones go. Returns how many went.
    pub fn append(&mut self, rows: Vec<LogRow>) -> usize {
        self.rows.extend(rows);
        let gone = self.rows.len().saturating_sub(WINDOW_ROWS);
        self.rows.drain(..gone);
        self.at_start &= gone == 0;
        gone
    }

    /// Adds older rows; the newest ones go.
    pub fn prepend(&mut self, rows: Vec<LogRow>) {
        for row in rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        self.rows.truncate(WINDOW_ROWS);
    }
}
