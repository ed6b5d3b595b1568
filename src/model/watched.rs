use super::Name;

/// Identifies a watch of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// The service.
    pub service: Name,
    /// The index among its watches, from 0.
    pub place: usize,
}

impl Watched {
    /// Returns the first, usually the only watch of a service.
    pub fn first(service: Name) -> Watched {
        Watched { service, place: 0 }
    }
}
