use std::ops::{Add, AddAssign, SubAssign};

/// A number of lines and bytes in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Lines. Each piece of a line longer than 64 KiB counts as one.
    pub lines: u64,
    /// Bytes, line ends included.
    pub bytes: u64,
}

impl Amount {
    /// No lines and no bytes.
    pub const ZERO: Amount = Amount { lines: 0, bytes: 0 };

    /// Returns the growth since `before`, or zero where `before` is larger.
    pub fn since(self, before: Amount) -> Amount {
        Amount {
            lines: self.lines.saturating_sub(before.lines),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    /// Returns whether there are neither lines nor bytes.
    pub fn is_zero(&self) -> bool {
        *self == Amount::ZERO
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        // Saturates: numbers read from disk can be damaged.
        Amount {
            lines: self.lines.saturating_add(other.lines),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        *self = self.since(other);
    }
}
