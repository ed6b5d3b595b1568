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
//! becomes the keeper's child, so nothing can hide. When all of them are killed at once, a record on disk
//! (`record`, `ledger`) lets the next devstack find and end what is left (`sweep`).

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

/// Whether processes can be held on to while they are looked at and signalled, so that none is mistaken for another.
pub fn pins() -> bool {
    platform::pins()
}

/// Whether the system shows this process and those below it. Without that no tree could be ended for certain, so
/// nothing may be started.
pub fn sees_itself() -> bool {
    platform::sees_itself()
}

/// Asks a child of this process to end. For a child that has not been waited for, so that its
/// number cannot mean anybody else.
pub fn terminate(child: u32) {
    let pid = i32::try_from(child).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// From here on a write beyond the largest file that the user allows (`ulimit -f`) is an error like a full disk, and
/// not the end of this process. Programs that are started do not inherit it: what is caught, unlike what is
/// ignored, has its usual effect again after an exec.
pub fn outlive_file_limits() {
    extern "C" fn nothing(_: libc::c_int) {}
    let nothing: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler touches nothing, so it may interrupt anything; the call only reads the number.
    unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
}

/// Whether this process was started so that the end of its terminal does not end it, as by nohup.
pub fn ignores_hangup() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; the answer is written into `action`, which is large enough for it.
    let asked = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroes are a valid action, and so is what the system wrote.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
