//! The hands: processes, files, sockets, time. Decides nothing.

pub mod clock;
pub mod ending;
pub mod handle;
pub mod hands;
pub mod log;
pub mod outcome;
mod passing;
pub mod probe;
pub mod process;
pub mod reload;
mod remark;
pub mod signals;
pub mod supervisor;
pub mod watch;
