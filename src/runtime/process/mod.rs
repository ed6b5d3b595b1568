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

mod aside;
mod back;
mod child;
mod detach;
mod device;
mod environment;
mod evict;
mod fact;
mod foreground;
mod front;
mod guard;
mod guard_loop;
mod handed;
mod handover;
mod keeper;
mod later;
mod leash;
mod ledger;
mod life;
mod line;
mod link;
mod orphans;
mod outlet;
mod output;
mod parcel;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "macos.rs"]
mod platform;
mod prepared;
mod proc;
mod processes;
mod program;
mod reap;
mod record;
mod refusal;
mod source;
mod spent;
mod steady;
mod stopper;
mod strays;
mod sweep;
mod terminal;
mod tree;
mod typist;
mod wire;
mod words;

pub use aside::Aside;
pub use back::Back;
pub use detach::{Fork, detach};
pub use device::Device;
pub use environment::{Environment, Giver};
pub use evict::{Eviction, Suspect, evict};
pub use fact::{Fact, Sink, What};
pub use foreground::{NotStarted, locate, refused, replace};
pub use front::Front;
pub use guard::Guard;
pub use handed::Handed;
pub use later::Later;
pub use leash::Leash;
pub use orphans::Orphans;
pub use prepared::rehearse;
pub use processes::Processes;
pub use spent::{Spent, Tree};
pub use sweep::{Swept, leftovers, marked_leftovers, sweep, sweep_marked};
pub use terminal::{Size, Terminal};
pub use tree::own_group;
pub use typist::Typist;
pub(in crate::runtime) use words::{headline, keeps_shell, shown};

/// Whether processes can be pinned while they are inspected, so that no recycled pid is signalled.
pub fn pins() -> bool {
    platform::pins()
}

/// Whether `/proc` shows this process and its descendants. Without that a tree cannot be ended
/// reliably, so nothing may be started.
pub fn sees_itself() -> bool {
    platform::sees_itself()
}

/// Sends TERM to a child that has not been reaped, so its pid cannot have been recycled.
pub fn terminate(child: u32) {
    let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have exited already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Turns a write beyond the user's file size limit (`ulimit -f`) into an error, like a full disk,
/// instead of a fatal SIGXFSZ. Not inherited: exec resets caught signals, unlike ignored ones.
pub fn outlive_file_limits() {
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
