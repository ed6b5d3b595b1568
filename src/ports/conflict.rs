use super::LeaseOwner;
use crate::model::Name;
/// A port conflict that the user may decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictPrompt {
    /// The requested port.
    pub port: u16,
    /// The reason: `api: port 5000 is in use by …`.
    pub reason: String,
    /// Whether a process is listening there that could be killed.
    pub listens: bool,
    /// The port that the service would get instead.
    pub alternative: u16,
}

/// The user's answer to a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictAnswer {
    /// Use the other port.
    Next,
    /// Look again, because the conflict may be gone.
    Retry,
    /// Do not start.
    Quit,
}

/// Why a port is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortObstacle {
    /// In use on at least one of the relevant addresses.
    InUse,
    /// Leased by another devstack.
    Leased(LeaseOwner),
    /// This user may not bind it.
    Denied,
    /// Another service of the same stack has it.
    SameStack(Name),
    /// Any port would do, but none is left.
    NoneLeft,
    /// The system failed to answer; its error text.
    Failed(String),
}
