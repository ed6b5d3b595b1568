//! Vocabulary shared by all modules. Plain data: nothing here reads a clock, a file or a socket.

mod address;
mod cause;
mod command;
mod display;
mod environment;
mod event;
mod message;
mod mode;
mod name;
mod phase;
mod plan;
mod port;
mod run;
mod snapshot;
mod stack;
mod watch;
mod why;

pub use address::{ListenAddress, UrlFormat, accepts, is_loopback, listening_port, local_url};
pub use cause::Cause;
pub use command::{RedactedText, RequiredPrograms};
pub use display::{DisplayAge, DisplayDuration, DisplayPath, DisplaySize};
pub use environment::{
    EnvValue, EnvVariable, EnvView, ShadowedValue, SourceLocation, VariableOrigin,
};
pub use event::{Event, EventKind, EventView, EventViewKind};
pub use message::{Message, MessageClass};
pub use mode::{DEBUG_HOST, DEBUG_PORT, DebugConfig, DebugTarget, DebuggerKind, RunMode};
pub use name::{InvalidName, Name};
pub use phase::{Condition, Phase, WaitCondition};
pub use plan::{ChangeAction, Plan, PlanView, ServiceChange};
pub use port::{
    AssignedPort, BindHints, ConflictPolicy, MAIN_PORT, PortKey, PortRequest, WantedPort,
};
pub use run::{OutputStream, ProcessExit, RunId, signal_name, signal_number};
pub use snapshot::{
    DebugView, Dependency, ModeView, ServiceKindView, ServiceView, Snapshot, StackState,
};
pub use stack::{
    CommandLine, HealthAction, HealthConfig, LabelColor, LaunchConfig, LogRetention, OnExit, Probe,
    ReadyConfig, RestartConfig, RestartPolicy, Service, ServiceKind, Stack, StopConfig, TtyMode,
    WatchAction, WatchConfig, connectable_host,
};
pub(crate) use stack::{host_port, resolve_name};
pub use watch::WatchId;
pub use why::{
    BlockedOn, ExitClass, FailingProbe, FileTrigger, NextStep, PastRun, PortStatus, ProbePurpose,
    WhyView,
};
