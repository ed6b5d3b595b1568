use std::time::Duration;

use crate::model::{Cause, Dependency, Message, Name, ProcessExit, Survivor};

/// Why a service is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceFailure {
    /// SIGKILL did not end it, and it may start again only when it is gone after all.
    Unstoppable {
        tree: TreeOf,
        /// What is left.
        survivors: Vec<Survivor>,
    },
    /// It could not be started, or got no port: worded by what found out.
    NotStarted(Message),
    /// It was not ready in time.
    NotReady {
        /// The time it had.
        limit: Duration,
        /// What was last seen of it, if anything.
        last: Option<String>,
        /// It listens elsewhere, which is why: the warning, with what helps.
        elsewhere: Option<Box<Message>>,
    },
    /// It exited on its own and does not start again.
    Exited(ProcessExit),
    /// Its shell did not find a program.
    CommandNotFound,
    /// It exited too often.
    CrashLoop {
        /// How often, within `window`.
        exits: u32,
        /// The time in which exits count.
        window: Duration,
        last: ProcessExit,
    },
    /// It exited whenever it was started after a change.
    BrokenByChange {
        change: Cause,
        /// How often.
        exits: u32,
        last: ProcessExit,
    },
    /// Its health probes fail; why.
    Unhealthy(String),
    /// It lost its port to other processes too often in a row.
    PortsLost {
        /// How often.
        times: u32,
        /// To which process it lost its last port.
        last: String,
    },
    DependencyFailed {
        on: Dependency,
        /// How it failed.
        root: Box<ServiceFailure>,
    },
    /// A dependency has exited on its own, and is started again.
    DependencyRestarts {
        on: Dependency,
        /// How it exited last.
        exit: ProcessExit,
    },
    /// A dependency has exited and does not start again.
    DependencyExited { on: Dependency, exit: ProcessExit },
    /// A dependency was stopped by the user.
    DependencyStopped(Dependency),
}

/// What a process tree belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeOf {
    Service,
    WatchCommand,
}

/// Why a request cannot be fulfilled.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestError {
    /// No service or group has this name.
    UnknownService {
        name: Name,
        /// The services there are.
        available: Vec<Name>,
    },
    /// The stack is shutting down.
    ShuttingDown,
    /// The same for what would start something: it may be asked for again.
    StartWhileStopping,
    /// The service was removed from the configuration before the request took effect.
    RemovedMeanwhile(Name),
    /// The service was started again before it had stopped.
    StartedMeanwhile(Name),
    /// The service was stopped before it was ready.
    StoppedMeanwhile(Name),
    Failed(Name, ServiceFailure),
    /// These cannot be stopped.
    NotStopped(Vec<(Name, ServiceFailure)>),
    /// The service would not start again because a dependency has failed or keeps crashing, so it
    /// is left running.
    NotRestarted {
        /// The service.
        name: Name,
        /// The dependency.
        blocker: Name,
        /// How the dependency failed.
        failure: Box<ServiceFailure>,
    },
    /// What the client waits for does not come because the service failed or cannot start.
    WaitFailed(Name, ServiceFailure),
    /// The client waits for a service that is no longer in the configuration.
    Gone {
        name: Name,
        renamed_to: Option<Name>,
    },
    /// The client waits for a service that was not requested.
    NotRequested(Name),
    /// A service to wait for is asleep.
    Asleep(Name),
    /// The client waits for a service that the user stopped.
    Stopped(Name),
    /// The client waits until a service is ready that has exited for good.
    NeverReady(Name, ProcessExit),
    /// The client waits for the completion of a service that restarts whenever it exits.
    NeverCompletes(Name),
}

/// What a user should know of a service beyond its phase.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ServiceNotice {
    /// It did not stop in time and is killed.
    Killing { grace: Duration },
    /// It did not stop in time and is not killed, because it is being debugged.
    SlowStop { grace: Duration, in_shutdown: bool },
    /// A file changed, but it is being debugged.
    ChangeDeferred { path: String },
    /// It works, so it is not stopped for a change while a dependency is not what it needs.
    RestartHeld { failure: ServiceFailure },
    /// It is in debug mode, but no debugger can attach.
    NoDebugger { address: String, limit: Duration },
    /// It keeps changing these files itself; `summary` says how often.
    WatchPaused { files: Vec<String>, summary: String },
    /// It keeps changing these variables of its own environment.
    EnvPaused { variables: Vec<String>, summary: String },
}
