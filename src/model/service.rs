use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::{
    AssignedPort, BindHints, Condition, DEBUG_PORT, DebugConfig, HealthConfig, LaunchConfig, Name,
    ReadyConfig, RestartConfig, RunMode, ServiceActions, ServiceProxy, StopConfig, UrlFormat,
    WatchConfig, bind_address,
};

/// The port of a lazy service that its program opens, behind its main port.
pub const INNER_PORT: &str = "inner";

/// One complete service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: Name,
    /// Service or task.
    pub kind: ServiceKind,
    /// What is executed. A difference here means a restart.
    pub launch: LaunchConfig,
    /// The mode that `launch` is for.
    pub mode: RunMode,
    /// Its `debug` entry, if it has one.
    pub debug: Option<DebugConfig>,
    /// Its ports, main port first. If it is lazy, `inner` follows; in debug mode the last one,
    /// `debug`, is the debugger's.
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
    /// Whether it starts only with the first connection to its main port.
    pub lazy: Option<LazyConfig>,
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
    /// How the proxy serves it; `None`: not at all.
    pub proxy: Option<ServiceProxy>,
    /// What can be run for it on request.
    pub actions: ServiceActions,
}

impl Service {
    /// Returns the main port, if it has one.
    pub fn port(&self) -> Option<&AssignedPort> {
        self.ports.first().filter(|port| !(self.mode.is_debug() && port.name == DEBUG_PORT))
    }

    /// Returns the ports that its program is to open, main port first: of a lazy service, `inner`
    /// takes the place of the main port, where devstack itself listens.
    pub fn own_ports(&self) -> Vec<&AssignedPort> {
        let mut ports: Vec<_> = self.ports.iter().collect();
        if let Some(at) = ports.iter().position(|port| self.is_inner(port)) {
            ports[0] = ports.remove(at);
        }
        ports
    }

    /// Returns the number that a port has inside its container, where its program listens. `None`: it
    /// runs in none.
    pub fn inside_port(&self, port: &AssignedPort) -> Option<u16> {
        self.launch.container.as_ref()?.inside_ports.get(&port.name).copied()
    }

    /// Whether this is the port that its program opens in place of its main port.
    pub fn is_inner(&self, port: &AssignedPort) -> bool {
        self.lazy.is_some() && port.name == INNER_PORT
    }

    /// Returns where devstack listens for it while it is asleep, and passes connections on later.
    /// `None`: it is not lazy.
    pub fn door(&self) -> Option<SocketAddr> {
        let port = self.ports.first().filter(|_| self.lazy.is_some())?;
        Some(bind_address(&self.launch.host, port.number))
    }

    /// Whether it reloads changed files itself while it runs, as its configuration shows.
    pub fn reloads_itself(&self) -> bool {
        self.watch.iter().any(|watch| !watch.reloaded.is_empty())
    }

    /// Returns the ports whose listening socket is passed to it, in their order.
    pub fn activated_ports(&self) -> impl Iterator<Item = &AssignedPort> {
        self.ports.iter().filter(|port| self.socket_activated.contains(&port.name))
    }

    /// Returns the directory where its preset keeps data, if that is named after the service.
    pub fn data_dir(&self) -> Option<&Path> {
        let dir = self.launch.data_dir()?;
        dir.ends_with(Path::new(".devstack/data").join(self.name.as_str())).then_some(dir)
    }

    /// Returns the URL of the main port: `http://HOST:PORT` unless its preset has another format.
    pub fn url(&self) -> Option<String> {
        self.port().map(|port| self.url_form.format(&self.launch.host, port.number))
    }
}

#[cfg(test)]
impl Service {
    /// A service with the defaults of the file and no ports. Its shell command is its name.
    pub(crate) fn sample(name: &str) -> Service {
        use super::{CommandLine, LaunchEnv, RestartPolicy};

        Service {
            name: Name::new(name).expect("a valid name"),
            kind: ServiceKind::Service,
            mode: RunMode::Run,
            debug: None,
            launch: LaunchConfig {
                command: CommandLine::Shell(name.to_owned()),
                container: None,
                dir: "/shop".into(),
                env: LaunchEnv::default(),
                host: "127.0.0.1".to_owned(),
                requires: None,
            },
            ports: Vec::new(),
            depends_on: BTreeMap::new(),
            ready: ReadyConfig {
                probes: Vec::new(),
                timeout: Duration::from_secs(60),
                interval: Duration::from_millis(250),
            },
            restart: RestartConfig {
                policy: RestartPolicy::OnFailure,
                max_failures: 8,
                window: Duration::from_secs(120),
                delay: Duration::from_millis(250),
                max_delay: Duration::from_secs(15),
            },
            success_codes: BTreeSet::from([0]),
            stop: StopConfig { signal: 15, command: None, grace: Duration::from_secs(5) },
            watch: Vec::new(),
            tty: TtyMode::No,
            health: None,
            autostart: true,
            lazy: None,
            socket_activated: Vec::new(),
            on_exit: OnExit::None,
            color: None,
            description: None,
            url_form: UrlFormat::default(),
            advice: None,
            proxy: None,
            actions: ServiceActions::new(),
        }
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
}

/// How a lazy service is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LazyConfig {
    /// Without a connection for this long it stops; `None`: it runs on.
    pub idle: Option<Duration>,
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
