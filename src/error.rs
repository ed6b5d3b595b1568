//! Exit codes, and how errors are rendered.

use crate::model::Message;

/// Exit codes of `devstack`. They are stable.
pub mod exit {
    /// Success.
    pub const OK: i32 = 0;
    /// Failure; at least one service failed.
    pub const FAILED: i32 = 1;
    /// An error on the command line or in the configuration; nothing was started or changed.
    pub const USAGE: i32 = 2;
    /// No stack is running in this directory, or unknown service.
    pub const NOT_RUNNING: i32 = 3;
    /// A stack is already running in this directory.
    pub const BUSY: i32 = 4;
    /// The output was closed: 128 plus the number of SIGPIPE.
    pub const OUTPUT_CLOSED: i32 = 141;
    /// `run`: a service failed before it was ready.
    pub const RUN_FAILED_BEFORE_READY: i32 = 120;
    /// `run`: the stack was not ready in time.
    pub const RUN_NOT_READY: i32 = 121;
    /// `run`: a service exited while the command ran, and the command itself exited with 0.
    pub const RUN_SERVICE_DIED: i32 = 122;
    /// `run`: devstack could not verify that no process is left.
    pub const RUN_NOT_CLEAN: i32 = 123;
    /// `run`: `--timeout` expired.
    pub const RUN_TIMEOUT: i32 = 124;
    /// `run`: the command is not executable.
    pub const RUN_NOT_EXECUTABLE: i32 = 126;
    /// `run`: the command was not found.
    pub const RUN_NOT_FOUND: i32 = 127;
}

/// Formats a message for the user: `error: …`, then a `help: …` line for each line of help.
pub fn render_message(message: &Message) -> String {
    let help = message.help.lines().map(|line| format!("  help: {line}\n"));
    format!("error: {}\n", message.text) + &help.collect::<String>()
}

/// Formats a message for the user or as JSON, with line ends.
pub fn render(message: &Message, as_json: bool) -> String {
    if as_json { json(message) + "\n" } else { render_message(message) }
}

/// Formats a message as JSON: `{"error": {"class", "text", "help"}}`.
pub fn json(message: &Message) -> String {
    serde_json::json!({ "error": message }).to_string()
}
