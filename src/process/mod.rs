//! Starts, tracks and ends processes, and makes sure that none of them outlives its stack.
//!
//! ```text
//! devstack            the supervisor: `ProcessManager`, one task per run (`RunTask`)
//!  └─ ds-guard        forked first thing in main; keeps all runs (`keeper_loop`, `kept_runs`)
//!      ├─ service     marked, in a session and group of its own (`fork_exec`)
//!      └─ orphan      what a service left; its mark says of which run (`run_mark`)
//! ```
//!
//! When the supervisor dies, the guard sees the end of file on its socket and ends the trees; when
//! the guard dies, the kernel kills the main processes, and the supervisor adopts and kills the
//! rest. A tree is empty when the guard has no child that carries its mark: on Linux every orphan
//! becomes a child of the guard, so none can escape. Systems without marks have a keeper for each
//! run below the guard (`keeper_relay`). If all are killed at once, the mark and a record on disk
//! (`process_record`, `record_writer`) let the next devstack end what is left (`previous_stack`).

pub(crate) mod cleanup;
mod daemonize;
mod deferred_command;
pub(crate) mod guard;
pub(crate) mod keeper;
mod process_manager;
mod process_tree;
pub(crate) mod run;
#[cfg(feature = "tui")]
mod screen_guard;
pub(crate) mod spawn;
mod stack_mark;
mod standalone;
mod start_retry;

pub use crate::sys::file_id::FileId;
#[doc(hidden)]
pub use crate::sys::fork::allow_idle_threads;
pub(crate) use crate::sys::process::{
    has_pidfd as can_pin_processes, proc_is_mounted, process_exited,
};
pub use crate::sys::pty::{Pty, TermSize};
pub use crate::sys::signal::exit;
pub(crate) use crate::sys::signal::{
    ignore_file_size_signal, ignores_hangup, note_interrupt, own_group,
};
pub use cleanup::{
    CleanupReport, CommandOrphans, KillOutcome, KillTarget, OwnChildren, clean_up, find_orphans,
    find_orphans_by_token, kill_holders, left_containers,
};
pub use daemonize::{Daemon, Foreground, ForkSide, daemonize};
pub use deferred_command::DeferredCommand;
pub use guard::{GuardHandle, LastAct};
pub(crate) use process_manager::random_name;
pub use process_manager::{ProcessManager, ReservedRun, RunInputs};
pub(crate) use run::OutputTail;
pub use run::{
    BoxFuture, OneShotCommand, OutputSink, RunChange, RunHandle, RunReport, RunTree, TreeUsage,
};
#[cfg(feature = "tui")]
pub(crate) use screen_guard::ScreenGuard;
pub(crate) use spawn::{
    DATA_OF_ROOT, check_data_dir, command_summary, display_command, runs_under_shell,
};
pub use spawn::{
    EnvProvider, ExecError, InheritedEnv, ListenFd, check_launch, exec, exec_refused,
    locate_program,
};
pub(crate) use standalone::{become_standalone, start_standalone};

/// Sends TERM to a child that has not been reaped, so its pid cannot have been recycled.
pub fn terminate_child(child: u32) {
    crate::sys::signal::kill(child, libc::SIGTERM);
}
