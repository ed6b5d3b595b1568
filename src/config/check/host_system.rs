//! `[services.api.linux]` and others: what differs on one operating system.

use std::collections::{BTreeMap, BTreeSet};

use super::{ConfigChecker, in_order};
use crate::config::check::stack::StackDefaults;
use crate::config::diagnostics::LoadReport;
use crate::config::parse::{RawTable, RawValue, merge};
use crate::config::spec::ServiceSpec;
use crate::model::Name;

/// An operating system that a service can have a table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) enum HostSystem {
    Linux,
    Macos,
    Windows,
}

/// The services of a configuration as they are on another system than this one.
pub(super) struct ServicesElsewhere<'t> {
    system: HostSystem,
    services: RawTable<'t>,
    /// Those with a table for this system.
    changed: BTreeSet<String>,
}

impl HostSystem {
    pub const ALL: [HostSystem; 3] = [HostSystem::Linux, HostSystem::Macos, HostSystem::Windows];

    /// The system that devstack runs on.
    pub const THIS: HostSystem =
        if cfg!(target_os = "macos") { HostSystem::Macos } else { HostSystem::Linux };

    fn key(self) -> &'static str {
        match self {
            HostSystem::Linux => "linux",
            HostSystem::Macos => "macos",
            HostSystem::Windows => "windows",
        }
    }

    /// Returns its name for people.
    pub fn name(self) -> &'static str {
        match self {
            HostSystem::Linux => "Linux",
            HostSystem::Macos => "macOS",
            HostSystem::Windows => "Windows",
        }
    }

    /// Merges files as they are on this system, later ones over earlier ones. In each file, the
    /// tables for this system go over the rest of their services; those for others are left out.
    fn merge_files<'t>(self, files: Vec<RawTable<'t>>, report: &mut LoadReport) -> RawTable<'t> {
        let mut merged = RawTable::new();
        for mut file in files {
            for service in services_mut(&mut file) {
                self.apply(service, report);
            }
            merge(&mut merged, file);
        }
        merged
    }

    fn apply(self, service: &mut RawTable<'_>, report: &mut LoadReport) {
        // All are taken out before one is merged: they do not nest.
        let tables = HostSystem::ALL.map(|system| (system, service.remove(system.key())));
        for (system, entry) in tables {
            let (key, Some(entry)) = (system.key(), entry) else { continue };
            match entry.node.value {
                RawValue::Table(table) if system == self => merge(service, table),
                RawValue::Table(_) => {}
                other => {
                    let text = format!("expected a table for `{key}`, found {}", other.type_name());
                    let help = format!("write [services.NAME.{key}], and below it what differs");
                    report.error_at(entry.node.at, text, help);
                }
            }
        }
    }

    fn has_table(self, service: &RawValue<'_>) -> bool {
        matches!(service, RawValue::Table(table) if table.contains_key(self.key()))
    }
}

/// Merges files as they are on this system, and as they are on others that they have tables for.
pub(super) fn merge_on_each_system<'t>(
    files: Vec<RawTable<'t>>,
    report: &mut LoadReport,
) -> (RawTable<'t>, Vec<ServicesElsewhere<'t>>) {
    let mut elsewhere = Vec::new();
    for system in HostSystem::ALL.into_iter().filter(|system| *system != HostSystem::THIS) {
        let services = files.iter().filter_map(services_of).flatten();
        let changed = services.filter(|(_, entry)| system.has_table(&entry.node.value));
        let changed: BTreeSet<String> = changed.map(|(name, _)| name.to_string()).collect();
        if changed.is_empty() {
            continue;
        }
        let mut file = system.merge_files(files.clone(), report);
        if let Some(RawValue::Table(services)) =
            file.remove("services").map(|entry| entry.node.value)
        {
            elsewhere.push(ServicesElsewhere { system, services, changed });
        }
    }
    (HostSystem::THIS.merge_files(files, report), elsewhere)
}

fn services_of<'a, 't>(file: &'a RawTable<'t>) -> Option<&'a RawTable<'t>> {
    match &file.get("services")?.node.value {
        RawValue::Table(services) => Some(services),
        _ => None,
    }
}

fn services_mut<'a, 't>(file: &'a mut RawTable<'t>) -> impl Iterator<Item = &'a mut RawTable<'t>> {
    let services = match file.get_mut("services").map(|entry| &mut entry.node.value) {
        Some(RawValue::Table(services)) => Some(services),
        Some(_) | None => None,
    };
    let services = services.into_iter().flat_map(|services| services.values_mut());
    services.filter_map(|entry| match &mut entry.node.value {
        RawValue::Table(service) => Some(service),
        _ => None,
    })
}

impl<'c> ConfigChecker<'c, '_> {
    /// Whether a service has tables for other systems.
    pub(super) fn differs_elsewhere(&self, name: &Name) -> bool {
        let written = self.names.local(name);
        self.elsewhere.iter().any(|there| there.changed.contains(written))
    }

    /// Checks services as they are on other systems, for mistakes that would be seen only there, and
    /// notes what those of this system depend on there.
    pub(super) fn services_elsewhere(
        &mut self,
        defaults: &StackDefaults,
        services_here: &mut BTreeMap<Name, ServiceSpec>,
    ) {
        let (system, services) = (self.system, self.services);
        let elsewhere = self.elsewhere;
        for there in elsewhere {
            (self.system, self.services) = (there.system, &there.services);
            for (name, entry) in in_order(&there.services) {
                let changed = there.changed.contains(name);
                let name = Name::new(&format!("{}{name}", self.names.prefix));
                if let (true, Ok(name)) = (changed, name)
                    && let Some(found) = self.service(name, entry, defaults)
                    && let Some(here) = services_here.get_mut(&found.name)
                {
                    here.depends_elsewhere.insert(there.system, found.depends_on);
                }
            }
        }
        (self.system, self.services) = (system, services);
    }
}
