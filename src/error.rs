//! Exit codes, and the one way in which errors are shown.

use crate::model::Message;

/// What `devstack` says to the shell when it ends. `product.md` of the design calls these stable.
pub mod exit {
    /// What was asked is so.
    pub const OK: i32 = 0;
    /// It failed; at least one service failed.
    pub const FAILED: i32 = 1;
    /// A mistake on the command line or in the configuration; nothing was started or changed.
    pub const USAGE: i32 = 2;
    /// No running stack here, or no such service.
    pub const NOT_RUNNING: i32 = 3;
    /// A stack is running here already.
    pub const BUSY: i32 = 4;
    /// Nobody reads the output any more: 128 and the number of SIGPIPE.
    pub const OUTPUT_CLOSED: i32 = 141;
    /// `run`: a service failed before it was ready.
    pub const RUN_FAILED_BEFORE_READY: i32 = 120;
    /// `run`: the stack was not ready in time.
    pub const RUN_NOT_READY: i32 = 121;
    /// `run`: a service died while the command ran, which itself ended with 0.
    pub const RUN_SERVICE_DIED: i32 = 122;
    /// `run`: it could not be proved that nothing is left.
    pub const RUN_UNPROVED: i32 = 123;
    /// `run`: `--timeout` was over.
    pub const RUN_TIMEOUT: i32 = 124;
    /// `run`: the command is not executable.
    pub const RUN_NOT_EXECUTABLE: i32 = 126;
    /// `run`: there is no such command.
    pub const RUN_NOT_FOUND: i32 = 127;
}

/// A message as people read it: `error: …`, then a line `help: …` when there is a remedy.
pub fn shown(message: &Message) -> String {
    let help = message.help.lines().map(|line| format!("  help: {line}\n"));
    format!("error: {}\n", message.text) + &help.collect::<String>()
}

/// A message with its line ends, for people or for programs.
pub fn said(message: &Message, as_json: bool) -> String {
    if as_json { json(message) + "\n" } else { shown(message) }
}

/// A message as programs read it: `{"error": {"class", "text", "help"}}`.
pub fn json(message: &Message) -> String {
    serde_json::json!({ "error": message }).to_string()
}
