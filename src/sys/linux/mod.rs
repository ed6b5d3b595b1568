//! Linux: `/proc`, signalfd, netlink and what else only this system has.

pub(crate) mod credentials;
pub(crate) mod inotify;
pub(crate) mod kill_on_close;
pub(crate) mod mounts;
pub(crate) mod network_changes;
pub(crate) mod open_path;
pub(crate) mod process;
mod process_list;
pub(crate) mod run_mark;
pub(crate) mod sock_diag;
mod socket_walk;
pub(crate) mod sockets;
mod survivor_state;
pub(crate) mod thread_priority;
