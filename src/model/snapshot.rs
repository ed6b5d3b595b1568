use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::display::serialize_lossy;
use super::{
    ActionView, Condition, ListenAddress, Message, MessageClass, Name, Phase, ProcessExit, RunId,
    RunMode, ServiceKind, ServiceProxy, StackProxy,
};

/// The state of the whole stack at one instant: the output of `ps --json` and `GET /v1/stack`.
/// Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// Its directory; in JSON, bytes that are not UTF-8 become U+FFFD.
    #[serde(serialize_with = "serialize_lossy")]
    pub dir: PathBuf,
    /// Debug mode if any service is in it.
    pub mode: ModeView,
    pub supervisor_pid: u32,
    /// The state of the whole stack.
    pub state: StackState,
    /// The number of the last event that this snapshot includes.
    #[serde(default)]
    pub event: u64,
    /// The networks from which at least one service is reachable now, such as `192.168.1.0/24`.
    #[serde(default)]
    pub networks: Vec<String>,
    /// The service that an outside `PORT` and `devstack open` mean.
    #[serde(default)]
    pub primary: Option<Name>,
    /// How the stack was started; missing from older versions and in snapshots of single services.
    #[serde(default)]
    pub start: Option<StartView>,
    /// How the proxy serves it; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<StackProxy>,
    /// The services, sorted by name.
    pub services: Vec<ServiceView>,
}

impl Snapshot {
    /// Returns the services that are still on the way to ready, done or failed.
    pub fn in_progress(&self) -> impl Iterator<Item = &ServiceView> {
        self.services.iter().filter(|service| match service.phase {
            Phase::Waiting | Phase::Starting | Phase::Stopping | Phase::Backoff => true,
            Phase::Idle
            | Phase::Asleep
            | Phase::Blocked
            | Phase::Ready
            | Phase::Unhealthy
            | Phase::Done
            | Phase::Failed => false,
        })
    }
}

/// How a stack was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartView {
    pub command: StartCommand,
    /// Its configuration files, later over earlier: relative to the project directory if they are
    /// below it. Without local files, env files and other files that these name.
    pub files: Vec<String>,
    /// Whether it searched for its file; another one may take its place.
    #[serde(default)]
    pub found: bool,
    /// Whether it watches files.
    pub watch: bool,
}

/// A command that starts a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartCommand {
    /// `devstack up`.
    Up,
    /// `devstack run`, which stops the stack when its command exits.
    Run,
    /// A command that only a newer devstack knows.
    #[serde(other)]
    Unknown,
}

/// The state of a whole stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackState {
    /// Something requested is not ready yet.
    Starting,
    /// Everything requested is ready or done.
    Up,
    /// Something requested failed.
    Degraded,
    /// The stack is shutting down.
    Stopping,
    /// Nothing is running any more.
    Stopped,
}

/// One service at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub name: Name,
    /// Its name in the file, if it is a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// Service or task.
    pub kind: ServiceKindView,
    /// The mode of its current or last run, or of the next one.
    #[serde(default)]
    pub mode: ModeView,
    /// Where a debugger attaches, in debug mode.
    #[serde(default)]
    pub debug: Option<DebugView>,
    /// Whether it has a `debug` entry, so that debug mode can be switched on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_debug: bool,
    pub phase: Phase,
    /// When this phase began: RFC 3339 in UTC with milliseconds.
    pub since: String,
    /// Why it is in this phase.
    pub cause: String,
    /// The pid of its main process, if running.
    pub pid: Option<u32>,
    /// Its current or last run.
    pub run: Option<RunId>,
    /// How many runs it had after the first.
    pub restarts: u32,
    /// The main port.
    pub port: Option<u16>,
    /// The wanted main port.
    pub wanted_port: Option<u16>,
    /// Whether only the wanted port is acceptable.
    pub pinned: bool,
    /// All ports by name.
    pub ports: BTreeMap<String, u16>,
    /// The wanted ports by name; ports without a preference are left out.
    #[serde(default)]
    pub wanted_ports: BTreeMap<String, u16>,
    /// The address it should bind.
    pub host: String,
    /// Where its run is listening; `None`: no run, or not known (yet).
    #[serde(default)]
    pub listening: Option<Vec<ListenAddress>>,
    /// Its URL on this machine, at its main port if it is listening there, else where it is.
    pub url: Option<String>,
    /// The address at the proxy that it keeps when its port changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How the proxy serves it; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ServiceProxy>,
    /// URLs for other machines, if it is listening on more than loopback.
    #[serde(default)]
    pub network_urls: Vec<String>,
    /// How the last run exited.
    pub exit: Option<ProcessExit>,
    /// All its dependencies; missing from older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    pub waiting_on: Vec<Dependency>,
    /// CPU usage of its process tree, if measured.
    pub cpu_percent: Option<f64>,
    /// Resident memory of its process tree, if measured.
    pub memory_bytes: Option<u64>,
    /// Time from spawn to ready of the current run.
    pub ready_after_ms: Option<u64>,
    /// What the user should know about it.
    pub message: Option<Message>,
    /// What can be run for it on request, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionView>,
}

impl ServiceView {
    /// Whether it runs, but was not ready in time.
    pub fn is_late(&self) -> bool {
        let late = |message: &Message| message.class == MessageClass::ReadyTimeout;
        self.phase == Phase::Unhealthy && self.message.as_ref().is_some_and(late)
    }

    /// Whether it is a service and has exited as if it were a task.
    pub fn has_exited(&self) -> bool {
        self.phase == Phase::Done && !self.kind.is_task()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKindView {
    /// See [`ServiceKind::Service`].
    Service,
    /// See [`ServiceKind::Task`].
    Task,
    /// A kind that only a newer devstack knows.
    #[serde(other)]
    Unknown,
}

impl ServiceKindView {
    /// Whether it is expected to exit.
    pub fn is_task(self) -> bool {
        self == ServiceKindView::Task
    }
}

impl From<ServiceKind> for ServiceKindView {
    fn from(kind: ServiceKind) -> ServiceKindView {
        match kind {
            ServiceKind::Service => ServiceKindView::Service,
            ServiceKind::Task => ServiceKindView::Task,
        }
    }
}

/// The mode of a service or of a stack in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeView {
    /// See [`RunMode::Run`].
    #[default]
    Run,
    /// See [`RunMode::Debug`].
    Debug,
    /// A mode that only a newer devstack knows.
    #[serde(other)]
    Unknown,
}

impl From<RunMode> for ModeView {
    fn from(mode: RunMode) -> ModeView {
        match mode {
            RunMode::Run => ModeView::Run,
            RunMode::Debug(_) => ModeView::Debug,
        }
    }
}

/// How to attach a debugger to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugView {
    /// The debugger's port.
    pub port: u16,
    /// The kind of debugger, if known: `debugpy`, `node inspector` …
    pub debugger: Option<String>,
    /// The address to attach to.
    pub attach: String,
    /// Whether it is known to be listening.
    pub listening: bool,
}

/// A dependency and the condition it must meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub service: Name,
    /// The condition it must meet.
    pub condition: Condition,
}

#[cfg(test)]
impl Snapshot {
    /// Returns a stack that is up, for tests.
    pub(crate) fn sample(stack: &str, dir: &str, services: Vec<ServiceView>) -> Snapshot {
        Snapshot {
            version: 1,
            stack: stack.to_owned(),
            dir: dir.into(),
            mode: ModeView::Run,
            supervisor_pid: 1,
            state: StackState::Up,
            event: 0,
            networks: Vec::new(),
            primary: None,
            start: None,
            proxy: None,
            services,
        }
    }
}

#[cfg(test)]
impl ServiceView {
    /// Returns a service in this phase with nothing else set, for tests.
    pub(crate) fn sample(name: &str, phase: Phase) -> ServiceView {
        ServiceView {
            name: Name::new(name).unwrap(),
            group: None,
            kind: ServiceKindView::Service,
            mode: ModeView::Run,
            debug: None,
            can_debug: false,
            phase,
            since: "2026-11-20T09:00:00.120Z".to_owned(),
            cause: "requested by `up`".to_owned(),
            pid: None,
            run: None,
            restarts: 0,
            port: None,
            wanted_port: None,
            wanted_ports: BTreeMap::new(),
            pinned: false,
            ports: BTreeMap::new(),
            host: "127.0.0.1".to_owned(),
            url: None,
            listening: None,
            origin: None,
            proxy: None,
            network_urls: Vec::new(),
            exit: None,
            depends_on: Vec::new(),
            waiting_on: Vec::new(),
            cpu_percent: None,
            memory_bytes: None,
            ready_after_ms: None,
            message: None,
            actions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ModeView, ServiceKindView};

    #[test]
    fn words_of_a_newer_devstack_are_unknown() {
        let kind = |word| serde_json::from_value::<ServiceKindView>(word).unwrap();
        assert_eq!(kind("task".into()), ServiceKindView::Task);
        assert_eq!(kind("cron".into()), ServiceKindView::Unknown);
        let mode = |word| serde_json::from_value::<ModeView>(word).unwrap();
        assert_eq!(mode("debug".into()), ModeView::Debug);
        assert_eq!(mode("profile".into()), ModeView::Unknown);
        assert_eq!(serde_json::to_value(ModeView::Run).unwrap(), "run");
    }
}
