//! The exit codes of `devstack`.

use crate::model::MessageClass;

/// The exit code of a command. The codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(pub i32);

impl ExitCode {
    /// Success.
    pub const OK: ExitCode = ExitCode(0);
    /// Failure; at least one service failed.
    pub const FAILED: ExitCode = ExitCode(1);
    /// An error on the command line or in the configuration; nothing was started or changed.
    pub const USAGE: ExitCode = ExitCode(2);
    /// No stack is running in this directory, or unknown service.
    pub const NOT_RUNNING: ExitCode = ExitCode(3);
    /// A stack is already running in this directory.
    pub const BUSY: ExitCode = ExitCode(4);
    /// A bug in devstack ended the stack.
    pub const INTERNAL: ExitCode = ExitCode(70);
    pub const OUTPUT_CLOSED: ExitCode = ExitCode::of_signal(libc::SIGPIPE);
    /// `run`: a service failed before it was ready.
    pub const RUN_FAILED_BEFORE_READY: ExitCode = ExitCode(120);
    /// `run`: the stack was not ready in time.
    pub const RUN_NOT_READY: ExitCode = ExitCode(121);
    /// `run`: a service exited while the command ran, and the command itself exited with 0.
    pub const RUN_SERVICE_DIED: ExitCode = ExitCode(122);
    /// `run`: devstack could not verify that no process is left.
    pub const RUN_NOT_CLEAN: ExitCode = ExitCode(123);
    /// `run`: `--timeout` expired.
    pub const RUN_TIMEOUT: ExitCode = ExitCode(124);
    /// `run`: a bug in devstack ended the stack.
    pub const RUN_INTERNAL: ExitCode = ExitCode(125);
    /// `run`: the command is not executable.
    pub const RUN_NOT_EXECUTABLE: ExitCode = ExitCode(126);
    /// `run`: the command was not found.
    pub const RUN_NOT_FOUND: ExitCode = ExitCode(127);

    /// Returns the code of a command that was ended by a signal.
    pub const fn of_signal(signal: i32) -> ExitCode {
        ExitCode(128 + signal)
    }

    /// Returns the code of a command that fails with a message of this class.
    pub fn of(class: MessageClass) -> ExitCode {
        match class {
            MessageClass::Usage | MessageClass::Config => ExitCode::USAGE,
            MessageClass::NotRunning => ExitCode::NOT_RUNNING,
            _ => ExitCode::FAILED,
        }
    }
}
