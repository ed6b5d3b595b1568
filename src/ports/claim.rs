use super::hold::Hold;
use super::lease::Lease;

#[derive(Debug, Default)]
pub struct Claim {
    /// Keeps other stacks away. `None` if leases do not work here.
    pub _lease: Option<Lease>,
    /// Keeps other programs away until the service listens, if it is set.
    pub hold: Option<Hold>,
}
