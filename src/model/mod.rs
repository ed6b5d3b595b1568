//! Vocabulary shared by all modules. Plain data: nothing here reads a clock, a file or a socket.

mod address;
mod advice;
mod base64;
mod cause;
mod debugger;
mod env_view;
mod event;
mod event_view;
mod exit;
mod expanded;
mod message;
mod mode;
mod name;
mod needs;
mod origin;
mod path_text;
mod phase;
mod plan;
mod run;
mod shown;
mod snapshot;
mod stack;
mod stream;
mod url_form;
mod variable;
mod watched;
mod why;
mod wish;

pub use address::{ListenAddress, accepts, is_loopback, listening_port, local_url};
pub use advice::BindHints;
pub(crate) use base64::{from_base64, to_base64};
pub use cause::{Cause, DisplayDuration};
pub use debugger::DebuggerKind;
pub use env_view::EnvView;
pub use event::{Event, EventKind};
pub use event_view::{EventView, EventViewKind};
pub use exit::{ProcessExit, signal_name, signal_number};
pub use expanded::RedactedText;
pub use message::{Message, MessageClass};
pub use mode::{DEBUG_HOST, DEBUG_PORT, DebugConfig, DebugTarget, RunMode};
pub use name::{InvalidName, Name};
pub use needs::RequiredPrograms;
pub use origin::{SourceLocation, VariableOrigin};
pub use phase::{Condition, Phase};
pub use plan::{ChangeAction, Plan, PlanView, ServiceChange};
pub use run::RunId;
pub use shown::DisplayPath;
pub use snapshot::{DebugView, Dependency, ServiceView, Snapshot, StackState};
pub(crate) use stack::host_port;
pub use stack::{
    AssignedPort, CommandLine, HealthAction, HealthConfig, LabelColor, LaunchConfig, LogRetention,
    OnExit, Probe, ReadyConfig, RestartConfig, RestartPolicy, Service, ServiceKind, Stack,
    StopConfig, TtyMode, WatchAction, WatchConfig, connectable_host,
};
pub use stream::OutputStream;
pub use url_form::UrlFormat;
pub use variable::{EnvValue, EnvVariable, ShadowedValue};
pub use watched::WatchId;
pub use why::{
    BlockedOn, ExitClass, FailingProbe, FileTrigger, NextStep, PastRun, PortStatus, WhyView,
};
pub use wish::{ConflictPolicy, PortRequest, PortWeight};
