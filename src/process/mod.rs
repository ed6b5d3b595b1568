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

pub use crate::sys::pty::{Pty, TermSize};
pub use crate::sys::tty_id::TtyId;
pub use crate::terminal::KeyWriter;
pub use cleanup::{
    CleanupReport, CommandOrphans, KillOutcome, KillTarget, clean_up, clean_up_by_token,
    find_orphans, find_orphans_by_token, kill_holders,
};
pub use daemonize::{Daemon, Foreground, ForkSide, daemonize};
pub use deferred_command::DeferredCommand;
pub use guard::GuardHandle;
pub use process_manager::ProcessManager;
pub use process_tree::own_group;
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

/// Turns a write beyond the user's file size limit (`ulimit -f`) into an error, like a full disk,
/// instead of a fatal SIGXFSZ. Not inherited: exec resets caught signals, unlike ignored ones.
pub fn ignore_file_size_signal() {
    extern "C" fn nothing(_: libc::c_int) {}
    let nothing: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler touches nothing, so it may interrupt anything.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

/// Whether this process was started with SIGHUP ignored, as by nohup.
pub fn ignores_hangup() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action only queries; `action` is large enough for the result.
    let asked = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes are a valid action, and so is what the system wrote.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
