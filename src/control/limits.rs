use std::time::Duration;

/// What one client may use of the server. Tests make it small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The only user whose processes are let in.
    pub uid: u32,
    /// How many clients are served at once.
    pub connections: usize,
    /// The longest body of a request, in bytes.
    pub body: usize,
    /// How long the head of a request may take, also the next one on a connection that stays open.
    pub head_time: Duration,
    /// How long the body of a request may take.
    pub body_time: Duration,
    /// How long answers that are being written may take when the server closes.
    pub close_time: Duration,
}

impl Limits {
    /// The longest head of a request, and the most that is held of an answer that a client does not read.
    pub const BUFFER: usize = 64 * 1024;

    /// The limits outside of tests, for clients of this process's own user.
    pub fn of_this_user() -> Limits {
        Limits {
            uid: rustix::process::geteuid().as_raw(),
            // More than a person, an editor and some agents need, and few enough that they cannot
            // use up the file descriptors that services need.
            connections: 256,
            // A thousand names fit in a tenth of it.
            body: 1024 * 1024,
            // Clients are on this machine: a second is long.
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(5),
            close_time: Duration::from_secs(1),
        }
    }
}
