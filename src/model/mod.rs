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

pub use address::{Address, actual_port, covers, is_loopback, local_url};
pub use advice::Advice;
pub(crate) use base64::{from_base64, to_base64};
pub use cause::{Cause, Span};
pub use debugger::Debugger;
pub use env_view::EnvView;
pub use event::{Event, Happening};
pub use event_view::{EventView, What};
pub use exit::{Exit, signal_name, signal_number};
pub use expanded::Expanded;
pub use message::{Class, Message};
pub use mode::{DEBUG_HOST, DEBUG_PORT, Debug, Debugging, Mode};
pub use name::{BadName, Name};
pub use needs::Needs;
pub use origin::{Origin, Written};
pub use phase::{Condition, Phase};
pub use plan::{Action, Change, Plan, PlanView};
pub use run::Run;
pub use shown::Shown;
pub use snapshot::{DebugView, Need, ServiceView, Snapshot, StackState};
pub(crate) use stack::host_port;
pub use stack::{
    Color, Command, Health, HealthAction, Kind, Launch, LogLimits, OnExit, Policy, Port, Probe,
    Ready, Restart, Service, Stack, Stop, Tty, Watch, WatchAction, reachable,
};
pub use stream::Stream;
pub use url_form::UrlForm;
pub use variable::{Hidden, Value, Variable};
pub use watched::Watched;
pub use why::{EndedBy, FailingProbe, Next, PastRun, PortFacts, Trigger, Waited, Why};
pub use wish::{OnConflict, PortWish, Weight};
