use std::collections::BTreeMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{Ports, holders_in, introduced};
use crate::model::{Message, Port, PortWish};
use crate::ports::choose::{Numbers, Question, choose};
use crate::ports::lease::LeaseFolder;
use crate::ports::probe::{Availability, probe};
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
            given: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// What [`Ports::assign`] would give now, as far as nobody else is quicker. Takes nothing, remembers nothing.
    ///
    /// # Errors
    /// As [`Ports::assign`].
    pub fn preview(
        &self,
        wishes: &[PortWish],
        mine: &BTreeMap<Key, u16>,
    ) -> Result<BTreeMap<Key, Port>, Vec<Message>> {
        let question =
            Question { wishes, mine, before: &self.given, limits: &self.limits, seed: self.seed };
        let choices = choose(&question, &mut Glance(self)).map_err(|found| {
            let found = introduced(found);
            let holders = holders_in(&found);
            found.iter().map(|one| explain::conflict(one, &holders)).collect::<Vec<_>>()
        })?;
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
        match probe(port) {
            Availability::Free => Ok(()),
            Availability::InUse => Err(Obstacle::InUse),
            Availability::Denied => Err(Obstacle::Denied),
            Availability::Failed(error) => Err(Obstacle::Failed(error.to_string())),
        }
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn last(&self, key: &Key, wanted: Option<u16>) -> Option<u16> {
        self.0.remembered.last(key, wanted)
    }
}
