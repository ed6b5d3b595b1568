use super::LeaseOwner;
use crate::model::Name;

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
