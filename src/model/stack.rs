use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{
    AssignedPort, BindHints, Condition, DEBUG_PORT, DebugConfig, Name, PortKey, RedactedText,
    RequiredPrograms, RunMode, UrlFormat,
};

/// A complete stack: every default filled in, every reference resolved, every port chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The name of the stack, a slug.
    pub name: String,
    /// The directory of the first configuration file, absolute.
    pub dir: PathBuf,
    /// The services by name. Their dependencies exist and have no cycle.
    pub services: BTreeMap<Name, Arc<Service>>,
    /// The service that an outside `PORT` applies to.
    pub primary: Option<Name>,
    /// Group names, which stand for all replicas of a service.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// Every file that went into this stack, including optional files that do not exist.
    pub files: BTreeSet<PathBuf>,
    /// Whether changes to these files are applied while the stack runs.
    pub live_reload: bool,
    /// How much output of each service is kept on disk.
    pub logs: LogRetention,
}

/// How much output of one service is kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRetention {
    /// The size in bytes, including the index, at which a log file is rotated.
    pub max_size: u64,
    /// The number of rotated files to keep.
    pub keep: u32,
}

impl Default for LogRetention {
    /// Some days of an ordinary service, or 200 MB of one that floods the log.
    fn default() -> LogRetention {
        LogRetention { max_size: 50_000_000, keep: 3 }
    }
}

impl Stack {
    /// Returns the services a name stands for: one, or the replicas of a group. Empty: unknown.
    pub fn services_named(&self, name: &Name) -> Vec<Name> {
        resolve_name(&self.services, &self.groups, name)
    }

    /// Returns all ports.
    pub fn ports(&self) -> impl Iterator<Item = (PortKey, &AssignedPort)> {
        self.services.values().flat_map(|service| {
            service.ports.iter().map(|port| (PortKey::new(&service.name, &port.name), port))
        })
    }

    /// Returns the group that a replica belongs to.
    pub fn group_of(&self, member: &Name) -> Option<&Name> {
        self.groups.iter().find(|(_, members)| members.contains(member)).map(|(group, _)| group)
    }
}

/// Resolves the name of a service to itself, and that of a group to its replicas. Empty: unknown.
pub(crate) fn resolve_name<V>(
    services: &BTreeMap<Name, V>,
    groups: &BTreeMap<Name, Vec<Name>>,
    name: &Name,
) -> Vec<Name> {
    match groups.get(name) {
        Some(members) => members.clone(),
        None => services.get_key_value(name).map(|(name, _)| name.clone()).into_iter().collect(),
    }
}

/// One complete service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Service or task.
    pub kind: ServiceKind,
    /// What is executed. A difference here means a restart.
    pub launch: LaunchConfig,
    /// The mode that `launch` is for.
    pub mode: RunMode,
    /// Its `debug` entry, if it has one.
    pub debug: Option<DebugConfig>,
    /// Its ports, main port first. In debug mode the last one, `debug`, is the debugger's.
    pub ports: Vec<AssignedPort>,
    /// Names of the ports whose listening socket devstack opens and passes on, in port order.
    pub socket_activated: Vec<String>,
    /// Conditions to be met before it starts.
    pub depends_on: BTreeMap<Name, Condition>,
    /// When it counts as ready.
    pub ready: ReadyConfig,
    /// Health probes once it is ready.
    pub health: Option<HealthConfig>,
    /// What happens when it exits on its own.
    pub restart: RestartConfig,
    /// Exit codes that count as success.
    pub success_codes: BTreeSet<i32>,
    /// How it is stopped.
    pub stop: StopConfig,
    /// Which files it watches, and what happens when they change.
    pub watch: Vec<WatchConfig>,
    /// Whether it gets a pseudo-terminal.
    pub tty: TtyMode,
    /// Whether `up` without names starts it.
    pub autostart: bool,
    /// What its exit means for the stack.
    pub on_exit: OnExit,
    /// Its label color in the log, if the user chose one.
    pub color: Option<LabelColor>,
    /// The user's description.
    pub description: Option<String>,
    /// How its URL is written.
    pub url_form: UrlFormat,
    /// How to make it listen on its port and host, if its server or framework is known.
    pub advice: Option<BindHints>,
}

impl Service {
    /// Returns the main port, if it has one.
    pub fn port(&self) -> Option<&AssignedPort> {
        self.ports.first().filter(|port| !(self.mode.is_debug() && port.name == DEBUG_PORT))
    }

    /// Returns the ports whose listening socket is passed to it, in their order.
    pub fn activated_ports(&self) -> impl Iterator<Item = &AssignedPort> {
        self.ports.iter().filter(|port| self.socket_activated.contains(&port.name))
    }

    /// Returns the URL of the main port: `http://HOST:PORT` unless its preset has another format.
    pub fn url(&self) -> Option<String> {
        self.port().map(|port| self.url_form.format(&self.launch.host, port.number))
    }
}

/// Returns a host to connect to: loopback instead of a wildcard.
pub fn connectable_host(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
}

/// Formats `host:port`, with brackets around an IPv6 address and loopback instead of a wildcard,
/// which cannot be connected to.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    match host {
        "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// A service that keeps running, or a task that runs to completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Expected to run until it is stopped.
    Service,
    /// Expected to exit with a success code.
    Task,
}

impl ServiceKind {
    /// Whether it is expected to exit.
    pub fn is_task(self) -> bool {
        self == ServiceKind::Task
    }

    /// Returns the word used in the file and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceKind::Service => "service",
            ServiceKind::Task => "task",
        }
    }
}

/// What is executed, completely resolved. Equal launches need no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchConfig {
    /// The program and its arguments.
    pub command: CommandLine,
    /// The working directory, absolute.
    pub dir: PathBuf,
    /// Variables set on top of devstack's own environment.
    pub env: BTreeMap<String, String>,
    /// The address the service should bind (`HOST`).
    pub host: String,
    /// Programs that must be installed; `None`: unknown.
    pub requires: Option<RequiredPrograms>,
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A string for `sh -c`.
    Shell(String),
    /// A program with its arguments, executed without a shell; at least one word.
    Exec(Vec<RedactedText>),
}

impl CommandLine {
    /// A program with its arguments, executed without a shell; at least one word.
    pub fn exec<W: Into<RedactedText>>(words: impl IntoIterator<Item = W>) -> CommandLine {
        CommandLine::Exec(words.into_iter().map(Into::into).collect())
    }

    /// Returns the command for display, without secrets; not suitable for a shell.
    pub fn line(&self) -> String {
        match self {
            CommandLine::Shell(text) => text.clone(),
            CommandLine::Exec(words) => {
                words.iter().map(RedactedText::redacted).collect::<Vec<&str>>().join(" ")
            }
        }
    }
}

/// When a service counts as ready: all probes pass, or without probes as soon as it has started.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyConfig {
    /// All of them must pass.
    pub probes: Vec<Probe>,
    /// The limit after which the start counts as failed.
    pub timeout: Duration,
    /// The longest pause between two attempts of one probe.
    pub interval: Duration,
}

/// One check of a running service.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A process of its own tree accepts connections on this port.
    Tcp {
        /// The port on loopback.
        port: u16,
    },
    /// `GET url` returns a status below 400, or any.
    Http {
        /// An absolute `http://` URL.
        url: String,
        /// Whether any status is enough.
        any_status: bool,
        /// The port, if it is the service's own: its listener must be in the process tree.
        own_port: Option<u16>,
    },
    /// A line of its output matches.
    Log {
        /// A valid regular expression, matched without line end and escape sequences.
        pattern: String,
    },
    /// A command exits with code 0.
    Exec {
        /// Runs in the service's directory with its environment.
        command: CommandLine,
    },
    /// The service has been running this long.
    Delay {
        /// Time since the start of the process.
        delay: Duration,
    },
    /// The service sends `READY=1` to `NOTIFY_SOCKET`, as with `sd_notify` of systemd.
    Notify,
}

/// Probes that continue once a service is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthConfig {
    /// All of them must pass: TCP, HTTP or commands.
    pub probes: Vec<Probe>,
    /// The pause between two rounds.
    pub interval: Duration,
    /// How many rounds in a row must fail before the service is unhealthy, at least 1.
    pub failures: u32,
    /// What to do then.
    pub action: HealthAction,
}

/// What happens when a service becomes unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthAction {
    /// It is reported.
    Report,
    /// It is reported, and the service restarts with the delays of a crash.
    Restart,
}

/// Whether a service gets a pseudo-terminal instead of pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtyMode {
    /// If devstack's own log goes to a terminal.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// What happens when a process exits on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartConfig {
    /// When it restarts at all.
    pub policy: RestartPolicy,
    /// It fails after this many unexpected exits within `window`.
    pub max_failures: u32,
    /// See `max_failures`.
    pub window: Duration,
    /// The first delay; doubled each time.
    pub delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
}

/// When a process that exited on its own restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never.
    No,
    /// After an unexpected exit.
    OnFailure,
    /// After every exit that was not requested.
    Always,
}

/// How a process is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopConfig {
    /// The number of the stop signal.
    pub signal: i32,
    /// Runs instead of sending the signal, in the service's directory with its environment.
    pub command: Option<CommandLine>,
    /// How long a stop may take before everything left is killed.
    pub grace: Duration,
}

/// Which files a service watches, and what happens when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig {
    /// The directory that the globs are relative to, absolute: the service's `dir`.
    pub root: PathBuf,
    /// Globs of files that count, such as `../shared/**`; empty: every file below `root`.
    pub include: Vec<String>,
    /// Globs of files that do not count.
    pub exclude: Vec<String>,
    /// The quiet period after a burst of changes before they count.
    pub debounce: Duration,
    /// How often to poll files; `None`: only where the system sends no change events.
    pub poll: Option<Duration>,
    /// What to do then.
    pub action: WatchAction,
}

/// What happens when watched files change. Commands run like those of [`Probe::Exec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchAction {
    /// Restart the service.
    Restart {
        /// Runs first; the restart follows only if it exits with code 0.
        build: Option<CommandLine>,
    },
    /// Send this signal to the main process.
    Signal(i32),
    /// Run this command; the service keeps running.
    Run(CommandLine),
}

impl WatchAction {
    /// Returns its command, if any.
    pub fn command(&self) -> Option<&CommandLine> {
        match self {
            WatchAction::Restart { build } => build.as_ref(),
            WatchAction::Signal(_) => None,
            WatchAction::Run(command) => Some(command),
        }
    }
}

/// What the exit of a service means for the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// Nothing.
    None,
    /// The stack shuts down, with the service's exit code.
    Shutdown,
}

/// One of the sixteen basic terminal colors, without black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LabelColor {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    BrightRed,
    BrightGreen,
    BrightYellow,
    BrightBlue,
    BrightMagenta,
    BrightCyan,
}
