//! The sender of a datagram, as far as the system names it.

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotifySender {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux reports senders"))]
    Pid(u32),
    /// A process outside of this pid namespace.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux reports senders"))]
    Hidden,
    /// The system does not report it.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Linux always reports senders"))]
    Unknown,
}
