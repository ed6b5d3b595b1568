use std::os::fd::OwnedFd;

use crate::sys::fork_exec::LISTEN_PID;

/// A listening socket passed as systemd does (sd_listen_fds): from descriptor 3 on, in list order.
#[derive(Debug)]
pub struct ListenFd {
    /// Its name in `LISTEN_FDNAMES`; must not contain `:`.
    pub name: String,
    pub socket: OwnedFd,
}

/// As many as a service may have ports. Linux passes at most 253 descriptors at once.
pub(crate) const MAX_LISTEN_FDS: usize = 64;

/// The variables that describe these sockets to the process.
pub(super) fn listen_variables(handed: &[ListenFd]) -> Vec<(&'static str, String)> {
    if handed.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = handed.iter().map(|handed| handed.name.as_str()).collect();
    vec![
        ("LISTEN_FDS", handed.len().to_string()),
        ("LISTEN_FDNAMES", names.join(":")),
        (LISTEN_PID, String::new()),
    ]
}
