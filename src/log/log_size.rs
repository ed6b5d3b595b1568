use std::ops::{Add, AddAssign, SubAssign};

/// A number of lines and bytes in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogSize {
    /// Lines. Each stored piece of a line longer than 64 KiB counts as one.
    pub lines: u64,
    /// Bytes, line ends included.
    pub bytes: u64,
}

impl LogSize {
    /// No lines and no bytes.
    pub const ZERO: LogSize = LogSize { lines: 0, bytes: 0 };

    /// Returns the growth since `before`, or zero where `before` is larger.
    pub fn since(self, before: LogSize) -> LogSize {
        LogSize {
            lines: self.lines.saturating_sub(before.lines),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    /// Returns whether there are neither lines nor bytes.
    pub fn is_zero(&self) -> bool {
        *self == LogSize::ZERO
    }
}

impl Add for LogSize {
    type Output = LogSize;

    fn add(self, other: LogSize) -> LogSize {
        // Saturates: numbers read from disk can be damaged.
        LogSize {
            lines: self.lines.saturating_add(other.lines),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for LogSize {
    fn add_assign(&mut self, other: LogSize) {
        *self = *self + other;
    }
}

impl SubAssign for LogSize {
    fn sub_assign(&mut self, other: LogSize) {
        *self = self.since(other);
    }
}
