use std::collections::BTreeMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{Asked, Ports, holders_in};
use crate::model::{AssignedPort, Message};
use crate::ports::choose::{Chosen, Numbers, choose};
use crate::ports::lease::LeaseFolder;
use crate::ports::market::unoccupied;
use crate::ports::remembered::Remembered;
use crate::ports::{Key, Limits, Obstacle, explain, system};

impl Ports {
    /// Opens the ports of a stack read-only: creates nothing that [`PortAllocator::open`] would.
    pub fn look(lease_dir: &Path, remembered: Option<&Path>, folder: &Path) -> Ports {
        let (first, last) = system::ephemeral();
        Ports {
            folder: folder.to_owned(),
            seed: xxh3_64(folder.as_os_str().as_encoded_bytes()),
            limits: Limits::new(first, last),
            leases: LeaseFolder::find(lease_dir),
            remembered: Remembered::look(remembered),
            taken: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            given: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Returns what [`PortAllocator::assign_with_prompt`] would assign now. Changes nothing.
    ///
    /// # Errors
    /// The same.
    pub fn preview(&self, asked: &Asked<'_>) -> Result<BTreeMap<Key, AssignedPort>, Vec<Message>> {
        let Chosen { choices, conflicts } = choose(&self.question(asked), &mut Glance(self));
        let (insisting, _) = asked.judge(conflicts);
        if !insisting.is_empty() {
            let holders = holders_in(&insisting);
            return Err(insisting.iter().map(|one| explain::conflict(one, &holders)).collect());
        }
        Ok(self.describe(&choices))
    }
}

struct Glance<'a>(&'a Ports);

impl Numbers for Glance<'_> {
    fn claim(&mut self, port: u16) -> Result<(), Obstacle> {
        let leased = || {
            let leases = self.0.leases.as_ref();
            leases.and_then(|leases| leases.holder(port)).or_else(|| system::announcer(port))
        };
        if !self.0.taken.contains_key(&port)
            && let Some(lessee) = leased()
        {
            return Err(Obstacle::Leased(lessee));
        }
        unoccupied(port)
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn last(&self, key: &Key, wanted: Option<u16>) -> Option<u16> {
        self.0.remembered.last(key, wanted)
    }
}
