use std::io::{self, stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Raw mode: keys and output are not processed. Dropping it restores the terminal, even in a panic.
pub(crate) struct RawMode {
    before: Termios,
    raw: Termios,
}

impl RawMode {
    /// Switches the terminal on stdin to raw mode; fails if there is none.
    pub fn begin() -> io::Result<RawMode> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let mode = RawMode { before, raw };
        tcsetattr(stdin(), OptionalActions::Now, &mode.raw)?;
        Ok(mode)
    }

    /// Switches to raw mode again, after another program has used the terminal.
    pub fn again(&self) {
        // If the terminal is gone, the reader notices.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.raw);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // `Now` does not wait for pending output: a paused terminal would block.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
