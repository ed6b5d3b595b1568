//! What a configuration says, checked, before ports are chosen and references replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Color, Condition, Kind, Name, OnConflict, OnExit, Restart, Stop, Watch};

use super::place::Place;
use super::template::Template;

/// Variables as they were written, by name.
pub(super) type Variables = BTreeMap<String, Template>;

/// `[stack]` and its services.
#[derive(Debug)]
pub(super) struct StackSpec {
    pub name: String,
    pub dir: PathBuf,
    pub env: Variables,
    pub env_files: Vec<EnvFileSpec>,
    pub services: BTreeMap<Name, ServiceSpec>,
    /// The service that `PORT` from the outside means.
    pub primary: Option<Name>,
}

/// A file with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvFileSpec {
    pub path: PathBuf,
    /// Need not exist.
    pub optional: bool,
    /// Where it was asked for; `None` for the files that are looked for by default.
    pub at: Option<Place>,
}

/// One service.
#[derive(Debug)]
pub(super) struct ServiceSpec {
    pub name: Name,
    /// Its name in the file.
    pub at: Place,
    pub kind: Kind,
    pub command: CommandSpec,
    pub dir: PathBuf,
    /// Where the folder was written.
    pub dir_at: Option<Place>,
    pub env: Variables,
    pub env_files: Vec<EnvFileSpec>,
    pub host: String,
    pub ports: Vec<PortSpec>,
    /// Whether the ports have names of their own: written as `ports`.
    pub named_ports: bool,
    pub depends_on: BTreeMap<Name, Dependency>,
    pub ready: ReadySpec,
    pub restart: Restart,
    pub success_codes: BTreeSet<i32>,
    pub stop: Stop,
    pub watch: Option<Watch>,
    pub autostart: bool,
    pub on_exit: OnExit,
    pub color: Option<Color>,
    pub description: Option<Template>,
}

/// A command line with references.
#[derive(Debug)]
pub(super) enum CommandSpec {
    Shell(Template),
    Exec(Vec<Template>),
}

/// A port as the file has it.
#[derive(Debug)]
pub(super) struct PortSpec {
    /// `main`, or its name in `ports`.
    pub name: String,
    /// `None`: `"auto"`.
    pub prefer: Option<u16>,
    pub on_conflict: OnConflict,
    /// The variable that pins it.
    pub env: Option<String>,
    /// Where the number was written.
    pub at: Place,
}

/// What must hold of another service.
#[derive(Debug)]
pub(super) struct Dependency {
    /// `None`: what its kind suggests, `ready` or `completed`.
    pub condition: Option<Condition>,
    /// Where the name was written.
    pub at: Place,
}

/// When a service is ready.
#[derive(Debug)]
pub(super) struct ReadySpec {
    pub probes: Vec<ProbeSpec>,
    pub timeout: Duration,
    pub interval: Duration,
}

/// A probe with references.
#[derive(Debug)]
pub(super) enum ProbeSpec {
    /// The own port of this name.
    OwnTcp(String),
    /// A port by its number.
    Tcp(u16),
    /// A path on the own port of this name.
    OwnHttp {
        port: String,
        path: Template,
    },
    /// A path on a port by its number.
    PortHttp {
        port: u16,
        path: Template,
    },
    /// A whole URL.
    Http(Template),
    /// A regular expression; what is put in is escaped.
    Log(Template),
    Exec(CommandSpec),
    Delay(Duration),
}

impl CommandSpec {
    /// The texts of the command.
    pub fn templates(&self) -> &[Template] {
        match self {
            CommandSpec::Shell(template) => std::slice::from_ref(template),
            CommandSpec::Exec(words) => words,
        }
    }
}

impl ProbeSpec {
    /// The texts of the probe.
    pub fn templates(&self) -> &[Template] {
        match self {
            ProbeSpec::OwnHttp { path: text, .. }
            | ProbeSpec::PortHttp { path: text, .. }
            | ProbeSpec::Http(text)
            | ProbeSpec::Log(text) => std::slice::from_ref(text),
            ProbeSpec::Exec(command) => command.templates(),
            ProbeSpec::OwnTcp(_) | ProbeSpec::Tcp(_) | ProbeSpec::Delay(_) => &[],
        }
    }
}

impl ServiceSpec {
    /// Every text of the service that may hold references.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let probes = self.ready.probes.iter().flat_map(ProbeSpec::templates);
        self.command
            .templates()
            .iter()
            .chain(self.env.values())
            .chain(probes)
            .chain(self.description.as_ref())
    }

    /// Whether `name` is one of its ports; `None`: whether it has any.
    pub fn has_port(&self, name: Option<&str>) -> bool {
        match name {
            None => !self.ports.is_empty(),
            Some(name) => self.ports.iter().any(|port| port.name == name),
        }
    }
}
