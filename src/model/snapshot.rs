use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::path_text::as_text;
use super::{Address, Condition, Exit, Message, Name, Phase, Run};

/// Everything that is, at one instant: what `ps --json` prints and `GET /v1/stack` answers.
/// Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of this form.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// Its folder; in JSON with a replacement character for each byte that is not UTF-8.
    #[serde(serialize_with = "as_text")]
    pub dir: PathBuf,
    /// `run` or `debug`.
    pub mode: String,
    /// The process id of the supervisor.
    pub supervisor_pid: u32,
    /// What the stack as a whole is doing.
    pub state: StackState,
    /// The number of the last event before it: this is exactly what is after that event.
    #[serde(default)]
    pub event: u64,
    /// The networks from which at least one service can be reached now, as `192.168.1.0/24`.
    #[serde(default)]
    pub networks: Vec<String>,
    /// The service that `PORT` from the outside and `devstack open` mean: the first with a port, unless the file says
    /// so of another.
    #[serde(default)]
    pub primary: Option<Name>,
    /// The services in order of their names.
    pub services: Vec<ServiceView>,
}

impl Snapshot {
    /// The services that are neither ready, done nor failed, and will be.
    pub fn under_way(&self) -> impl Iterator<Item = &ServiceView> {
        self.services.iter().filter(|service| match service.phase {
            Phase::Waiting | Phase::Starting | Phase::Stopping | Phase::Backoff => true,
            Phase::Idle | Phase::Ready | Phase::Unhealthy | Phase::Done | Phase::Failed => false,
        })
    }
}

/// What a stack as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackState {
    /// Something that was asked for is not ready yet.
    Starting,
    /// Everything that was asked for is ready or done.
    Up,
    /// Something that was asked for failed.
    Degraded,
    /// Everything is being stopped.
    Stopping,
    /// Nothing runs any more.
    Stopped,
}

/// One service at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: Name,
    /// The name in the file, when it is one of several replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// `service` or `task`.
    pub kind: String,
    /// `run` or `debug`: how its current or last run was started, or the next one will be.
    #[serde(default = "run_mode")]
    pub mode: String,
    /// Where a debugger attaches, in debug mode.
    #[serde(default)]
    pub debug: Option<DebugView>,
    /// Its phase.
    pub phase: Phase,
    /// Since when it is in this phase: RFC 3339 in UTC with milliseconds.
    pub since: String,
    /// Why it is in this phase.
    pub cause: String,
    /// Its main process, while it has one.
    pub pid: Option<u32>,
    /// Its current or last run.
    pub run: Option<Run>,
    /// How many runs it had after the first.
    pub restarts: u32,
    /// The main port.
    pub port: Option<u16>,
    /// The port that was wished for.
    pub wanted_port: Option<u16>,
    /// Whether only the wanted port would do.
    pub pinned: bool,
    /// All ports by name.
    pub ports: BTreeMap<String, u16>,
    /// What was wished for, by the same names; a port that may be any is not in it.
    #[serde(default)]
    pub wanted_ports: BTreeMap<String, u16>,
    /// The address it is told to bind.
    pub host: String,
    /// Where its run really listens; `None`: it has no run, or nobody has looked yet, or the system does not show it.
    #[serde(default)]
    pub listening: Option<Vec<Address>>,
    /// Where to reach it on this machine: at its main port if it listens there, else where it does. `None`: nowhere.
    pub url: Option<String>,
    /// Where others reach it, when it listens on more than loopback.
    #[serde(default)]
    pub network_urls: Vec<String>,
    /// How the last run ended.
    pub exit: Option<Exit>,
    /// What it waits for.
    pub waiting_on: Vec<Need>,
    /// CPU of the whole tree, when it was measured.
    pub cpu_percent: Option<f64>,
    /// Resident memory of the whole tree, when it was measured.
    pub memory_bytes: Option<u64>,
    /// From spawn to ready, of the current run.
    pub ready_after_ms: Option<u64>,
    /// What people should know about it.
    pub message: Option<Message>,
}

fn run_mode() -> String {
    "run".to_owned()
}

/// A service in debug mode, for its debugger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugView {
    /// The debugger's port.
    pub port: u16,
    /// What listens there: `debugpy`, `node inspector` and so on, when it is known.
    pub debugger: Option<String>,
    /// The address to attach to.
    pub attach: String,
    /// Whether it was seen to listen there.
    pub listening: bool,
}

/// A dependency and what must be true of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The dependency.
    pub service: Name,
    /// What must be true of it.
    pub condition: Condition,
}
