use std::io::{self, Write};

use crate::control::ClientError;
use crate::error;
use crate::model::Message;

pub(crate) enum CommandError {
    /// The stack did not do what was requested.
    Failure(ClientError),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<ClientError> for CommandError {
    fn from(failure: ClientError) -> CommandError {
        CommandError::Failure(failure)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> CommandError {
        CommandError::Output(error)
    }
}

/// Finishes a command: prints the error, if any, and returns the exit code.
pub(crate) fn finish(result: Result<(), CommandError>, json: bool, err: &mut dyn Write) -> i32 {
    match result {
        Ok(()) => 0,
        Err(CommandError::Failure(failure)) => {
            // If stderr cannot be written, the exit code still reports the error.
            let _ = report_error(failure.message(), json, err);
            failure.exit_code()
        }
        // The reader has seen enough, as in `devstack logs | head -1`.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(CommandError::Output(error)) => {
            let _ = writeln!(err, "error: cannot write output: {error}");
            1
        }
    }
}

pub(crate) fn fail(message: &Message, code: i32, as_json: bool) -> i32 {
    let _ = io::stderr().write_all(error::render(message, as_json).as_bytes());
    code
}

/// Prints the output of a command; returns the exit code.
pub(crate) fn print(text: &str) -> i32 {
    print_bytes(text.as_bytes())
}

/// Like [`print()`], for output that may not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> i32 {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let printed = out.write_all(bytes).and_then(|()| out.flush());
    finish(printed.map_err(CommandError::Output), false, &mut err)
}

pub(crate) fn report_error(message: &Message, json: bool, err: &mut dyn Write) -> io::Result<()> {
    if json {
        return writeln!(err, "{}", error::json(message));
    }
    writeln!(err, "error: {}", printable(&message.text))?;
    match message.help.is_empty() {
        true => Ok(()),
        false => writeln!(err, "  help: {}", printable(&message.help)),
    }
}

/// Replaces control characters, so that quoted output and file names cannot control the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
