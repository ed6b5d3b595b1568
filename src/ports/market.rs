use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::choose::PortSource;
use super::claim::PortClaim;
use super::hold::PortHold;
use super::lease::{LeaseAttempt, LeaseDir, PortLease};
use super::probe::{PortAvailability, availability};
use super::remembered::PortHistory;
use super::{Key, PortObstacle};

/// The ports of this machine, during one choice.
pub struct SystemPorts<'a> {
    pub folder: &'a Path,
    pub leases: Option<&'a LeaseDir>,
    pub remembered: &'a PortHistory,
    pub taken: &'a BTreeMap<u16, PortClaim>,
    /// Numbers to avoid although nothing listens there.
    pub excluded: &'a BTreeSet<u16>,
    pub claimed: BTreeMap<u16, PortClaim>,
    /// The error of a failed lease, if there was one.
    pub lease_error: Option<io::Error>,
}

impl SystemPorts<'_> {
    /// Leases without probing, for ports that running services of this stack have.
    pub fn lease_without_probe(&mut self, port: u16) {
        if !self.taken.contains_key(&port) && !self.claimed.contains_key(&port) {
            let lease = self.lease(port).unwrap_or_default();
            self.claimed.insert(port, PortClaim { _lease: lease, hold: None });
        }
    }

    fn lease(&mut self, port: u16) -> Result<Option<PortLease>, PortObstacle> {
        let Some(leases) = self.leases else { return Ok(None) };
        match leases.take(port, self.folder) {
            LeaseAttempt::Taken(lease) => Ok(Some(lease)),
            LeaseAttempt::Held(lessee) => Err(PortObstacle::Leased(lessee)),
            LeaseAttempt::Failed(error) => {
                self.lease_error = Some(error);
                Ok(None)
            }
        }
    }
}

impl PortSource for SystemPorts<'_> {
    /// Leases before probing, so that two devstacks never take each other's probe for a holder.
    fn claim(&mut self, port: u16) -> Result<(), PortObstacle> {
        if self.excluded.contains(&port) {
            return Err(PortObstacle::InUse);
        }
        let ours = self.taken.contains_key(&port) || self.claimed.contains_key(&port);
        let lease = if ours { None } else { self.lease(port)? };
        check_bindable(port)?;
        if !ours {
            self.claimed.insert(port, PortClaim { _lease: lease, hold: PortHold::take(port) });
        }
        Ok(())
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn last(&self, key: &Key, wanted: Option<u16>) -> Option<u16> {
        self.remembered.last(key, wanted)
    }
}

/// Checks that `port` can be bound. Probes twice if it is in use: the first attempt may have hit
/// another process's probe, which lasts only microseconds.
pub fn check_bindable(port: u16) -> Result<(), PortObstacle> {
    let found = match availability(port) {
        PortAvailability::InUse => availability(port),
        other @ (PortAvailability::Free
        | PortAvailability::Denied
        | PortAvailability::Failed(_)) => other,
    };
    match found {
        PortAvailability::Free => Ok(()),
        PortAvailability::InUse => Err(PortObstacle::InUse),
        PortAvailability::Denied => Err(PortObstacle::Denied),
        PortAvailability::Failed(error) => Err(PortObstacle::Failed(error.to_string())),
    }
}
