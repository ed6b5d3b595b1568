//! From changed configuration files to the next stack.

mod config_reloader;
mod load_constraints;
mod stable_read;
pub mod stack_loader;

pub use stack_loader::{
    ConfigReloader, LoadConstraints, LoadedStack, ReloadOutcome, StackLoader, check_hosts,
    join_messages,
};
pub(crate) use stack_loader::{PreviewResult, ReloadBaseline, ReloadTask, debugged_in, ports_of};
