use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::{PortableCommand, PortableNetwork, PortableText};
use crate::model::{
    AcceptedStatus, Condition, ConflictPolicy, ContainerConfig, HealthConfig, LogRetention, Name,
    OnExit, ReadyConfig, RestartConfig, ServiceKind, StopConfig, TtyMode,
};

/// A stack for other programs.
#[derive(Debug, Clone, PartialEq)]
pub struct PortableStack {
    /// Its name, a slug.
    pub name: String,
    /// The directory of the first configuration file, absolute.
    pub dir: PathBuf,
    pub file_name: String,
    /// How the references between its services are resolved.
    pub network: PortableNetwork,
    /// The services by name. Their dependencies exist and have no cycle.
    pub services: BTreeMap<Name, PortableService>,
    /// The services that are left out: on one machine, those that run in containers.
    pub left_out: Vec<Name>,
    /// Whether edits of the configuration are applied while it runs.
    pub live_reload: bool,
    /// How much of the log is kept.
    pub logs: LogRetention,
}

/// A service for other programs.
#[derive(Debug, Clone, PartialEq)]
pub struct PortableService {
    /// Its name. Where services are reached by their names, replicas are one service.
    pub name: Name,
    /// The host name where it is reached by its name: `name` as a DNS label that starts with a letter,
    /// different from all others.
    pub host_name: String,
    /// The user's description.
    pub description: Option<String>,
    /// Service or task.
    pub kind: ServiceKind,
    /// What runs; in such a container: the words after the image, possibly none.
    pub command: PortableCommand,
    /// The working directory, absolute.
    pub dir: PathBuf,
    /// The directory of the configuration file that it is in, absolute.
    pub file_dir: PathBuf,
    /// Its variables, without those that env files set.
    pub env: BTreeMap<String, PortableText>,
    /// The env files, later ones over earlier ones; `env` is over all of them.
    pub env_files: Vec<PortableEnvFile>,
    /// The address that devstack would tell it to bind.
    pub host: String,
    /// Its ports, main port first.
    pub ports: Vec<PortablePort>,
    /// Conditions to be met before it starts.
    pub depends_on: BTreeMap<Name, Condition>,
    /// When it counts as ready.
    pub ready: ReadyConfig<PortableProbe>,
    /// Health probes once it is ready.
    pub health: Option<HealthConfig<PortableProbe>>,
    /// What happens when it exits on its own.
    pub restart: RestartConfig,
    /// Exit codes that count as success.
    pub success_codes: BTreeSet<i32>,
    /// How it is stopped.
    pub stop: StopConfig<PortableCommand>,
    /// Whether it watches files.
    pub watches: bool,
    /// Whether it has a `debug` entry.
    pub debuggable: bool,
    /// Whether it gets a pseudo-terminal.
    pub tty: TtyMode,
    /// Whether its label in the log has a color.
    pub colored: bool,
    /// Whether it is different on other operating systems.
    pub differs_elsewhere: bool,
    /// The profiles that it is part of; none: of all.
    pub profiles: Vec<Name>,
    /// Whether it starts on its own, given the active profiles.
    pub autostart: bool,
    /// Whether it starts with its first client.
    pub lazy: bool,
    pub has_actions: bool,
    /// What its exit means for the stack.
    pub on_exit: OnExit,
    /// How many of it run, at least 1.
    pub replicas: u16,
    /// The name of its preset, or of the one that its command shows.
    pub preset: Option<&'static str>,
    /// How it runs in a container that the stack or its preset says; `None`: anyhow.
    pub container: Option<ContainerConfig<PortableText>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableEnvFile {
    /// Its path, absolute.
    pub path: PathBuf,
    /// Whether it may be missing.
    pub optional: bool,
    /// The names that it sets now.
    pub names: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortablePort {
    /// `main`, or its key in `ports`.
    pub name: String,
    /// The number that the service listens on.
    pub number: u16,
    /// The number that it should have on the machine; `None`: any.
    pub wanted: Option<u16>,
    /// What devstack does if that is taken.
    pub on_conflict: ConflictPolicy,
    /// The variable of the environment that sets its number.
    pub variable: Option<String>,
    /// Whether its listening socket is opened for the service and passed on.
    pub activated: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PortableProbe {
    /// This port accepts connections.
    Tcp(u16),
    /// A request gets an accepted status.
    Http(PortableHttp),
    /// A command exits with code 0.
    Exec(PortableCommand),
    /// A line of its output matches.
    Log,
    /// It has been running this long.
    Delay(Duration),
    /// It sends `READY=1` to `NOTIFY_SOCKET`.
    Notify,
    /// The health check of its image succeeds.
    Healthcheck,
}

/// A probe over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableHttp {
    pub url: PortableText,
    /// The port and the path, if it is a port of the service itself.
    pub own: Option<(u16, PortableText)>,
    /// Whether it is `https`.
    pub https: bool,
    /// Whether the server may have any certificate.
    pub insecure: bool,
    /// Which status is a success.
    pub status: AcceptedStatus,
}
