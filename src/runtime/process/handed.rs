use std::os::fd::OwnedFd;

/// A listening socket that a process gets as systemd hands one over (sd_listen_fds): as descriptor 3 and up, in the
/// order of a list of these.
#[derive(Debug)]
pub struct Handed {
    /// Its name in `LISTEN_FDNAMES`; without `:`.
    pub name: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// The most sockets that one process is handed: as many as a service may have ports. Linux lets 253 descriptors
/// pass at once.
pub(super) const MAX_HANDED: usize = 64;

/// The variable whose value only the process itself can know.
pub(super) const LISTEN_PID: &str = "LISTEN_PID";

/// The variables that tell a process of these sockets. The pid is filled in by the keeper.
pub(super) fn variables(handed: &[Handed]) -> Vec<(&'static str, String)> {
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
