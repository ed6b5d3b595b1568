//! Why a program could not be started, in words.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::parcel::Unpackable;
use super::program::NoProgram;
use super::wire::Stage;
use super::words::shown;
use crate::model::{Class, Command, Exit, Message};

/// How much of a program is read to see what it is: the kernel looks at no more of a `#!` line.
const HEAD: u64 = 256;

fn spawn(text: String, help: impl Into<String>) -> Message {
    Message::new(Class::Spawn, text).help(help)
}

/// The command has no words.
pub(super) fn no_command() -> Message {
    spawn("the command is empty".to_owned(), "say what to run: command = \"flask run\"")
}

/// There is no such working directory.
pub(super) fn no_dir(dir: &Path, error: &io::Error) -> Message {
    let dir = dir.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            spawn(format!("no such folder: {dir}"), "create it, or correct `dir`")
        }
        io::ErrorKind::NotADirectory => {
            spawn(format!("{dir} is not a folder"), "`dir` is the folder that the command runs in")
        }
        _ => spawn(format!("cannot enter {dir}: {}", plain(error)), format!("ls -ld {dir}")),
    }
}

/// The first word means no program.
pub(super) fn no_program(word: &str, dir: &Path, no: &NoProgram) -> Message {
    match no {
        NoProgram::Missing(tried) if word.contains('/') => {
            let path = tried.first().map_or(Path::new(word), PathBuf::as_path).display();
            let help =
                format!("a path with a slash starts from the service's folder, {}", dir.display());
            spawn(format!("no such program: {path}"), help)
        }
        NoProgram::Missing(tried) => {
            let folders: Vec<String> =
                tried.iter().filter_map(|f| f.parent()).map(|f| f.display().to_string()).collect();
            let help = format!(
                "install it, correct `command`, or write ./{word} for a file in {}; searched PATH: {}",
                dir.display(),
                folders.join(":")
            );
            spawn(format!("no program `{word}` on PATH"), help)
        }
        NoProgram::NotExecutable(file) => not_executable(file),
        NoProgram::Folder(file) => {
            spawn(format!("{} is a folder", file.display()), "name a program inside it")
        }
    }
}

/// The same about a program that it is known how to get.
pub(super) fn not_installed(message: Message, install: &str) -> Message {
    match message.class {
        Class::Spawn => {
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
    spawn(format!("{file} is not executable"), format!("chmod +x {file}"))
}

/// The words cannot be given to any program.
pub(super) fn unpackable(why: &Unpackable) -> Message {
    match why {
        Unpackable::Nul(before) => {
            let text = format!("a NUL byte after `{before}` in the command or the environment");
            spawn(text, "remove it: no program can be given one")
        }
        Unpackable::TooLong => too_long(),
    }
}

fn too_long() -> Message {
    let text = "command and environment are too long for this system";
    spawn(text.to_owned(), "pass the data in a file; `getconf ARG_MAX` shows the limit")
}

/// A command that was to stop a service did not do so.
pub(super) fn stop_failed(command: &Command, why: &str, signal: i32) -> Message {
    let command = shown(command);
    let signal = Exit::Signal(signal);
    let text = format!("the stop command `{command}` {why}; sending {signal} instead");
    let help = "correct `stop.command`; what it printed is in the log of the service";
    Message::new(Class::StopTimeout, text).help(help)
}

/// The system has no more of what a run needs.
pub(super) fn no_means(what: &str, error: &io::Error) -> Message {
    let text = format!("no {what} for this service: {}", plain(error));
    let help = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "raise the limit of open files: ulimit -n 10240",
        Some(libc::EAGAIN) => "the limit of processes is met: `ulimit -u` shows it",
        _ => "the machine is short of memory or at a limit; stop something and start again",
    };
    Message::new(Class::Limit, text).help(help)
}

/// The guard is gone, so nothing can be started in safety.
pub(super) fn no_guard() -> Message {
    Message::new(Class::Internal, "the guard process of devstack was ended from outside")
        .help("start again: devstack up")
}

/// What a keeper reported.
pub(super) fn failed(stage: Stage, errno: i32, program: &Path, dir: &Path) -> Message {
    let error = io::Error::from_raw_os_error(errno);
    match stage {
        Stage::Fork => no_means("process", &error),
        Stage::Keeper => no_means("keeper", &error),
        Stage::Dir => no_dir(dir, &error),
        Stage::Exec => exec(errno, &error, program),
    }
}

fn exec(errno: i32, error: &io::Error, program: &Path) -> Message {
    let shown = program.display();
    match errno {
        libc::ENOENT => missing_interpreter(program),
        libc::EACCES => match interpreter(program) {
            Some(interpreter) if Path::new(&interpreter).exists() => {
                let text = format!("{shown} or its interpreter {interpreter} may not be executed");
                spawn(text, format!("ls -l {shown} {interpreter}"))
            }
            _ => not_executable(program),
        },
        libc::ENOEXEC => {
            let text =
                format!("{shown} is neither a program for this machine nor a script with `#!`");
            let help = "start a script with a line such as #!/bin/sh; a program must be built for this machine";
            spawn(text, help)
        }
        libc::ETXTBSY => {
            let text = format!("{shown} is still being written by another process");
            spawn(text, "let the build finish before the service starts (depends_on a task)")
        }
        libc::E2BIG => too_long(),
        libc::ELOOP | libc::ENAMETOOLONG | libc::ENOTDIR => {
            spawn(format!("cannot follow the path {shown}: {}", plain(error)), "correct `command`")
        }
        libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE => no_means("process", error),
        _ => spawn(format!("cannot execute {shown}: {}", plain(error)), format!("ls -l {shown}")),
    }
}

/// The file was there a moment ago, so what the kernel misses is usually what it needs to run it.
fn missing_interpreter(program: &Path) -> Message {
    let shown = program.display();
    match interpreter(program) {
        Some(name) if name.ends_with('\r') => {
            let text = format!("the `#!` line of {shown} ends with a carriage return");
            spawn(text, format!("sed -i 's/\\r$//' {shown}"))
        }
        Some(name) => {
            let text = format!("bad interpreter: {shown} wants {name}, which does not exist");
            spawn(text, "install it, or correct the first line of the script (#!/usr/bin/env NAME)")
        }
        None if program.exists() => {
            let text = format!("{shown} needs a loader that this system does not have");
            spawn(text, format!("it was built for another system: file {shown}"))
        }
        None => {
            spawn(format!("no such program: {shown}"), "it has just disappeared; build it again")
        }
    }
}

/// The program of a `#!` line.
fn interpreter(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.trim_start_matches([' ', '\t']).split([' ', '\t']).next().map(str::to_owned)
}

/// The system's words without `(os error 2)`.
fn plain(error: &io::Error) -> String {
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
        for stage in [Stage::Fork, Stage::Keeper, Stage::Dir, Stage::Exec] {
            for errno in 1..134 {
                let message = failed(stage, errno, program, dir);
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
        let root = tempfile::tempdir().expect("a folder");
        let script = root.path().join("run");
        let refusal = |text: &str| {
            std::fs::write(&script, text).expect("writable");
            failed(Stage::Exec, libc::ENOENT, &script, root.path()).text
        };
        assert!(refusal("#!/no/ruby -w\n").contains("wants /no/ruby, which"));
        assert!(refusal("#! /bin/sh\r\n").contains("carriage return"));
        assert!(refusal("\x7fELF").contains("loader"));
    }
}
