use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, DebugServices};
use crate::engine::Selection;
use crate::model::{Name, PortKey, PortRequest};
use crate::ports::AssignRequest;

/// Constraints on a stack made from a configuration.
#[derive(Debug, Clone, Default)]
pub struct LoadConstraints {
    /// Ports that services have and keep.
    pub held_ports: BTreeMap<PortKey, u16>,
    /// What `up` was asked to start.
    pub selection: Option<Selection>,
    /// Services that are stopped, whatever the selection is.
    pub idle: BTreeSet<Name>,
    /// Services about to be started by hand, whatever the selection is.
    pub asked: BTreeSet<Name>,
    /// Services that are in debug mode, or will be.
    pub debugged: DebugServices,
    /// Port requests that are not new: if one can no longer be met, the start of its service
    /// reports that, and it does not keep other changes from being applied.
    pub known: Vec<PortRequest>,
}

impl LoadConstraints {
    /// The services that start with this configuration.
    fn starting(&self, config: &Config) -> BTreeSet<Name> {
        let mut starting = match &self.selection {
            None => config.with_dependencies(config.autostart().cloned().collect()),
            Some(Selection { names, with_dependencies }) => {
                let names = names.iter().flat_map(|name| config.services_named(name)).collect();
                if *with_dependencies { config.with_dependencies(names) } else { names }
            }
        };
        starting.retain(|name| !self.idle.contains(name));
        starting.extend(config.with_dependencies(self.asked.clone()));
        starting
    }

    /// Calls `choose` with the port requests of a configuration.
    pub fn with_requests<T>(
        &self,
        config: &Config,
        choose: impl FnOnce(&AssignRequest<'_>) -> T,
    ) -> T {
        let starting = self.starting(config);
        let others = config.services().filter(|name| !starting.contains(*name));
        let idle = others.cloned().collect();
        let is_required = |request: &PortRequest| {
            starting.contains(&request.key.service) && !self.known.contains(request)
        };
        choose(&AssignRequest {
            requests: &config.port_requests_with(&self.debugged),
            in_use: &self.held_ports,
            not_starting: &idle,
            excluded: &BTreeSet::new(),
            is_required: &is_required,
        })
    }
}
