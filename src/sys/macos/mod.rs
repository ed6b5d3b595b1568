//! macOS: libproc, sysctl and what else only this system has.

pub(crate) mod credentials;
pub(crate) mod mounts;
pub(crate) mod process;
mod process_list;
pub(crate) mod sockets;
