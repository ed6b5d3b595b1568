use std::collections::BTreeMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{Asked, Ports, holders_in};
use crate::model::{Message, Port};
use crate::ports::choose::{Chosen, Numbers, choose};
use crate::ports::lease::LeaseFolder;
use crate::ports::market::unoccupied;
use crate::ports::remembered::Remembered;
use crate::ports::{Key, Limits, Obstacle, explain, system};

impl Ports {
    /// The ports of the stack in `folder`, to look at only: what [`Ports::open`] would make is not made.
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

    /// What [`Ports::assign_asking`] would give now, as far as nobody else is quicker. Takes nothing, remembers nothing.
    ///
    /// # Errors
    /// As there.
    pub fn preview(&self, asked: &Asked<'_>) -> Result<BTreeMap<Key, Port>, Vec<Message>> {
        let Chosen { choices, conflicts } = choose(&self.question(asked), &mut Glance(self));
        let (insisting, _) = asked.judge(conflicts);
        if !insisting.is_empty() {
            let holders = holders_in(&insisting);
            return Err(insisting.iter().map(|one| explain::conflict(one, &holders)).collect());
        }
        Ok(self.describe(&choices))
    }
}

/// The real numbers of this machine, only looked at.
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
