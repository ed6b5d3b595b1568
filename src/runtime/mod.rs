//! The supervisor and everything it acts with: processes, files, sockets, time. Makes no decisions.

pub mod clock;
pub mod console;
pub mod ending;
pub mod feed;
pub mod given;
pub mod handle;
pub mod hands;
mod in_use;
pub mod jobs;
pub mod log;
pub mod outcome;
mod passing;
pub mod probe;
pub mod process;
mod reach;
pub mod reload;
mod remark;
pub mod signals;
mod steady;
pub mod supervisor;
mod survey;
pub mod usage;
pub mod watch;
