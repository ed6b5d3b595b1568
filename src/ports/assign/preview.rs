use std::collections::BTreeMap;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{AssignRequest, PortAllocator, holders_in};
use crate::model::{AssignedPort, Message};
use crate::ports::choose::{PortChoices, PortSource, choose};
use crate::ports::lease::LeaseDir;
use crate::ports::market::check_bindable;
use crate::ports::remembered::PortHistory;
use crate::ports::{AllowedPorts, Key, PortObstacle, explain, system};

impl PortAllocator {
    /// Opens the ports of a stack read-only: creates nothing that [`PortAllocator::open`] would.
    pub fn look(lease_dir: &Path, remembered: Option<&Path>, folder: &Path) -> PortAllocator {
        let (first, last) = system::ephemeral();
        PortAllocator {
            project_dir: folder.to_owned(),
            seed: xxh3_64(folder.as_os_str().as_encoded_bytes()),
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
    ) -> Result<BTreeMap<Key, AssignedPort>, Vec<Message>> {
        let PortChoices { choices, conflicts } =
            choose(&self.question(asked), &mut PreviewPorts(self));
        let (insisting, _) = asked.judge(conflicts);
        if !insisting.is_empty() {
            let holders = holders_in(&insisting);
            return Err(insisting
                .iter()
                .map(|one| explain::conflict_message(one, &holders))
                .collect());
        }
        Ok(self.describe(&choices))
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
            && let Some(lessee) = leased()
        {
            return Err(PortObstacle::Leased(lessee));
        }
        check_bindable(port)
    }

    fn suggest(&mut self) -> Option<u16> {
        portpicker::pick_unused_port()
    }

    fn last(&self, key: &Key, wanted: Option<u16>) -> Option<u16> {
        self.0.remembered.last(key, wanted)
    }
}
