use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::effect::KilledTree;
use crate::model::{
    ListenAddress, Message, Name, ProcessExit, RunId, Service, Stack, Survivor, WaitCondition,
    WatchId,
};

/// A user request or a fact about the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Replace the stack. Reported by an event with the plan, unless nothing changes.
    Apply(Arc<Stack>),
    /// The project directory was moved: this is the same stack at its new path. Nothing restarts.
    Relocate(Arc<Stack>),
    /// Start these services and their dependencies. Answered when all are ready or done.
    Start(Ticket, Vec<Name>),
    /// Stop these services and cancel their restarts. Answered when nothing of them is left.
    Stop(Ticket, Vec<Name>),
    /// Restart these services, or start them. Answered by runs that began after the request.
    Restart(Ticket, Vec<Name>),
    /// Start those of these services, now in debug mode, that do not run. Answered when a debugger
    /// can attach to each.
    Debug(Ticket, Vec<Name>),
    /// These services are back in run mode. Answered when those that run are ready or done.
    LeaveDebug(Ticket, Vec<Name>),
    /// Wait for these services, or for all requested ones, without changing anything.
    Wait(Ticket, Vec<Name>, WaitCondition),
    /// A client connected to the port of a lazy service that takes no connections.
    Connected(Name),
    /// A lazy service has had no connection for as long as its `idle` says.
    Unused(Name),
    /// devstack cannot listen for a lazy service; why.
    DoorFailed(Name, Message),
    /// The client of this request is gone; no answer is needed.
    Cancel(Ticket),
    /// Stop everything and exit.
    Shutdown {
        /// The request to answer, if any.
        ticket: Option<Ticket>,
        /// Why, as a fragment.
        why: String,
        /// The resulting exit code of `up`.
        code: i32,
        /// Graceful or immediate.
        haste: ShutdownMode,
    },
    /// Files changed; one of them for each watch.
    FilesChanged(BTreeMap<WatchId, PathBuf>),
    /// Whether files are still changing. If so, a restart caused by a change delays its start until
    /// they stop, which the watcher always reports soon.
    StillChanging(bool),
    /// The command of a watch exited and nothing of it is left; the error if it did not succeed.
    JobEnded(JobId, Result<(), Message>),
    /// The main process of a run was spawned, with this pid.
    Spawned(RunId, u32),
    /// The main process of a run could not be spawned; nothing of it is left.
    SpawnFailed(RunId, Message),
    /// Every readiness probe of a run passed; what the last one saw.
    ProbesPassed(RunId, String),
    /// A readiness probe of a run failed; why.
    ProbeFailed(RunId, String),
    /// The health probes of a run failed often enough in a row; why.
    HealthFailed(RunId, String),
    /// The health probes of a run pass again.
    HealthRecovered(RunId),
    DebuggerListening(RunId),
    /// The answer to [`super::Effect::InspectPorts`] about this service: why it must not start on
    /// its ports, if so.
    PortsInspected(Arc<Service>, Result<(), StartObstacle>),
    /// Another process is listening on a port of a run that is not ready.
    PortLost(RunId, Message),
    /// The result of [`super::Effect::InvestigateExit`].
    ExitInvestigated(RunId, ExitBlame),
    /// Ports were chosen again.
    PortsReassigned {
        /// The stack with the new ports.
        stack: Arc<Stack>,
        /// The services that [`super::Effect::ReassignPorts`] was about; an error means no port.
        outcome: BTreeMap<Name, Result<(), Message>>,
    },
    /// A run restarts its program itself when files change.
    ReloadsItself(RunId),
    /// A note about a run that changes nothing.
    Note(RunId, Message),
    ListeningOn(RunId, Vec<ListenAddress>),
    /// Warnings about where a run is listening; replaces earlier ones.
    ListenWarnings(RunId, Vec<Message>),
    /// The main process of a run exited.
    Exited(RunId, ProcessExit),
    /// The process tree of a run is verified to be empty and its output is read to the end.
    TreeEmpty(RunId),
    /// What is left of a tree although it was killed.
    Survived(KilledTree, Vec<Survivor>),
    /// The supervisor or the machine was suspended for this long; deadlines are postponed.
    TimeSkipped(Duration),
    /// Only time has passed.
    Tick,
}

/// Why a service must not start on its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartObstacle {
    /// Another process has one of them.
    PortTaken(Message),
    /// Closed connections keep this one for a while.
    PortLingers(u16),
}

/// Why an early exit of a run is not the fault of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitBlame {
    /// It is the fault of the service.
    None,
    /// Another process took one of its ports.
    PortTaken(Message),
    /// devstack's own port reservation was in the way and has been dropped.
    ReservationInTheWay(Message),
    /// Closed connections keep this port for a while from programs without `SO_REUSEADDR`.
    PortLingers(u16),
    /// It is, but the next run would exit in the same way: it insists on a port that another
    /// process has, instead of the one it was given, or without one.
    InsistsOnPort(Message),
    /// The port that it could not use is not named and not its own. After a second time like this,
    /// it insists on that one.
    MayInsistOnPort(Message),
    /// It is, but the next run would exit in the same way: something is missing.
    CannotRun(Message),
}

/// What `up` was asked to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Services, or groups of replicas.
    pub names: BTreeSet<Name>,
    /// Whether to start their dependencies too.
    pub with_dependencies: bool,
}

/// What an engine does when nothing runs and nothing will start on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenIdle {
    /// Exit: changes to files are not seen.
    Exit,
    /// Wait while a change to a watched file can start something.
    AwaitSave,
    /// Wait while a change to a watched file or to the configuration can start what failed.
    AwaitChange,
    /// Wait for a shutdown, for a caller that judges failures itself.
    KeepAlive,
}

/// How to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Send stop signals, dependents before dependencies, each with its grace period.
    Polite,
    /// Kill everything immediately.
    Now,
}

/// Identifies a request that wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Identifies one execution of a watch command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}
