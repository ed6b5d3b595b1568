//! The commands of `run` and `exec`: what their first word means, and why they could not be started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::program::{NoProgram, resolve};
use super::refusal;
use super::wire::Stage;
use crate::model::{Class, Message};

/// Why a command was not started, as a shell tells it apart.
#[derive(Debug)]
pub enum NotStarted {
    /// There is no such program.
    Missing(Message),
    /// There is one, but it cannot be executed.
    NotExecutable(Message),
}

/// The program that the first word of a command means, for one who is in `dir` and searches `path`.
///
/// # Errors
/// Why it means none.
pub fn locate(word: &OsStr, dir: &Path, path: Option<&OsString>) -> Result<PathBuf, NotStarted> {
    // A name that is not text is for the system to find.
    let Some(text) = word.to_str() else { return Ok(PathBuf::from(word)) };
    resolve(text, dir, path.map(OsString::as_os_str)).map_err(|no| match no {
        NoProgram::Missing(_) => NotStarted::Missing(missing(text, dir)),
        NoProgram::NotExecutable(_) | NoProgram::Folder(_) => {
            NotStarted::NotExecutable(refusal::no_program(text, dir, &no))
        }
    })
}

/// Why the system did not execute `program`.
pub fn refused(program: &Path, dir: &Path, error: &io::Error) -> NotStarted {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    NotStarted::NotExecutable(refusal::failed(Stage::Exec, errno, program, dir))
}

/// Becomes a command in a folder with an environment and a stdout: the terminal, signals and the exit code are its own.
/// Comes back only when that cannot be.
pub fn replace(
    words: &[OsString],
    dir: &Path,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    stdout: Stdio,
) -> NotStarted {
    use std::os::unix::process::CommandExt;

    // Whoever may be in a folder finds this in it, also who may not list it.
    if let Err(error) = std::fs::metadata(dir.join(".")) {
        return NotStarted::NotExecutable(refusal::no_dir(dir, &error));
    }
    let env: BTreeMap<OsString, OsString> = env.into_iter().collect();
    let program = match locate(&words[0], dir, env.get(OsStr::new("PATH"))) {
        Ok(program) => program,
        Err(no) => return no,
    };
    let mut command = std::process::Command::new(&program);
    command.arg0(&words[0]).args(&words[1..]).current_dir(dir).env_clear().envs(env);
    command.stdout(stdout);
    refused(&program, dir, &command.exec())
}

fn missing(word: &str, dir: &Path) -> Message {
    let message = Message::new(Class::Spawn, format!("there is no command `{word}`"));
    match word {
        "" => message.help("name a command after `--`"),
        _ if word.contains(char::is_whitespace) => message
            .help(format!("it is searched as one word: write -- {word}, or -- sh -c '{word}'")),
        _ if word.contains('/') => message.help(format!("the path starts from {}", dir.display())),
        _ if dir.join(word).exists() => message.help(format!("it is not on PATH; write ./{word}")),
        _ => message.help("install it, correct the word after `--`, or name it with its path"),
    }
}
