use super::Lessee;
use crate::model::Name;

/// Why a number cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Somebody has it on at least one of the addresses that count.
    InUse,
    /// Another devstack took it for a service of its own.
    Leased(Lessee),
    /// This user may not bind it.
    Denied,
    /// Another service of the same stack has it.
    Sibling(Name),
    /// No number was asked for, and none is left.
    NoneLeft,
    /// The system did not let us find out, in its words.
    Failed(String),
}
