use std::io::{self, stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Every key goes to whoever reads, and what is written is shown as it is. Dropping it gives the terminal back as it
/// was, also when somebody panics.
pub(super) struct RawMode {
    before: Termios,
    raw: Termios,
}

impl RawMode {
    /// Begins it for the terminal on stdin.
    ///
    /// # Errors
    /// What the system says when there is none.
    pub fn begin() -> io::Result<RawMode> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let mode = RawMode { before, raw };
        tcsetattr(stdin(), OptionalActions::Now, &mode.raw)?;
        Ok(mode)
    }

    /// Begins it once more: somebody else has had the terminal.
    pub fn again(&self) {
        // When the terminal is gone, whoever reads it hears of that.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.raw);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Not after the output is through: a terminal that stands still would keep us here.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
