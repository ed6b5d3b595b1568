//! Processes: started, watched and ended so that nothing of them is ever left behind.
//!
//! ```text
//! devstack            the supervisor: `Processes`, a task per run (`Life`)
//!  └─ ds-guard        forked first thing in main; adopts orphans of dead keepers (`guard_loop`)
//!      └─ ds-keep     one per run, a fork of the guard; adopts all orphans of its tree (`keeper`)
//!          └─ service session and group of its own (`child`)
//! ```
//!
//! Whoever dies, somebody above or below notices by the end of a socket or pipe and ends the trees:
//! keepers when supervisor or guard are gone, the guard when a keeper is, the supervisor when guard and
//! keeper are. A tree is empty when `waitpid` says that its keeper has no children: on Linux every orphan
//! becomes the keeper's child, so nothing can hide.

mod child;
mod environment;
mod fact;
mod foreground;
mod guard;
mod guard_loop;
mod keeper;
mod leash;
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
mod refusal;
mod steady;
mod strays;
mod tree;
mod wire;
mod words;

pub use fact::{Fact, Sink, What};
pub use foreground::{NotStarted, locate, refused};
pub use guard::Guard;
pub use leash::Leash;
pub use orphans::Orphans;
pub use processes::Processes;

/// Asks a child of this process to end. For a child that has not been waited for, so that its
/// number cannot mean anybody else.
pub fn terminate(child: u32) {
    let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
