//! Vocabulary shared by all modules. Plain data: nothing here reads a clock, a file or a socket.

mod action;
mod address;
mod cause;
mod command;
mod container;
mod cursor;
mod display;
mod environment;
mod event;
mod health;
mod launch;
mod message;
mod mode;
mod name;
mod phase;
mod plan;
mod port;
mod portable;
mod proxy;
mod restart;
mod run;
mod service;
mod shortfall;
mod snapshot;
mod stack;
mod watch;
mod why;

pub use action::{
    ActionRequest, ActionStop, ActionUpdate, ActionView, RunningAction, ServiceAction,
    ServiceActions, argument_variable,
};
pub(crate) use address::host_port;
pub use address::{
    ListenAddress, UrlFormat, accepts, bind_address, connectable_host, is_loopback, listening_port,
    local_url,
};
pub use cause::Cause;
pub use command::{CommandLine, RedactedText, RequiredPrograms};
pub use container::{
    ContainerConfig, ContainerEngine, ContainerPlace, EngineAddress, ImageBuild, ImageSource,
    PullPolicy, StackContainers, VolumeMount, VolumeSource, host_inside, is_image_reference,
    is_volume_name,
};
pub use cursor::{CursorKind, CursorText, InvalidCursor, StartId};
pub use display::{DisplayAge, DisplayDuration, DisplayPath, DisplaySize};
pub(crate) use environment::SERVICE_VAR;
pub use environment::{
    EnvValue, EnvVariable, EnvView, ShadowedValue, SourceLocation, VariableSource,
};
pub use event::{Event, EventKind, EventView, EventViewKind};
pub use health::{AcceptedStatus, HealthAction, HealthConfig, Probe, ReadyConfig};
pub use launch::{LaunchConfig, LaunchEnv};
pub use message::{Message, MessageClass};
pub use mode::{DEBUG_HOST, DEBUG_PORT, DebugConfig, DebugTarget, DebuggerKind, RunMode};
pub use name::{InvalidName, Name, UniqueNames};
pub use phase::{Condition, Phase, WaitCondition};
pub use plan::{ChangeAction, Plan, PlanView, ServiceChange};
pub use port::{
    AssignedPort, BindHints, ConflictPolicy, MAIN_PORT, PortKey, PortRequest, WantedPort,
};
pub use portable::{
    CONTAINER_DIR, MissingVariable, PortableCommand, PortableEnvFile, PortableHttp,
    PortableNetwork, PortablePort, PortableProbe, PortableService, PortableStack, PortableText,
    PortableVariable, TextPiece,
};
pub use proxy::{HostHeader, HttpsUse, LoadBalancing, ProxyPlace, ServiceProxy, StackProxy};
pub use restart::{RestartConfig, RestartPolicy, StopConfig};
pub use run::{
    OutputStream, ProcessExit, RunId, Survivor, SurvivorState, signal_name, signal_number,
};
pub use service::{INNER_PORT, LabelColor, LazyConfig, OnExit, Service, ServiceKind, TtyMode};
pub use shortfall::Shortfall;
pub use snapshot::{
    DebugView, Dependency, ModeView, ServiceKindView, ServiceView, Snapshot, StackState,
    StartCommand, StartView,
};
pub(crate) use stack::resolve_name;
pub use stack::{CONFIG_FILE, CONFIG_FILES, DirMove, LOCK_FILE, LogRetention, Stack};
pub use watch::{WatchAction, WatchConfig, WatchId};
pub use why::{
    BlockedOn, ExitClass, FailingProbe, FileTrigger, NextStep, PastRun, PortStatus, ProbePurpose,
    WhyView,
};
