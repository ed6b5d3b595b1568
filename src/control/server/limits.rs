use std::time::Duration;

/// What clients may use of the server. Tests use smaller limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    /// The only user whose processes are admitted.
    pub uid: u32,
    /// Number of clients served at once.
    pub connections: usize,
    /// How many of them only clients with a short request can have.
    pub kept_brief: usize,
    /// How many more only those can have that start or stop services.
    pub kept_acting: usize,
    /// How many of one process may wait or read a stream at once: one alone must not keep out others.
    pub lasting_per_process: usize,
    /// A stream that sent nothing for this time makes room for other clients.
    pub idle_time: Duration,
    /// Maximum size of a request body in bytes.
    pub body: usize,
    /// Time limit for a request head, including the next one on a persistent connection.
    pub head_time: Duration,
    pub body_time: Duration,
    /// Time limit for responses in progress when the server closes, or when a client hangs up.
    pub close_time: Duration,
}

impl ServerLimits {
    /// Maximum request head, and part of a response that waits for a client that does not read, in
    /// bytes. Of a stream, one such part is encoded and one is being sent.
    pub const BUFFER: usize = 64 * 1024;

    /// Returns the limits for normal use, admitting this process's user.
    pub fn of_this_user() -> ServerLimits {
        ServerLimits {
            uid: rustix::process::geteuid().as_raw(),
            // Enough for a user, an editor and some agents; leaves file descriptors for services.
            connections: 256,
            kept_brief: 32,
            kept_acting: 32,
            // Two thirds of those that may last: enough for a dashboard with 64 tabs.
            lasting_per_process: 128,
            idle_time: Duration::from_secs(10),
            // Ten times what a thousand names need.
            body: 1024 * 1024,
            // Clients are local, so a second is already long.
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(5),
            close_time: Duration::from_secs(1),
        }
    }
}
