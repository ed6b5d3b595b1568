//! One run of a service in the supervisor: its task, its handle, its output and its reports.

mod one_shot_command;
mod output_fd;
mod output_reader;
mod output_sink;
mod output_tail;
mod pty_set;
mod run_channels;
mod run_handle;
mod run_report;
mod run_task;
mod stop_command;
mod tree_usage;

pub use one_shot_command::OneShotCommand;
pub(crate) use output_sink::PanicSafeSink;
pub use output_sink::{BoxFuture, OutputSink};
pub(crate) use output_tail::OutputTail;
pub(crate) use pty_set::PtySet;
pub(crate) use run_channels::RunChannels;
pub use run_handle::RunHandle;
pub(crate) use run_handle::{MainPids, RunPids};
pub use run_report::{RunChange, RunReport};
pub(crate) use run_task::{RunProgress, RunTask, send_report};
pub use tree_usage::{RunTree, TreeUsage};
