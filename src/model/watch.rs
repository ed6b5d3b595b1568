use super::Name;

/// Identifies a watch of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId {
    /// The service.
    pub service: Name,
    /// The index among its watches, from 0.
    pub index: usize,
}

impl WatchId {
    /// Returns the first, usually the only watch of a service.
    pub fn first(service: Name) -> WatchId {
        WatchId { service, index: 0 }
    }
}
