//! Linux: `/proc`, signalfd, netlink and what else only this system has.

pub(crate) mod credentials;
pub(crate) mod mounts;
pub(crate) mod process;
#[cfg(target_os = "linux")]
pub(crate) mod sock_diag;
#[cfg(target_os = "linux")]
pub(crate) mod socket_walk;
