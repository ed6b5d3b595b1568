use super::hold::PortHold;
use super::lease::PortLease;

#[derive(Debug, Default)]
pub struct PortClaim {
    /// Keeps other stacks away. `None` if leases do not work here.
    pub _lease: Option<PortLease>,
    /// Keeps other programs away until the service listens, if it is set.
    pub hold: Option<PortHold>,
}
