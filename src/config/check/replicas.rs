use crate::model::Name;

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawTable, RawValue};
use crate::config::spec::{ReplicaSpec, split_replica_name};

pub(in crate::config) const MAX_REPLICAS: u16 = 100;

impl ConfigChecker<'_, '_> {
    /// Checks `replicas`; a service with one replica is a single service.
    pub(super) fn replicas(&mut self, name: &Name, table: &RawTable<'_>) -> ReplicaSpec {
        let Some(entry) = table.get("replicas") else { return ReplicaSpec::One };
        let of = self.number("replicas", &entry.node, 1..=MAX_REPLICAS.into()).unwrap_or(1);
        if of == 1 {
            return ReplicaSpec::One;
        }
        if Name::new(&format!("{name}-{of}")).is_err() {
            let text = format!("replica name `{name}-{of}` is too long");
            let help =
                format!("shorten `{name}`: names with replica number are limited to 63 characters");
            self.error_at(entry.node.at, text, help);
            return ReplicaSpec::One;
        }
        for number in 1..=of {
            let taken = format!("{name}-{number}");
            let Some(other) = self.services.get(taken.as_str()) else { continue };
            let text = format!("replica of `{name}` conflicts with service `{taken}`");
            let fault = DiagnosticBuilder::at(entry.node.at, text)
                .secondary(other.key, "the other service");
            self.error(fault.help("rename one of them"));
        }
        ReplicaSpec::Many(of)
    }

    /// Returns whether a service or one of its replicas has this name.
    pub(super) fn is_service(services: &RawTable<'_>, name: &str) -> bool {
        services.contains_key(name)
            || split_replica_name(name).is_some_and(|(group, number)| {
                ConfigChecker::replicas_of(services, group).is_some_and(|of| number <= of)
            })
    }

    /// Returns the number of replicas of a service as written, if it has several.
    pub(super) fn replicas_of(services: &RawTable<'_>, name: &str) -> Option<u16> {
        let RawValue::Table(table) = &services.get(name)?.node.value else { return None };
        let RawValue::Integer(number) = table.get("replicas")?.node.value else { return None };
        let number = u16::try_from(number?).ok()?;
        (2..=MAX_REPLICAS).contains(&number).then_some(number)
    }
}
