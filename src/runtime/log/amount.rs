use std::ops::{Add, AddAssign, SubAssign};

/// So much of what services printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Lines; each piece of a line of more than 64 KiB counts as one.
    pub lines: u64,
    /// Their bytes, with line ends.
    pub bytes: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { lines: 0, bytes: 0 };

    /// How much more this is than `before`; nothing where it is less.
    pub fn since(self, before: Amount) -> Amount {
        Amount {
            lines: self.lines.saturating_sub(before.lines),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    /// Whether there is nothing of it.
    pub fn is_zero(&self) -> bool {
        *self == Amount::ZERO
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        // Numbers from a file on disk may be anything.
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
