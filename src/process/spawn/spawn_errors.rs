//! Messages for programs that could not be started.

use std::io::{self};
use std::path::{Path, PathBuf};

use super::argv::display_command;
use super::program_lookup::ProgramError;
use crate::model::{CommandLine, Message, MessageClass, ProcessExit};
use crate::regular_file::read_linked;
use crate::sys::fork_exec::StartStage;

/// Bytes read to find a `#!` line: the kernel reads no more of it.
const HEAD: u64 = 256;

fn spawn_error(text: String, help: impl Into<String>) -> Message {
    Message::new(MessageClass::Spawn, text).help(help)
}

pub(super) fn no_command() -> Message {
    spawn_error("the command is empty".to_owned(), "set what to run: command = \"flask run\"")
}

pub(super) fn no_dir(dir: &Path, error: &io::Error) -> Message {
    let dir = dir.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            spawn_error(format!("no such directory: {dir}"), "create it, or fix `dir`")
        }
        io::ErrorKind::NotADirectory => spawn_error(
            format!("{dir} is not a directory"),
            "set `dir` to the directory to run the command in",
        ),
        _ => spawn_error(
            format!("cannot enter {dir}: {}", os_error_text(error)),
            format!("check its permissions with `ls -ld {dir}`"),
        ),
    }
}

pub(super) fn no_program(word: &str, dir: &Path, no: &ProgramError) -> Message {
    match no {
        ProgramError::Missing(tried) if word.contains('/') => {
            let path = tried.first().map_or(Path::new(word), PathBuf::as_path).display();
            let help = format!(
                "a path with a slash is relative to the service's directory, {}",
                dir.display()
            );
            spawn_error(format!("no such program: {path}"), help)
        }
        ProgramError::Missing(tried) => {
            let dirs: Vec<String> =
                tried.iter().filter_map(|f| f.parent()).map(|f| f.display().to_string()).collect();
            let help = format!(
                "install it, fix `command`, or use ./{word} for a file in {}",
                dir.display()
            );
            spawn_error(format!("program `{word}` not found on PATH"), help)
                .detail(format!("searched PATH: {}", dirs.join(":")))
        }
        ProgramError::NotExecutable(file) => not_executable(file),
        ProgramError::Directory(file) => {
            spawn_error(format!("{} is a directory", file.display()), "name a program inside it")
        }
    }
}

/// Adds how to install a program that is required.
pub(super) fn not_installed(message: Message, install: &str) -> Message {
    match message.class {
        MessageClass::Spawn => {
            let help = format!(
                "install it: {install}; or {}",
                message.help.trim_start_matches("install it, ")
            );
            message.help(help)
        }
        _ => message,
    }
}

fn not_executable(file: &Path) -> Message {
    let file = file.display();
    spawn_error(format!("{file} is not executable"), format!("run `chmod +x {file}`"))
}

pub(super) fn contains_nul(before: &str) -> Message {
    let text = format!("NUL byte after `{before}` in the command or environment");
    spawn_error(text, "remove it: arguments and variables cannot contain NUL")
}

pub(super) fn too_long() -> Message {
    let text = "command and environment are too large for this system";
    spawn_error(text.to_owned(), "pass the data in a file; see `getconf ARG_MAX` for the limit")
}

pub(crate) fn stop_command_failed(command: &CommandLine, why: &str, signal: i32) -> Message {
    let command = display_command(command);
    let signal = ProcessExit::Signal(signal);
    let text = format!("stop command `{command}` {why}; sending {signal} instead");
    let help = "fix `stop.command`; its output is in the service's log";
    Message::new(MessageClass::StopTimeout, text).help(help)
}

/// The system is out of something a run needs.
pub(crate) fn out_of_resources(what: &str, error: &io::Error) -> Message {
    let text = format!("cannot allocate {what} for this service: {}", os_error_text(error));
    let help = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "raise the open file limit: `ulimit -n 10240`",
        Some(libc::EAGAIN) => "raise the process limit (see `ulimit -u`)",
        _ => "free up memory or other resources, then start again",
    };
    Message::new(MessageClass::Limit, text).help(help)
}

/// The guard is gone, so no process could be started safely.
pub(crate) fn guard_lost() -> Message {
    Message::new(MessageClass::Internal, "devstack's guard process was killed")
        .help("run `devstack up` again")
}

pub(crate) fn start_failed(stage: StartStage, errno: i32, program: &Path, dir: &Path) -> Message {
    let error = io::Error::from_raw_os_error(errno);
    match stage {
        StartStage::Fork => out_of_resources("a process", &error),
        StartStage::Keeper => out_of_resources("a process", &error),
        StartStage::Dir => no_dir(dir, &error),
        StartStage::Exec => exec_failed(errno, &error, program),
    }
}

fn exec_failed(errno: i32, error: &io::Error, program: &Path) -> Message {
    let shown = program.display();
    match errno {
        libc::ENOENT => missing_interpreter(program),
        libc::EACCES => match interpreter(program) {
            Some(interpreter) if Path::new(&interpreter).exists() => {
                let text = format!("{shown} or its interpreter {interpreter} is not executable");
                spawn_error(
                    text,
                    format!("check their permissions with `ls -l {shown} {interpreter}`"),
                )
            }
            _ => not_executable(program),
        },
        libc::ENOEXEC => {
            let text = format!(
                "{shown} is neither a program for this machine nor a script with a `#!` line"
            );
            let help = "add a first line such as #!/bin/sh, or build the program for this machine";
            spawn_error(text, help)
        }
        libc::ETXTBSY => {
            let text = format!("{shown} is still being written by another process");
            spawn_error(text, "make the service depend on the build (depends_on a task)")
        }
        libc::E2BIG => too_long(),
        libc::ELOOP | libc::ENAMETOOLONG | libc::ENOTDIR => spawn_error(
            format!("cannot resolve the path {shown}: {}", os_error_text(error)),
            "fix `command`",
        ),
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE => {
            out_of_resources("a process", error)
        }
        _ => spawn_error(
            format!("cannot execute {shown}: {}", os_error_text(error)),
            format!("check its permissions with `ls -l {shown}`"),
        ),
    }
}

/// The program was found a moment ago, so the kernel usually misses its interpreter or loader.
fn missing_interpreter(program: &Path) -> Message {
    let shown = program.display();
    match interpreter(program) {
        Some(name) if name.ends_with('\r') => {
            let text = format!("the `#!` line of {shown} ends with a carriage return");
            spawn_error(text, format!("run `sed -i 's/\\r$//' {shown}`"))
        }
        Some(name) => {
            let text = format!("bad interpreter: {shown} needs {name}, which does not exist");
            spawn_error(
                text,
                "install it, or fix the first line of the script (#!/usr/bin/env NAME)",
            )
        }
        None if program.exists() => {
            let text = format!("{shown} needs a loader that this system does not have");
            spawn_error(text, format!("check with `file {shown}`; it was built for another system"))
        }
        None => spawn_error(
            format!("no such program: {shown}"),
            "build it again; it has just been removed",
        ),
    }
}

/// Returns the interpreter of a `#!` line.
fn interpreter(program: &Path) -> Option<String> {
    let head = read_linked(program, HEAD).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.trim_start_matches([' ', '\t']).split([' ', '\t']).next().map(str::to_owned)
}

/// The system's error text without `(os error 2)`.
fn os_error_text(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut words = text[..end].to_owned();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_remedy() {
        let (program, dir) = (Path::new("/no/such/program"), Path::new("/no/dir"));
        for stage in [StartStage::Fork, StartStage::Keeper, StartStage::Dir, StartStage::Exec] {
            for errno in 1..134 {
                let message = start_failed(stage, errno, program, dir);
                assert!(!message.help.is_empty(), "{message:?}");
                assert!(
                    !message.text.ends_with('.') && !message.text.contains("os error"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn scripts_are_looked_into() {
        let root = tempfile::tempdir().expect("temp dir");
        let script = root.path().join("run");
        let refusal = |text: &str| {
            std::fs::write(&script, text).expect("writable");
            start_failed(StartStage::Exec, libc::ENOENT, &script, root.path()).text
        };
        assert!(refusal("#!/no/ruby -w\n").contains("needs /no/ruby, which"));
        assert!(refusal("#! /bin/sh\r\n").contains("carriage return"));
        assert!(refusal("\x7fELF").contains("loader"));
    }
}
