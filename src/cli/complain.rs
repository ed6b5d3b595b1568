use std::io::{self, Write};

use crate::control::Failure;
use crate::error;
use crate::model::Message;

/// Why a command cannot go on.
pub(super) enum Trouble {
    /// The stack did not do what was asked.
    Failure(Failure),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failure(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Output(error)
    }
}

/// Ends a command: says what was wrong and gives the exit code.
pub(super) fn end(result: Result<(), Trouble>, json: bool, err: &mut dyn Write) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Trouble::Failure(failure)) => {
            // When not even this can be written, the exit code has to say it.
            let _ = complain(failure.message(), json, err);
            failure.exit_code()
        }
        // Who reads the output has seen enough: `devstack logs | head -1`.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Trouble::Output(error)) => {
            let _ = writeln!(err, "error: cannot write the output: {error}");
            1
        }
    }
}

/// Says on stderr why a command does nothing; gives back the exit code.
pub(super) fn refuse(message: &Message, code: i32, as_json: bool) -> i32 {
    // When not even this can be written, the exit code has to say it.
    let _ = io::stderr().write_all(error::said(message, as_json).as_bytes());
    code
}

/// Prints the answer of a command; the exit code.
pub(super) fn print(text: &str) -> i32 {
    print_bytes(text.as_bytes())
}

/// The same for what need not be text.
pub(super) fn print_bytes(bytes: &[u8]) -> i32 {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let printed = out.write_all(bytes).and_then(|()| out.flush());
    end(printed.map_err(Trouble::Output), false, &mut err)
}

/// Says why something is not so.
pub(super) fn complain(message: &Message, json: bool, err: &mut dyn Write) -> io::Result<()> {
    if json {
        return writeln!(err, "{}", error::json(message));
    }
    writeln!(err, "error: {}", printable(&message.text))?;
    match message.help.is_empty() {
        true => Ok(()),
        false => writeln!(err, "  help: {}", printable(&message.help)),
    }
}

/// The text on one line and without anything that a terminal would obey: it may quote what a
/// service printed or how a stranger called a file.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
