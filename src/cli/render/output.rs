//! Stdout and stderr for devstack's own text. What others named or wrote is cleaned here, whatever
//! message it is part of.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use crate::cli::context;
use crate::exit_code::ExitCode;
use crate::log::LogOutput;
use crate::text::{clean, disarm_commands};

use super::CommandError;

/// Writes text without control characters, except for line ends and devstack's own colors; on GitHub
/// Actions, without workflow commands.
pub(crate) struct CleanOutput<W> {
    to: W,
    colors: bool,
    github: bool,
}

impl<W: IsTerminal> CleanOutput<W> {
    fn new(to: W) -> CleanOutput<W> {
        CleanOutput { colors: context::color(&to), github: context::is_github(), to }
    }
}

/// Returns stdout for text and JSON.
pub(crate) fn clean_stdout() -> CleanOutput<io::Stdout> {
    CleanOutput::new(io::stdout())
}

/// Returns stderr for text and JSON.
pub(crate) fn clean_stderr() -> CleanOutput<io::Stderr> {
    CleanOutput::new(io::stderr())
}

impl<W: Write> Write for CleanOutput<W> {
    /// Takes all bytes at once: callers write whole texts.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = clean(&text, self.colors);
        let text = if self.github { disarm_commands(&text) } else { text };
        self.to.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    /// As one text: its parts alone do not show where a line begins.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes to stderr. If that fails, the exit code still reports the error.
pub(crate) fn warn(text: &str) {
    let _ = clean_stderr().write_all(text.as_bytes());
}

pub(crate) fn print(text: &str) -> Result<ExitCode, CommandError> {
    let mut out = clean_stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::OK)
}

/// Prints what may not be text: exact, except on a terminal.
pub(crate) fn print_exact(bytes: &[u8]) -> Result<ExitCode, CommandError> {
    if io::stdout().is_terminal() {
        return print(&String::from_utf8_lossy(bytes));
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(ExitCode::OK)
}

/// Makes the log begin at the start of a line: the last one of the command may have no end.
pub(crate) fn begin_line(json: bool) {
    if let Some(columns) = LogOutput::Stderr.columns() {
        // As many blanks as columns: they wrap, unless the cursor is at the start of a line.
        // If that fails, the log cannot be shown either.
        // In one write, so that it cannot get into a line of the log.
        let _ = io::stderr().write_all(format!("{:columns$}\r", "").as_bytes());
        return;
    }
    let [out, err] = [rustix::stdio::stdout(), rustix::stdio::stderr()].map(rustix::fs::fstat);
    let shared = out.ok().zip(err.ok());
    let shared = shared.is_some_and(|(a, b)| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino));
    if shared && !json {
        // What the command wrote last is not known here.
        warn("\n");
    }
}
