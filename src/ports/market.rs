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

/// The real numbers of this machine, during one choice.
pub struct Market<'a> {
    /// The stack's folder.
    pub folder: &'a Path,
    /// `None`: leases do not work here.
    pub leases: Option<&'a LeaseFolder>,
    /// What was given last time.
    pub remembered: &'a Remembered,
    /// What this stack has from earlier choices.
    pub taken: &'a BTreeMap<u16, Claim>,
    /// Numbers that are out of the question, although nobody listens there.
    pub shunned: &'a BTreeSet<u16>,
    /// What was claimed in this choice.
    pub claimed: BTreeMap<u16, Claim>,
    /// Why a lease could not be had, when that happened.
    pub trouble: Option<io::Error>,
}

impl Market<'_> {
    /// A lease without asking whether the number is free, for what a running service of ours already has.
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
    /// First the lease, then the probe: so two of us never probe one number at once and take each other for a holder.
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

/// What stands in the way of binding `port`, leases aside. Looks a second time where somebody has it: the first may have met
/// somebody else's probe, which is over within microseconds.
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
