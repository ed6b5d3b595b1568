use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::assign::{AssignRequest, PortAllocator, holders_in};
use super::availability::{PortAvailability, availability};
use super::choose::{PortChoices, PortSource, choose};
use super::history::PortHistory;
use super::hold::{PortClaim, PortHold};
use super::holders::system;
use super::lease::{LeaseAttempt, LeaseDir, PortLease};
use super::{AllowedPorts, PortObstacle, conflict_text};
use crate::model::{AssignedPort, Message, PortKey};
use xxhash_rust::xxh3::xxh3_64;

/// The ports of this machine, during one choice.
pub struct SystemPorts<'a> {
    pub dir: &'a Path,
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
        match leases.take(port, self.dir) {
            LeaseAttempt::Taken(lease) => Ok(Some(lease)),
            LeaseAttempt::Held(owner) => Err(PortObstacle::Leased(owner)),
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

    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
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

impl PortAllocator {
    /// Opens the ports of a stack read-only: creates nothing that [`PortAllocator::open`] would.
    pub fn look(lease_dir: &Path, remembered: Option<&Path>, dir: &Path) -> PortAllocator {
        let (first, last) = super::ephemeral_range();
        PortAllocator {
            project_dir: dir.to_owned(),
            seed: xxh3_64(dir.as_os_str().as_encoded_bytes()),
            limits: AllowedPorts::new(first, last),
            leases: LeaseDir::find(lease_dir),
            remembered: PortHistory::look(remembered),
            taken: BTreeMap::new(),
            given_unclaimed: BTreeMap::new(),
            given: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Returns what [`PortAllocator::assign_with_prompt`] would assign now. Changes nothing.
    ///
    /// # Errors
    /// The same.
    pub fn preview(
        &self,
        asked: &AssignRequest<'_>,
    ) -> Result<BTreeMap<PortKey, AssignedPort>, Vec<Message>> {
        let PortChoices { choices, conflicts } =
            choose(&self.choice_input(asked), &mut PreviewPorts(self));
        let (required, _) = asked.judge(conflicts);
        if !required.is_empty() {
            let holders = holders_in(&required);
            return Err(required
                .iter()
                .map(|one| conflict_text::conflict_message(one, &holders))
                .collect());
        }
        Ok(self.describe(asked.requests, &choices))
    }
}

struct PreviewPorts<'a>(&'a PortAllocator);

impl PortSource for PreviewPorts<'_> {
    fn claim(&mut self, port: u16) -> Result<(), PortObstacle> {
        let leased = || {
            let leases = self.0.leases.as_ref();
            leases.and_then(|leases| leases.owner(port)).or_else(|| system::announcer(port))
        };
        if !self.0.taken.contains_key(&port)
            && let Some(lease_owner) = leased()
        {
            return Err(PortObstacle::Leased(lease_owner));
        }
        check_bindable(port)
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
        self.0.remembered.last(key, wanted)
    }
}
