//! Commands of this program, run for an agent: what they print is read, never passed on to stdout,
//! which belongs to the protocol.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};

/// Most of what is kept of an output, in bytes: far more than any answer passes on.
const MOST: u64 = 16 * 1024 * 1024;

/// Runs commands of this program on the configuration that the server was started with.
#[derive(Debug, Clone)]
pub(super) struct OwnProgram {
    pub program: PathBuf,
    /// As given with `-f`.
    pub files: Vec<PathBuf>,
}

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(super) struct CommandResult {
    pub success: bool,
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Its arguments do not fit: they come from the agent.
    pub misused: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// What to do about arguments that do not fit.
const SEE_SCHEMA: &str = "see the input schema of the tool";

/// How errors are printed with `--json`.
#[derive(Deserialize)]
struct PrintedError {
    error: Message,
}

impl CommandResult {
    fn of(status: ExitStatus, stderr: Vec<u8>) -> CommandResult {
        let misused = status.code() == Some(ExitCode::USAGE.0);
        CommandResult {
            success: status.success(),
            code: status.code(),
            misused,
            stdout: Vec::new(),
            stderr,
        }
    }

    /// Returns what it printed.
    ///
    /// # Errors
    /// It failed; this is its message.
    pub fn output(self) -> Result<Vec<u8>, Message> {
        if self.success { Ok(self.stdout) } else { Err(self.failure()) }
    }

    /// Returns the message of a command that failed.
    pub fn failure(&self) -> Message {
        let text = String::from_utf8_lossy(&self.stderr);
        let printed = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        if let Some(PrintedError { error }) = printed {
            return error;
        }
        let text = text.trim().trim_start_matches("error: ");
        let text = if text.is_empty() { "the command failed without a message" } else { text };
        if !self.misused {
            return Message::new(MessageClass::Internal, text);
        }
        // The message tells people what to type next.
        let text = text.split("\n\nUsage:").next().unwrap_or_default();
        let text = text.split("\n\nFor more information").next().unwrap_or_default();
        Message::new(MessageClass::Usage, text).help(SEE_SCHEMA)
    }
}

impl OwnProgram {
    /// This program.
    ///
    /// # Errors
    /// The system does not know its path.
    pub fn current(files: Vec<PathBuf>) -> io::Result<OwnProgram> {
        // An update replaces the file; this link still leads to the running one.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() { link.to_owned() } else { std::env::current_exe()? };
        Ok(OwnProgram { program, files })
    }

    /// Runs a command to its end. Dropping the future kills the command.
    pub async fn run(&self, args: &[&str]) -> Result<CommandResult, Message> {
        self.finish(self.command(args).kill_on_drop(true)).await
    }

    /// Runs a command to its end, which comes even if this future is dropped.
    pub async fn run_detached(&self, args: &[&str]) -> Result<CommandResult, Message> {
        self.finish(&mut self.command(args)).await
    }

    async fn finish(&self, command: &mut Command) -> Result<CommandResult, Message> {
        let (mut child, stdout, stderr) = spawn(command).map_err(|error| not_started(&error))?;
        let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
        let status = child.wait().await.map_err(|error| not_started(&error))?;
        Ok(CommandResult { stdout, ..CommandResult::of(status, stderr) })
    }

    /// Runs a command and hands over each line of its output, until it ends or `take` returns false.
    pub async fn lines(
        &self,
        args: &[&str],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Message> {
        let started = spawn(self.command(args).kill_on_drop(true));
        let (mut child, stdout, stderr) = started.map_err(|error| not_started(&error))?;
        let mut errors = std::pin::pin!(read(stderr));
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        let (mut line, mut reported) = (Vec::new(), None);
        loop {
            line.clear();
            let next = async {
                tokio::select! {
                    text = &mut errors, if reported.is_none() => {
                        reported = Some(text);
                        stdout.read_until(b'\n', &mut line).await
                    }
                    read = stdout.read_until(b'\n', &mut line) => read,
                }
            };
            if matches!(next.await, Ok(0) | Err(_)) {
                break;
            }
            if !take(line.trim_ascii_end()) {
                // The command is dropped, and so killed.
                return Ok(());
            }
        }
        let stderr = match reported {
            Some(text) => text,
            None => errors.await,
        };
        let status = child.wait().await.map_err(|error| not_started(&error))?;
        CommandResult::of(status, stderr).output().map(drop)
    }

    fn command(&self, args: &[&str]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "a command of devstack, not a service: nothing else of it is signalled by pid"
        )]
        let mut command = Command::new(&self.program);
        for file in &self.files {
            command.args([OsString::from("-f"), file.clone().into_os_string()]);
        }
        command.args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its output is for this program, not for a terminal or a job's log.
        command.env_remove("GITHUB_ACTIONS").env_remove("FORCE_COLOR").env_remove("CLICOLOR_FORCE");
        command.env_remove("DEVSTACK_LOG").env("NO_COLOR", "1");
        command
    }
}

fn spawn(command: &mut Command) -> io::Result<(Child, ChildStdout, ChildStderr)> {
    let mut child = command.spawn()?;
    let missing = || io::Error::other("no pipe");
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    Ok((child, stdout, stderr))
}

/// Reads to the end, but keeps only the start of what is too long.
async fn read(mut output: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    // Errors end the output like its end.
    let _ = (&mut output).take(MOST).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    kept
}

fn not_started(error: &io::Error) -> Message {
    // A NUL byte, or more than a command line can have.
    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong) {
        return Message::new(MessageClass::Usage, format!("the arguments cannot be used: {error}"))
            .help(SEE_SCHEMA);
    }
    Message::new(MessageClass::Limit, format!("cannot run a command of devstack: {error}"))
        .help("check `ulimit -a`: the system may be out of processes, memory or file descriptors")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn failed(stderr: &str) -> Message {
        exited(1, stderr)
    }

    fn exited(code: i32, stderr: &str) -> Message {
        CommandResult::of(ExitStatus::from_raw(code << 8), stderr.into()).output().unwrap_err()
    }

    #[test]
    fn arguments_that_do_not_fit_are_a_mistake_of_the_agent() {
        let printed = "error: invalid value '(' for '--grep <PATTERN>': unclosed group\n\nFor more information, try '--help'.\n";
        let message = exited(2, printed);
        assert_eq!(message.class, MessageClass::Usage);
        assert_eq!(message.text, "invalid value '(' for '--grep <PATTERN>': unclosed group");
        assert_eq!(failed(printed).class, MessageClass::Internal);
    }

    #[tokio::test]
    async fn what_no_command_line_can_have_is_a_mistake_of_the_agent() {
        let program = OwnProgram { program: "/bin/true".into(), files: Vec::new() };
        for argument in ["a\0b".to_owned(), "a".repeat(16 << 20)] {
            let message = program.run(&[&argument]).await.unwrap_err();
            assert_eq!(message.class, MessageClass::Usage, "{message:?}");
        }
    }

    #[test]
    fn the_message_of_a_command_is_found() {
        let json =
            "note: x\n{\"error\":{\"class\":\"not-running\",\"help\":\"h\",\"text\":\"t\"}}\n";
        let expected = Message::new(MessageClass::NotRunning, "t").help("h");
        assert_eq!(failed(json), expected);
        assert_eq!(failed("error: a\nb\n").text, "a\nb");
        assert!(!failed("").text.is_empty());
    }
}
