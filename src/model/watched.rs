use super::Name;

/// One of the watches of one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// The service.
    pub service: Name,
    /// The place among its watches, from 0.
    pub place: usize,
}

impl Watched {
    /// The first, mostly the only watch of a service.
    pub fn first(service: Name) -> Watched {
        Watched { service, place: 0 }
    }
}
