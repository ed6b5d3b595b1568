//! Starts, tracks and ends processes, and makes sure that none of them outlives its stack.
//!
//! ```text
//! devstack            the supervisor: `ProcessManager`, one task per run (`RunTask`)
//!  └─ ds-guard        forked first thing in main; adopts orphans of dead keepers (`guard_loop`)
//!      └─ ds-keep     one per run, forked from the guard; adopts its orphans (`keeper_loop`)
//!          └─ service session and group of its own (`posix_spawn`)
//! ```
//!
//! When one of them dies, another sees the end of file on a socket or pipe and ends the trees:
//! keepers watch supervisor and guard, the guard watches keepers, the supervisor watches both. A
//! tree is empty when `waitpid` reports that its keeper has no children: on Linux every orphan
//! becomes a child of its keeper, so none can escape. If all are killed at once, a record on disk
//! (`process_record`, `record_writer`) lets the next devstack end what is left (`previous_stack`).

pub(crate) mod cleanup;
mod daemonize;
mod deferred_command;
pub(crate) mod guard;
pub(crate) mod keeper;
mod process_manager;
mod process_tree;
pub(crate) mod run;
pub(crate) mod spawn;

#[doc(hidden)]
pub use crate::sys::fork::allow_idle_threads;
pub use crate::sys::pty::{Pty, TermSize};
pub(crate) use crate::sys::signal::{ignore_file_size_signal, ignores_hangup, own_group};
pub use crate::sys::tty_id::TtyId;
pub use cleanup::{
    CleanupReport, CommandOrphans, KillOutcome, KillTarget, clean_up, clean_up_by_token,
    find_orphans, find_orphans_by_token, kill_holders,
};
pub use daemonize::{Daemon, Foreground, ForkSide, daemonize};
pub use deferred_command::DeferredCommand;
pub use guard::GuardHandle;
pub use process_manager::ProcessManager;
pub(crate) use run::OutputTail;
pub use run::{
    BoxFuture, OneShotCommand, OutputSink, RunChange, RunHandle, RunReport, RunTree, TreeUsage,
};
pub use spawn::{
    EnvProvider, ExecError, InheritedEnv, ListenFd, check_launch, exec, exec_refused,
    locate_program,
};
pub(crate) use spawn::{command_summary, display_command, runs_under_shell};

/// Whether processes can be pinned while they are inspected, so that no recycled pid is signalled.
pub fn can_pin_processes() -> bool {
    crate::sys::process::has_pidfd()
}

/// Whether `/proc` shows this process and its descendants. Without that a tree cannot be ended
/// reliably, so nothing may be started.
pub fn proc_is_mounted() -> bool {
    crate::sys::process::proc_is_mounted()
}

/// Sends TERM to a child that has not been reaped, so its pid cannot have been recycled.
pub fn terminate_child(child: u32) {
    let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have exited already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
