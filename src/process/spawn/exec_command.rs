//! The commands of `run` and `exec`: finds and executes the program, and explains failures.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::program_lookup::{ProgramError, find_program};
use super::spawn_errors;
use crate::model::{Message, MessageClass};
use crate::sys::fork_exec::StartStage;

/// Why a command was not started, as distinguished by shells.
#[derive(Debug)]
pub enum ExecError {
    /// There is no such program.
    Missing(Message),
    /// The program exists but cannot be executed.
    NotExecutable(Message),
}

/// Finds the program that a command's first word names, from `dir` and with this `PATH`.
///
/// # Errors
/// Why there is no such program.
pub fn locate_program(
    word: &OsStr,
    dir: &Path,
    path: Option<&OsString>,
) -> Result<PathBuf, ExecError> {
    // The system resolves a name that is not UTF-8.
    let Some(text) = word.to_str() else { return Ok(PathBuf::from(word)) };
    find_program(text, dir, path.map(OsString::as_os_str)).map_err(|no| match no {
        ProgramError::Missing(_) => ExecError::Missing(missing(text, dir)),
        ProgramError::NotExecutable(_) | ProgramError::Directory(_) => {
            ExecError::NotExecutable(spawn_errors::no_program(text, dir, &no))
        }
    })
}

/// Explains why the system did not execute `program`.
pub fn exec_refused(program: &Path, dir: &Path, error: &io::Error) -> ExecError {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    ExecError::NotExecutable(spawn_errors::start_failed(StartStage::Exec, errno, program, dir))
}

/// Replaces this process with a command. Returns only on failure.
pub fn exec(
    words: &[OsString],
    dir: &Path,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    stdout: Stdio,
) -> ExecError {
    use std::os::unix::process::CommandExt;

    // `.` is visible with permission to enter the directory; reading it is not required.
    if let Err(error) = std::fs::metadata(dir.join(".")) {
        return ExecError::NotExecutable(spawn_errors::no_dir(dir, &error));
    }
    let env: BTreeMap<OsString, OsString> = env.into_iter().collect();
    let program = match locate_program(&words[0], dir, env.get(OsStr::new("PATH"))) {
        Ok(program) => program,
        Err(no) => return no,
    };
    let mut command = std::process::Command::new(&program);
    command.arg0(&words[0]).args(&words[1..]).current_dir(dir).env_clear().envs(env);
    command.stdout(stdout);
    exec_refused(&program, dir, &command.exec())
}

fn missing(word: &str, dir: &Path) -> Message {
    let message = Message::new(MessageClass::Spawn, format!("command not found: `{word}`"));
    match word {
        "" => message.help("give a command after `--`"),
        _ if word.contains(char::is_whitespace) => {
            message.help(format!("it was taken as one word: use -- {word}, or -- sh -c '{word}'"))
        }
        _ if word.contains('/') => {
            message.help(format!("the path is relative to {}", dir.display()))
        }
        _ if dir.join(word).exists() => message.help(format!("it is not on PATH: use ./{word}")),
        _ => message.help("install it, fix the command after `--`, or give its path"),
    }
}
