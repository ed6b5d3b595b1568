use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ImportedContainer;
use super::environment::clean_path;
use crate::model::{Condition, RestartPolicy};

/// The comment on a service that is ready once it has started, although it gets a port.
pub const NEED_NOT_LISTEN: &str = "It gets a port, but need not listen on it.";

/// A stack as another program's file describes it, before it is written as `devstack.toml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportedStack {
    /// The name of the stack, if the file gives one that is valid.
    pub name: Option<String>,
    /// Variables for every service, in the order of the file.
    pub env: Vec<(String, String)>,
    /// Env files for every service, relative to the directory of `devstack.toml`, and whether each may
    /// be missing.
    pub env_files: Vec<(PathBuf, bool)>,
    /// In the order of the file.
    pub services: Vec<ImportedService>,
    /// What could not be carried over, or only with a change.
    pub notes: Vec<ImportNote>,
}

impl ImportedStack {
    /// Makes all paths relative to the directory of `devstack.toml`, after they were read as those of
    /// a file in its directory `below`.
    pub fn prefix_paths(&mut self, below: &Path) {
        let prefix = |path: &mut PathBuf| *path = clean_path(below.join(&*path));
        self.env_files.iter_mut().for_each(|(path, _)| prefix(path));
        for service in &mut self.services {
            match &mut service.container {
                // Its paths are relative to the directory of the file.
                Some(container) => container.prefix_paths(below),
                None => prefix(&mut service.dir),
            }
            service.env_files.iter_mut().for_each(|(path, _)| prefix(path));
        }
    }
}

/// One service or task of an [`ImportedStack`]. Values are in the syntax of `devstack.toml`:
/// `${NAME}` refers to a variable, `${db.url}` to a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportedService {
    /// A valid and unique name; see [`ImportNote`] if it differs from that of the file.
    pub name: String,
    /// Why it is written as it is; becomes a comment above the table. One line each.
    pub comments: Vec<String>,
    /// For people; becomes `description`.
    pub description: Option<String>,
    /// Runs to completion.
    pub is_task: bool,
    /// A name of `crate::presets`.
    pub preset: Option<String>,
    /// `None` with a preset that has the right one.
    pub command: Option<ImportedCommand>,
    /// How it runs in a container, where `command` is what follows the image; `None`: as a program.
    pub container: Option<ImportedContainer>,
    /// Relative to the directory of `devstack.toml`; empty for that directory.
    pub dir: PathBuf,
    /// The preferred port. 0 stands for `"auto"`.
    pub port: Option<u16>,
    /// Named ports beside the main one, which is `port`.
    pub more_ports: Vec<(String, u16)>,
    /// In the order of the file.
    pub env: Vec<(String, String)>,
    /// Env files, relative to the directory of `devstack.toml`, and whether each may be missing.
    pub env_files: Vec<(PathBuf, bool)>,
    /// Names of services in this stack.
    pub depends_on: Vec<(String, Condition)>,
    pub ready: Option<ImportedProbe>,
    /// Checks once it is ready.
    pub health: Option<ImportedProbe>,
    /// `None`: the default of devstack.
    pub restart: Option<RestartPolicy>,
    /// The name of the signal that stops it, without `SIG`.
    pub stop_signal: Option<String>,
    /// How long it may take to stop.
    pub stop_grace: Option<Duration>,
    /// Globs; `Some` of an empty list stands for `watch = true`.
    pub watch: Option<Vec<String>>,
    /// Profiles that start it.
    pub profiles: Vec<String>,
    /// Number of replicas, if more than one.
    pub replicas: Option<u16>,
    /// `autostart = false`.
    pub is_manual: bool,
}

/// How a command is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportedCommand {
    /// For the shell.
    Shell(String),
    /// Words, run directly.
    Words(Vec<String>),
}

impl ImportedCommand {
    /// Returns it as one line for a shell.
    pub fn line(&self) -> String {
        match self {
            ImportedCommand::Shell(text) => text.clone(),
            ImportedCommand::Words(words) => shell_words::join(words),
        }
    }
}

/// A readiness or health probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedProbe {
    /// What is asked.
    pub test: ProbeTest,
    /// How often, for a health probe.
    pub interval: Option<Duration>,
    /// How long readiness may take.
    pub timeout: Option<Duration>,
    /// Failures in a row until it is unhealthy.
    pub failures: Option<u32>,
}

impl ImportedProbe {
    /// A probe with default times.
    pub fn of(test: ProbeTest) -> ImportedProbe {
        ImportedProbe { test, interval: None, timeout: None, failures: None }
    }
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTest {
    /// Nothing: it is ready once it has started, although it has a port.
    Started,
    /// GET of a path, such as `/health`, or of a URL.
    Http(String),
    /// A command that exits with 0.
    Exec(ImportedCommand),
    /// The service prints a line that matches this regular expression.
    Log(String),
}

/// Something that was not carried over as it was: reported by `devstack init`, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportNote {
    /// The file, as shown to the user.
    pub file: String,
    /// Its line, counted from 1, if it has one.
    pub line: Option<u32>,
    /// What it is about, such as `services.web.networks`.
    pub subject: String,
    /// What happened and what to do instead, in one sentence without a full stop.
    pub text: String,
}
