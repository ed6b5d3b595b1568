use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Advice, Condition, DEBUG_PORT, Debug, Expanded, Mode, Name, Needs, UrlForm};

/// A stack as it is meant: every default filled in, every reference resolved, every port chosen.
/// Nothing that reads it asks "is this set?" again.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The name of the stack, a slug.
    pub name: String,
    /// The folder of the first configuration file, absolute.
    pub dir: PathBuf,
    /// The services by name. Their dependencies exist and have no cycle.
    pub services: BTreeMap<Name, Arc<Service>>,
    /// The service that `PORT` from the outside means.
    pub primary: Option<Name>,
    /// The names that stand for several services: those of services with `replicas`.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// Every file that was read to make this stack: a change of one of them makes another stack.
    /// Includes optional files that were looked for and are not there.
    pub files: BTreeSet<PathBuf>,
    /// Whether a change of these files is applied while the stack runs.
    pub live: bool,
    /// How much of what the services print is kept on the disk.
    pub logs: LogLimits,
}

/// How much of what one service prints is kept on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// The size at which a file is put away and the next one begins, in bytes; its index counts, too.
    pub max_size: u64,
    /// How many files that were put away are kept.
    pub keep: u32,
}

impl Default for LogLimits {
    /// Some days of an ordinary service, and 200 MB of one that floods.
    fn default() -> LogLimits {
        LogLimits { max_size: 50_000_000, keep: 3 }
    }
}

impl Stack {
    /// The services that a name means: one of that name, or the replicas of one; empty: nobody.
    pub fn named(&self, name: &Name) -> Vec<Name> {
        match self.groups.get(name) {
            Some(members) => members.clone(),
            None => self
                .services
                .get_key_value(name)
                .map(|(name, _)| name.clone())
                .into_iter()
                .collect(),
        }
    }

    /// The name that stands for this service and its like, when it is one of several replicas.
    pub fn group_of(&self, member: &Name) -> Option<&Name> {
        self.groups.iter().find(|(_, members)| members.contains(member)).map(|(group, _)| group)
    }
}

/// One service as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Runs on, or to completion.
    pub kind: Kind,
    /// What is executed. A difference here means a restart.
    pub launch: Launch,
    /// How it is started: `launch` is for this mode.
    pub mode: Mode,
    /// Whether it can be started for a debugger.
    pub debug: Option<Debug>,
    /// Its ports; the first is the main one. In debug mode the last one, named `debug`, is the debugger's.
    pub ports: Vec<Port>,
    /// The names of those ports whose listening socket devstack opens and hands over, in the order of `ports`.
    pub passed: Vec<String>,
    /// What must hold before it starts.
    pub depends_on: BTreeMap<Name, Condition>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Whether it stays well once it is ready.
    pub health: Option<Health>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// Exit codes that are no failure.
    pub success_codes: BTreeSet<i32>,
    /// How it is stopped.
    pub stop: Stop,
    /// Which files concern it, and what follows when they change.
    pub watch: Vec<Watch>,
    /// Whether it gets a terminal of its own.
    pub tty: Tty,
    /// Whether `up` without names starts it.
    pub autostart: bool,
    /// What its end means for the stack.
    pub on_exit: OnExit,
    /// Its colour in the log, when the user chose one.
    pub color: Option<Color>,
    /// What it is for, in the user's words.
    pub description: Option<String>,
    /// How its URL is written.
    pub url_form: UrlForm,
    /// What to change when it does not listen where it is told, where its server or framework is known.
    pub advice: Option<Advice>,
}

impl Service {
    /// The main port, if it has any.
    pub fn port(&self) -> Option<&Port> {
        self.ports.first().filter(|port| !(self.mode.is_debug() && port.name == DEBUG_PORT))
    }

    /// The ports whose listening socket is handed over, in their order.
    pub fn passed_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| self.passed.contains(&port.name))
    }

    /// The URL of the main port: `http://HOST:PORT`, unless its preset knows better.
    pub fn url(&self) -> Option<String> {
        self.port().map(|port| self.url_form.at(&self.launch.host, port.number))
    }
}

/// An address to connect to: a wildcard cannot be connected to, its loopback can.
pub fn reachable(host: &str) -> &str {
    match host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
}

/// `host:port`, with brackets around an IPv6 address. A wildcard is shown as the loopback address
/// of its family, because a wildcard cannot be connected to.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    match host {
        "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// A service that runs on, or a task that runs to completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Expected to run until it is stopped.
    Service,
    /// Expected to end with a success code.
    Task,
}

impl Kind {
    /// The word used in the file and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Service => "service",
            Kind::Task => "task",
        }
    }
}

/// What is executed, completely resolved. Two equal launches need no restart between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Command,
    /// The working directory, absolute.
    pub dir: PathBuf,
    /// What is set on top of devstack's own environment.
    pub env: BTreeMap<String, String>,
    /// The address the service is told to bind (`HOST`).
    pub host: String,
    /// What must be installed; `None`: nothing is known about that.
    pub needs: Option<Needs>,
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A text for `sh -c`.
    Shell(String),
    /// A program with its arguments, executed as it is; at least one word.
    Exec(Vec<Expanded>),
}

impl Command {
    /// A program with its arguments, executed as it is; at least one word.
    pub fn exec<W: Into<Expanded>>(words: impl IntoIterator<Item = W>) -> Command {
        Command::Exec(words.into_iter().map(Into::into).collect())
    }

    /// As it was written, on one line as far as it was; for people, not for a shell, and without secrets.
    pub fn line(&self) -> String {
        match self {
            Command::Shell(text) => text.clone(),
            Command::Exec(words) => {
                words.iter().map(Expanded::shown).collect::<Vec<&str>>().join(" ")
            }
        }
    }
}

/// A port that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// `main`, or the name it has in `ports`.
    pub name: String,
    /// The port that was chosen, above 0.
    pub number: u16,
    /// The port that was wished for; `None` when any would do.
    pub wanted: Option<u16>,
    /// Whether only the wanted port would do.
    pub pinned: bool,
    /// Why `number` is not `wanted`, as a fragment such as `port 5000 is held by python3 (pid 4121)`.
    pub moved: Option<String>,
}

/// When a service counts as ready: all probes hold. Without probes: as soon as it was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// All of them must hold.
    pub probes: Vec<Probe>,
    /// How long it may take before the start counts as failed.
    pub timeout: Duration,
    /// The longest pause between two attempts of one probe.
    pub interval: Duration,
}

/// One thing to find out about a process.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// Something of its own process tree accepts connections on this port.
    Tcp {
        /// The port on loopback.
        port: u16,
    },
    /// `GET url` answers with a status below 400, or with any.
    Http {
        /// An absolute `http://` URL.
        url: String,
        /// Whether an answer of any status will do: who answers, serves.
        any_status: bool,
        /// When the URL is on one of the service's own ports: that port, whose listener must be of its tree.
        own_port: Option<u16>,
    },
    /// A line of its output matches.
    Log {
        /// A regular expression that compiles, matched against each line without its end and without escapes.
        pattern: String,
    },
    /// A command ends with code 0.
    Exec {
        /// Runs in the service's folder with its environment.
        command: Command,
    },
    /// It has been running this long.
    Delay {
        /// Since the start of the process.
        delay: Duration,
    },
    /// It says so itself: `READY=1` on the socket in `NOTIFY_SOCKET`, as `sd_notify` of systemd defines it.
    Notify,
}

/// Probes that go on after a service was ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// All of them must hold: TCP, HTTP or commands.
    pub probes: Vec<Probe>,
    /// The pause between two rounds.
    pub interval: Duration,
    /// So many rounds in a row must fail before the service counts as unhealthy, at least 1.
    pub failures: u32,
    /// What follows.
    pub action: HealthAction,
}

/// What follows when a service is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthAction {
    /// It is told.
    Report,
    /// It is told, and the service is restarted, with the delays of a crash.
    Restart,
}

/// Whether a service gets a terminal of its own instead of pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tty {
    /// When devstack's own log goes to a terminal.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// What happens when a process ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Whether it is started again at all.
    pub policy: Policy,
    /// After this many unexpected ends within `window` it is given up.
    pub max: u32,
    /// See `max`.
    pub window: Duration,
    /// The first delay; doubled each time.
    pub delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
}

/// When a process that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    No,
    /// After an unexpected end.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
}

/// How a process is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The signal's number.
    pub signal: i32,
    /// Stops it instead of the signal; runs in the service's folder with its environment.
    pub command: Option<Command>,
    /// How long it may take before everything that is left is killed.
    pub grace: Duration,
}

/// Which files concern a service, and what follows when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The folder that the globs are relative to, absolute: the service's `dir`.
    pub root: PathBuf,
    /// Globs of files that count; empty means every file below `root`. `dir/**`, `*.py`, `../shared/**` are all possible.
    pub include: Vec<String>,
    /// Globs of files that do not count.
    pub exclude: Vec<String>,
    /// How long changes must have stopped before they count, for bursts.
    pub settle: Duration,
    /// How often files are looked at, beside waiting for the system to tell; `None`: only where it would not.
    pub poll: Option<Duration>,
    /// What follows.
    pub action: WatchAction,
}

/// What follows when watched files have changed. Commands run in the service's folder with its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchAction {
    /// The service is restarted.
    Restart {
        /// Goes before the restart, while the service runs on; unless it ends with code 0, there is none.
        build: Option<Command>,
    },
    /// The main process gets this signal, and the service goes on.
    Signal(i32),
    /// This command is run, and the service goes on.
    Run(Command),
}

impl WatchAction {
    /// The command that is run first, if any.
    pub fn command(&self) -> Option<&Command> {
        match self {
            WatchAction::Restart { build } => build.as_ref(),
            WatchAction::Signal(_) => None,
            WatchAction::Run(command) => Some(command),
        }
    }
}

/// What the end of a service means for the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// Nothing.
    None,
    /// The stack ends, with the service's exit code.
    Shutdown,
}

/// A colour of the sixteen that every terminal has, without black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Color {
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
