//! The loop and what belongs to it: executor, reload, feed, status lines and the handle for clients.

pub mod actions;
pub mod clock;
mod configuration;
pub mod containers;
pub mod env_inputs;
pub(crate) mod executor;
pub mod feed;
mod inputs;
pub mod kept_data;
mod mode_switch;
mod off_loop;
mod port_evidence;
mod port_loss;
mod project_place;
mod publish;
pub(crate) mod reload;
mod renamed_data;
mod script_hints;
pub mod shutdown_request;
pub mod signal_listener;
mod snapshot;
mod stack_outcome;
pub(crate) mod status;
pub mod supervisor;
pub mod supervisor_handle;
mod survivors;

pub use env_inputs::EnvInputs;
pub use project_place::{FollowFn, ProjectPlace};
pub use shutdown_request::ShutdownHandle;
pub use signal_listener::{SignalAction, SignalListener};
pub use stack_outcome::{StackEnd, StackOutcome};
pub(crate) use supervisor::no_debug_entry;
pub use supervisor::{InputSources, Supervisor, SupervisorSetup, TerminalSizeFn};
#[cfg(test)]
pub(crate) use supervisor_handle::SupervisorRequest;
pub use supervisor_handle::{AttachReply, ControlRequest, RequestResult, SupervisorHandle};
