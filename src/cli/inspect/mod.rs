//! Commands that show something and change nothing.

mod changes;
mod check;
mod env;
mod kill_holders;
pub(crate) mod logs;
mod logs_args;
mod plan;
mod ports;
pub(crate) mod presets;
pub(crate) mod ps;
mod ps_all;
mod service_env;
pub(crate) mod since;
mod stack_entry;
mod why;

#[cfg(feature = "tui")]
pub(crate) use changes::changes_text;
pub(crate) use changes::{ChangesArgs, changes};
pub(crate) use check::{CheckArgs, check};
pub(crate) use env::{EnvArgs, env};
pub(crate) use kill_holders::find_candidates;
pub(crate) use logs::{LogsOptions, logs};
pub(crate) use logs_args::{LogStyleArgs, LogsArgs};
pub(crate) use plan::{PlanArgs, plan};
pub(crate) use ports::{PortsArgs, ports};
pub(crate) use presets::PresetsArgs;
pub(crate) use ps::ps;
pub(crate) use ps_all::ps_all;
pub(crate) use service_env::{EnvViewSource, NOT_RUNNING_NOTE, service_env};
pub(crate) use stack_entry::{StackEntry, json_of_all, say_none};
pub(crate) use why::{WhyArgs, why};
