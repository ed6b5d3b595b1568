//! System calls, and every `unsafe` block of the program. One file per operating system with the same functions.

pub(crate) mod allocator;
pub(crate) mod async_fd;
pub(crate) mod fd_passing;
#[cfg(test)]
pub(crate) mod fifo;
pub(crate) mod file_clock;
pub(crate) mod file_id;
pub(crate) mod fork;
pub(crate) mod fork_exec;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod listening_socket;
#[cfg(not(target_os = "linux"))]
mod macos;
pub(crate) mod mount_entry;
pub(crate) mod notify_sender;
pub(crate) mod open_files;
pub(crate) mod private_socket;
pub(crate) mod process_stat;
pub(crate) mod pty;
pub(crate) mod reader_closed;
pub(crate) mod signal;
pub(crate) mod wait;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    credentials, inotify, kill_on_close, mounts, network_changes, open_path, process, run_mark,
    sockets, thread_priority,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use macos::{
    credentials, inotify, kill_on_close, mounts, network_changes, open_path, process, run_mark,
    sockets, thread_priority,
};
