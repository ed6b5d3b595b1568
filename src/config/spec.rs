//! What a configuration says, checked, before ports are chosen and references replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{
    Color, Condition, HealthAction, Kind, LogLimits, Name, Needs, OnConflict, OnExit, Restart, Tty,
    UrlForm,
};

use crate::presets::Preset;

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
    /// The names that stand for replicas, once those are made.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// The service that `PORT` from the outside means.
    pub primary: Option<Name>,
    /// Whether edits are applied while the stack runs.
    pub live: bool,
    /// How much of the log is kept.
    pub logs: LogLimits,
}

/// Whether a service is written once for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replicas {
    /// It is itself.
    One,
    /// It stands for so many, at least 2, that are not made yet.
    Many(u16),
    /// It is one of them.
    Member {
        /// The name in the file.
        group: Name,
        /// From 1.
        number: u16,
        /// How many there are.
        of: u16,
    },
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
#[derive(Debug, Clone)]
pub(super) struct ServiceSpec {
    pub name: Name,
    /// Its name in the file.
    pub at: Place,
    pub replicas: Replicas,
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
    pub health: Option<HealthSpec>,
    pub restart: Restart,
    pub success_codes: BTreeSet<i32>,
    pub stop: StopSpec,
    pub watch: Vec<WatchSpec>,
    pub debug: Option<DebugSpec>,
    pub tty: Tty,
    /// It starts by itself only when one of them is chosen.
    pub profiles: Option<ProfilesSpec>,
    pub autostart: bool,
    pub on_exit: OnExit,
    pub color: Option<Color>,
    pub description: Option<Template>,
    /// Variables of the preset: below all that the service and the stack say.
    pub preset_env: Variables,
    /// Its preset, or that of the framework its command names.
    pub framework: Option<&'static Preset>,
    /// What the preset's command needs, when that is the command.
    pub needs: Option<Needs>,
    /// Where `watch` was written for this service.
    pub watch_at: Option<Place>,
    /// What stands before and behind the address in the URL of its preset.
    pub url: Option<[Template; 2]>,
    /// The same with its variables; filled in once they are known.
    pub url_form: UrlForm,
}

/// The profiles of a service.
#[derive(Debug, Clone)]
pub(super) struct ProfilesSpec {
    /// At least one.
    pub names: Vec<Name>,
    /// Where they were written.
    pub at: Place,
}

/// A command line with references.
#[derive(Debug, Clone)]
pub(super) enum CommandSpec {
    Shell(Template),
    Exec(Vec<Template>),
}

/// A port as the file has it.
#[derive(Debug, Clone)]
pub(super) struct PortSpec {
    /// `main`, or its name in `ports`.
    pub name: String,
    /// `None`: `"auto"`.
    pub prefer: Option<u16>,
    pub on_conflict: OnConflict,
    /// The variable that pins it.
    pub env: Option<String>,
    /// Whether devstack opens the socket and hands it over.
    pub pass: bool,
    /// Where the number was written.
    pub at: Place,
    /// The preset whose usual port it is; `None`: it was written.
    pub preset: Option<&'static str>,
}

impl PortSpec {
    /// A port that may be any.
    pub fn any(name: &str, on_conflict: OnConflict, at: Place) -> PortSpec {
        let name = name.to_owned();
        PortSpec { name, prefer: None, on_conflict, env: None, pass: false, at, preset: None }
    }
}

/// How a service is started for a debugger.
#[derive(Debug, Clone)]
pub(super) struct DebugSpec {
    /// `None`: by its `command`, which then has to look at `DEBUG_PORT` itself.
    pub command: Option<CommandSpec>,
    /// The debugger's.
    pub port: PortSpec,
    /// Whether the program is to wait for the debugger.
    pub waits: bool,
}

/// What must hold of another service.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    /// `None`: what its kind suggests, `ready` or `completed`.
    pub condition: Option<Condition>,
    /// Where the name was written.
    pub at: Place,
}

/// When a service is ready.
#[derive(Debug, Clone)]
pub(super) struct ReadySpec {
    pub probes: Vec<ProbeSpec>,
    pub timeout: Duration,
    pub interval: Duration,
}

/// Whether a service stays well.
#[derive(Debug, Clone)]
pub(super) struct HealthSpec {
    /// At least one.
    pub probes: Vec<ProbeSpec>,
    pub interval: Duration,
    /// At least 1.
    pub failures: u32,
    pub action: HealthAction,
}

/// How a service is stopped.
#[derive(Debug, Clone)]
pub(super) struct StopSpec {
    pub signal: i32,
    pub command: Option<CommandSpec>,
    pub grace: Duration,
}

/// Which files concern a service, and what follows.
#[derive(Debug, Clone)]
pub(super) struct WatchSpec {
    /// The folder that the globs are relative to.
    pub root: PathBuf,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub settle: Duration,
    pub poll: Option<Duration>,
    pub action: ActionSpec,
}

/// What follows when watched files change.
#[derive(Debug, Clone)]
pub(super) enum ActionSpec {
    Restart { build: Option<CommandSpec> },
    Signal(i32),
    Run(CommandSpec),
}

impl ActionSpec {
    /// Whether a restart follows, sooner or later.
    pub fn restarts(&self) -> bool {
        match self {
            ActionSpec::Restart { .. } => true,
            ActionSpec::Signal(_) | ActionSpec::Run(_) => false,
        }
    }

    /// The command that is run first, if any.
    pub fn command(&self) -> Option<&CommandSpec> {
        match self {
            ActionSpec::Restart { build } => build.as_ref(),
            ActionSpec::Signal(_) => None,
            ActionSpec::Run(command) => Some(command),
        }
    }
}

/// A probe with references.
#[derive(Debug, Clone)]
pub(super) enum ProbeSpec {
    /// The own port of this name.
    OwnTcp(String),
    /// A port by its number.
    Tcp(u16),
    /// `/` on the own port of this name is answered, whatever the status.
    OwnAnswer(String),
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
    Notify,
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
            ProbeSpec::OwnTcp(_)
            | ProbeSpec::OwnAnswer(_)
            | ProbeSpec::Tcp(_)
            | ProbeSpec::Delay(_)
            | ProbeSpec::Notify => &[],
        }
    }
}

impl StackSpec {
    /// The service that is written for `name`: of this name, or the one whose replica it is.
    pub fn written(&self, name: &str) -> Option<&ServiceSpec> {
        let whole = |name: &str| Name::new(name).ok().and_then(|name| self.services.get(&name));
        whole(name).or_else(|| {
            let (group, number) = replica(name)?;
            whole(group).filter(|service| match service.replicas {
                Replicas::Many(of) => number <= of,
                Replicas::One | Replicas::Member { .. } => false,
            })
        })
    }
}

/// The name of a service with replicas, and the number of one of them from 1: `api-2`.
pub(super) fn replica(name: &str) -> Option<(&str, u16)> {
    let (group, number) = name.rsplit_once('-')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| plain)?;
    Some((group, number))
}

impl ServiceSpec {
    /// Its name in the file.
    pub fn written_name(&self) -> &Name {
        match &self.replicas {
            Replicas::Member { group, .. } => group,
            Replicas::One | Replicas::Many(_) => &self.name,
        }
    }

    /// How far its ports are from those that were written.
    pub fn offset(&self) -> u16 {
        match self.replicas {
            Replicas::Member { number, .. } => number - 1,
            Replicas::One | Replicas::Many(_) => 0,
        }
    }

    /// Every text of the service that may hold references.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let probes = self.probes().flat_map(ProbeSpec::templates);
        let stop = self.stop.command.iter().flat_map(CommandSpec::templates);
        let debug = self.debug.iter().flat_map(|debug| &debug.command);
        let stop = stop.chain(debug.flat_map(CommandSpec::templates));
        let watch = self.watch.iter().filter_map(|watch| watch.action.command());
        self.command
            .templates()
            .iter()
            .chain(self.env.values())
            .chain(self.preset_env.values())
            .chain(probes)
            .chain(stop)
            .chain(watch.flat_map(CommandSpec::templates))
            .chain(self.description.as_ref())
    }

    /// The probes of `ready` and of `health`.
    pub fn probes(&self) -> impl Iterator<Item = &ProbeSpec> {
        let health = self.health.iter().flat_map(|health| &health.probes);
        self.ready.probes.iter().chain(health)
    }

    /// Whether `name` is one of its ports; `None`: whether it has any.
    pub fn has_port(&self, name: Option<&str>) -> bool {
        match name {
            None => !self.ports.is_empty(),
            Some(name) => self.ports.iter().any(|port| port.name == name),
        }
    }
}
