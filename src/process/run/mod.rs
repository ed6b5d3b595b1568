//! One run of a service in the supervisor: its task, its handle, its output and its reports.

mod one_shot_command;
mod output_fd;
mod output_reader;
mod panic_safe_sink;
mod run_handle;
mod run_report;
mod run_task;
pub(crate) mod stop_command;
mod tree_usage;

pub use one_shot_command::OneShotCommand;
pub(crate) use output_fd::OutputFd;
pub(crate) use output_reader::OutputReader;
pub(crate) use panic_safe_sink::PanicSafeSink;
pub use run_handle::RunHandle;
pub(crate) use run_handle::RunPids;
pub use run_report::{BoxFuture, OutputSink, RunChange, RunReport};
pub(crate) use run_task::{RunProgress, RunTask, send_report};
pub(crate) use tree_usage::ProcessUsage;
pub use tree_usage::{RunTree, TreeUsage};
