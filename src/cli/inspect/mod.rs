//! Commands that show something and change nothing.

mod check;
mod env;
mod env_args;
mod kill_holders;
pub(crate) mod logs;
mod logs_args;
mod plan;
mod ports;
pub(crate) mod presets;
pub(crate) mod ps;
mod ps_all;
mod service_env;
mod since;
mod stack_entry;
mod why;
mod why_args;

pub(crate) use check::check;
pub(crate) use env::env;
pub(crate) use env_args::{EnvArgs, ExecArgs};
pub(crate) use kill_holders::{KillDecision, find_candidates};
pub(crate) use logs::{LogFace, LogsOptions, StoredLogItems, logs};
pub(crate) use logs_args::{LogStyleArgs, LogsArgs};
pub(crate) use plan::plan;
pub(crate) use ports::ports;
pub(crate) use ps::ps;
pub(crate) use ps_all::ps_all;
pub(crate) use service_env::{EnvViewSource, NOT_RUNNING_NOTE, service_env};
pub(crate) use stack_entry::{StackEntry, json_of_all, say_none};
pub(crate) use why::why;
pub(crate) use why_args::WhyArgs;
