use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::choose::Numbers;
use super::claim::Claim;
use super::hold::Hold;
use super::lease::{Lease, LeaseFolder, Leasing};
use super::probe::{Availability, probe};
use super::remembered::Remembered;
use super::{Key, Obstacle};

/// The ports of this machine, during one choice.
pub struct Market<'a> {
    pub folder: &'a Path,
    pub leases: Option<&'a LeaseFolder>,
    pub remembered: &'a Remembered,
    pub taken: &'a BTreeMap<u16, Claim>,
    /// Numbers to avoid although nothing listens there.
    pub shunned: &'a BTreeSet<u16>,
    pub claimed: BTreeMap<u16, Claim>,
    /// The error of a failed lease, if there was one.
    pub trouble: Option<io::Error>,
}

impl Market<'_> {
    /// Leases without probing, for ports that running services of this stack have.
    pub fn adopt(&mut self, port: u16) {
        if !self.taken.contains_key(&port) && !self.claimed.contains_key(&port) {
            let lease = self.lease(port).unwrap_or_default();
            self.claimed.insert(port, Claim { _lease: lease, hold: None });
        }
    }

    fn lease(&mut self, port: u16) -> Result<Option<Lease>, Obstacle> {
        let Some(leases) = self.leases else { return Ok(None) };
        match leases.take(port, self.folder) {
            Leasing::Taken(lease) => Ok(Some(lease)),
            Leasing::Held(lessee) => Err(Obstacle::Leased(lessee)),
            Leasing::Failed(error) => {
                self.trouble = Some(error);
                Ok(None)
            }
        }
    }
}

impl Numbers for Market<'_> {
    /// Leases before probing, so that two devstacks never take each other's probe for a holder.
    fn claim(&mut self, port: u16) -> Result<(), Obstacle> {
        if self.shunned.contains(&port) {
            return Err(Obstacle::InUse);
        }
        let ours = self.taken.contains_key(&port) || self.claimed.contains_key(&port);
        let lease = if ours { None } else { self.lease(port)? };
        unoccupied(port)?;
        if !ours {
            self.claimed.insert(port, Claim { _lease: lease, hold: Hold::take(port) });
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
pub fn unoccupied(port: u16) -> Result<(), Obstacle> {
    let found = match probe(port) {
        Availability::InUse => probe(port),
        other @ (Availability::Free | Availability::Denied | Availability::Failed(_)) => other,
    };
    match found {
        Availability::Free => Ok(()),
        Availability::InUse => Err(Obstacle::InUse),
        Availability::Denied => Err(Obstacle::Denied),
        Availability::Failed(error) => Err(Obstacle::Failed(error.to_string())),
    }
}
