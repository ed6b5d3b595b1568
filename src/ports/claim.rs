use super::hold::Hold;
use super::lease::Lease;

/// A number that this stack has.
#[derive(Debug, Default)]
pub struct Claim {
    /// Keeps it from other stacks; `None`: leases do not work here.
    pub _lease: Option<Lease>,
    /// Keeps it from everybody else until its service listens; `None`: nothing does.
    pub hold: Option<Hold>,
}
