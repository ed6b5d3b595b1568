//! Linux: `/proc`, signalfd, netlink and what else only this system has.

pub(crate) mod credentials;
pub(crate) mod mounts;
pub(crate) mod process;
mod process_list;
mod sock_diag;
mod socket_walk;
pub(crate) mod sockets;
