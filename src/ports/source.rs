use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::assign::{AssignRequest, PortAllocator, holders_in};
use super::availability::{BindScope, PortAvailability, availability, is_in_time_wait};
use super::choose::{PortChoices, PortSource, choose};
use super::history::PortHistory;
use super::hold::{PortClaim, PortHold};
use super::lease::{Believe, LeaseAttempt, LeaseDir, PortLease, owner_of_lease};
use super::{LeaseOwner, PortObstacle, conflict_text};
use crate::model::{AssignedPort, Message, PortKey};

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
    pub other_users: OtherUsers,
}

/// What announcements of other users are worth during one choice.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum OtherUsers {
    #[default]
    NoneMet,
    /// One was in the way.
    Believed,
    /// They are no obstacle: nothing proves them, and no other port is left.
    Disregarded,
}

impl OtherUsers {
    /// Whether a lease of this owner is an obstacle.
    fn believe(&mut self, owner: &LeaseOwner) -> bool {
        match (owner.is_other_user(), *self) {
            (false, _) => true,
            (true, OtherUsers::Disregarded) => false,
            (true, OtherUsers::NoneMet | OtherUsers::Believed) => {
                *self = OtherUsers::Believed;
                true
            }
        }
    }

    fn disregard(&mut self) -> bool {
        std::mem::replace(self, OtherUsers::Disregarded) == OtherUsers::Believed
    }
}

impl SystemPorts<'_> {
    /// Leases without probing, for ports that running services of this stack have.
    pub fn lease_without_probe(&mut self, port: u16) {
        if !self.taken.contains_key(&port) && !self.claimed.contains_key(&port) {
            let lease = self.lease(port).unwrap_or_default();
            self.claimed.insert(port, PortClaim { lease, hold: None });
        }
    }

    fn lease(&mut self, port: u16) -> Result<Option<PortLease>, PortObstacle> {
        let Some(leases) = self.leases else { return Ok(None) };
        let believe = match self.other_users {
            OtherUsers::Disregarded => Believe::ThisUser,
            OtherUsers::NoneMet | OtherUsers::Believed => Believe::All,
        };
        match leases.take_believing(believe, port, self.dir) {
            LeaseAttempt::Taken(lease) => Ok(Some(lease)),
            LeaseAttempt::Held(owner) => {
                self.other_users.believe(&owner);
                Err(PortObstacle::Leased(owner))
            }
            LeaseAttempt::Failed(error) => {
                self.lease_error = Some(error);
                Ok(None)
            }
        }
    }
}

impl PortSource for SystemPorts<'_> {
    /// Leases before probing, so that two devstacks never take each other's probe for a holder.
    fn claim(&mut self, port: u16, scope: BindScope) -> Result<(), PortObstacle> {
        if self.excluded.contains(&port) {
            return Err(PortObstacle::InUse);
        }
        let ours = self.taken.contains_key(&port) || self.claimed.contains_key(&port);
        let lease = if ours { None } else { self.lease(port)? };
        check_bindable(port, scope)?;
        if !ours {
            let hold = PortHold::take(port, scope);
            self.claimed.insert(port, PortClaim { lease, hold });
        }
        Ok(())
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn disregard_other_users(&mut self) -> bool {
        self.other_users.disregard()
    }

    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
        self.remembered.last(key, wanted)
    }
}

/// Checks that `port` can be bound. Probes twice if it is in use: the first attempt may have hit
/// another process's probe, which lasts only microseconds.
pub fn check_bindable(port: u16, scope: BindScope) -> Result<(), PortObstacle> {
    let found = match availability(port, scope) {
        PortAvailability::InUse => availability(port, scope),
        other @ (PortAvailability::Free
        | PortAvailability::Denied
        | PortAvailability::Failed(_)) => other,
    };
    match found {
        PortAvailability::Free => Ok(()),
        // Its service waits until it is free.
        PortAvailability::InUse if is_in_time_wait(port) => Ok(()),
        PortAvailability::InUse => Err(PortObstacle::InUse),
        PortAvailability::Denied => Err(PortObstacle::Denied),
        PortAvailability::Failed(error) => Err(PortObstacle::Failed(error.to_string())),
    }
}

impl PortAllocator {
    /// Returns what [`PortAllocator::assign_with_prompt`] would assign now. Changes nothing.
    ///
    /// # Errors
    /// The same.
    pub fn preview(
        &self,
        asked: &AssignRequest<'_>,
    ) -> Result<BTreeMap<PortKey, AssignedPort>, Vec<Message>> {
        let PortChoices { choices, conflicts } =
            choose(&self.choice_input(asked), &mut PreviewPorts(self, OtherUsers::NoneMet));
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

struct PreviewPorts<'a>(&'a PortAllocator, OtherUsers);

impl PortSource for PreviewPorts<'_> {
    fn claim(&mut self, port: u16, scope: BindScope) -> Result<(), PortObstacle> {
        let leases = self.0.leases.as_ref();
        if !self.0.taken.contains_key(&port)
            && let Some(lease_owner) = owner_of_lease(leases, port)
            && self.1.believe(&lease_owner)
        {
            return Err(PortObstacle::Leased(lease_owner));
        }
        check_bindable(port, scope)
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn disregard_other_users(&mut self) -> bool {
        self.1.disregard()
    }

    fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
        self.0.remembered.last(key, wanted)
    }
}
