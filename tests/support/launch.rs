use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use super::RunningProgram;
use super::project::ProjectHome;
use super::starting;
use super::terminal::{PtyMaster, take_over};

/// A program of a project, about to be started.
pub struct TestCommand {
    home: Arc<ProjectHome>,
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    dir: PathBuf,
    terminal: Option<(u16, u16)>,
    stdin: bool,
}

/// Exit status and output of a program.
#[derive(Debug)]
pub struct CommandOutput {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// The exit code, or 128 plus the signal number, as in a shell.
    pub fn code(&self) -> i32 {
        code(self.status)
    }

    /// Fails with the output unless the exit code is `wanted`.
    #[track_caller]
    pub fn expect_code(self, wanted: i32) -> CommandOutput {
        assert_eq!(self.code(), wanted, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Parses stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let read = serde_json::from_str(&self.stdout);
        read.unwrap_or_else(|error| {
            panic!("{error} in\n{}\n--- stderr\n{}", self.stdout, self.stderr)
        })
    }

    /// Returns the JSON error on stderr.
    #[track_caller]
    pub fn error(&self) -> serde_json::Value {
        let read: Result<serde_json::Value, _> = serde_json::from_str(&self.stderr);
        let said = read.unwrap_or_else(|error| panic!("{error} in {self:?}"));
        said["error"].clone()
    }
}

/// The exit code as in a shell.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

impl TestCommand {
    pub(super) fn new(home: &Arc<ProjectHome>, program: &Path) -> TestCommand {
        TestCommand {
            home: Arc::clone(home),
            program: program.to_owned(),
            args: Vec::new(),
            env: home.environment(),
            dir: home.app(),
            terminal: None,
            stdin: false,
        }
    }

    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> TestCommand {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable. The environment is the project's, otherwise empty except for
    /// PATH.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> TestCommand {
        self.env.insert(name.into(), value.as_ref().to_owned());
        self
    }

    pub fn unset(mut self, name: &str) -> TestCommand {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Passes on this variable from the test environment, if set.
    pub fn keep(self, name: &str) -> TestCommand {
        match std::env::var_os(name) {
            Some(value) => self.env(name, value),
            None => self,
        }
    }

    /// Passes on where cargo finds its toolchain, whose home is not the project's.
    pub fn with_cargo(self) -> TestCommand {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let dir =
            |name, usual| std::env::var_os(name).map_or_else(|| home.join(usual), PathBuf::from);
        self.env("CARGO_HOME", dir("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", dir("RUSTUP_HOME", ".rustup"))
            .keep("RUSTUP_TOOLCHAIN")
    }

    /// Changes the working directory, relative to the project's.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> TestCommand {
        self.dir.push(dir);
        self
    }

    /// Runs in a terminal of this size, as session leader.
    pub fn terminal(mut self, rows: u16, columns: u16) -> TestCommand {
        self.terminal = Some((rows, columns));
        self
    }

    /// Uses a pipe as stdin instead of /dev/null.
    pub fn stdin(mut self) -> TestCommand {
        self.stdin = true;
        self
    }

    #[track_caller]
    pub fn start(self) -> RunningProgram {
        let mut command = self.command();
        let terminal = match self.terminal {
            Some((rows, columns)) => {
                let (terminal, slave) = PtyMaster::open(rows, columns);
                attach(&mut command, slave);
                Some(terminal)
            }
            None => {
                command.stdin(if self.stdin { Stdio::piped() } else { Stdio::null() });
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
        };
        let spawned = starting::spawn(&mut command);
        let child =
            spawned.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.title()));
        RunningProgram::new(self.home.clone(), self.title(), child, terminal)
    }

    /// Starts the program and waits until it has exited and its output is closed.
    #[track_caller]
    pub fn run(self) -> CommandOutput {
        let running = self.start();
        let status = running.wait_exit();
        running.wait_closed();
        CommandOutput { status, stdout: running.stdout(), stderr: running.stderr() }
    }

    /// Builds the command in a process group of its own, so that a program that signals its group
    /// does not hit the tests.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir).env_clear().envs(&self.env);
        if self.terminal.is_none() {
            command.process_group(0);
        }
        command
    }

    fn title(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let words = std::iter::once(name).chain(self.args.iter().map(OsString::as_os_str));
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "std has no other way to a controlling terminal; the tests are small"
)]
fn attach(command: &mut Command, slave: OwnedFd) {
    let copy = || Stdio::from(slave.try_clone().expect("a descriptor can be copied"));
    command.stdin(copy()).stdout(copy()).stderr(copy());
    // SAFETY: `take_over` is async-signal-safe.
    unsafe { command.pre_exec(take_over) };
}
