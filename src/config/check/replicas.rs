use crate::model::Name;

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::RawTable;
use crate::config::spec::ReplicaSpec;

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
            let taken = format!("{}-{number}", self.names.local(name));
            let Some(other) = self.services.get(taken.as_str()) else { continue };
            let text = format!("replica of `{name}` conflicts with service `{taken}`");
            let fault = DiagnosticBuilder::at(entry.node.at, text)
                .secondary(other.key, "the other service");
            self.error(fault.help("rename one of them"));
        }
        ReplicaSpec::Many(of)
    }
}
