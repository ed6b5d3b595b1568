//! The hands: processes, files, sockets, time. Decides nothing.

pub mod handle;
pub mod log;
pub mod probe;
pub mod process;
pub mod watch;
