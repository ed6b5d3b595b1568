use crate::model::Name;

use super::super::fault::Fault;
use super::super::node::{Table, Value};
use super::super::spec::{Replicas, replica};
use super::Check;

pub(in super::super) const MAX_REPLICAS: u16 = 100;

impl Check<'_, '_> {
    /// Checks `replicas`; a service with one replica is a single service.
    pub(super) fn replicas(&mut self, name: &Name, table: &Table<'_>) -> Replicas {
        let Some(entry) = table.get("replicas") else { return Replicas::One };
        let number = self.number("replicas", &entry.node, 1..=MAX_REPLICAS.into());
        let of = number.and_then(|number| u16::try_from(number).ok()).unwrap_or(1);
        if of == 1 {
            return Replicas::One;
        }
        if Name::new(&format!("{name}-{of}")).is_err() {
            let text = format!("replica name `{name}-{of}` is too long");
            let help =
                format!("shorten `{name}`: names with replica number are limited to 63 characters");
            self.fault(Fault::at(entry.node.at, text).help(help));
            return Replicas::One;
        }
        for number in 1..=of {
            let taken = format!("{name}-{number}");
            let Some(other) = self.services.get(taken.as_str()) else { continue };
            let text = format!("replica of `{name}` conflicts with service `{taken}`");
            let fault = Fault::at(entry.node.at, text).also(other.key, "the other service");
            self.fault(fault.help("rename one of them"));
        }
        Replicas::Many(of)
    }

    /// Returns whether a service or one of its replicas has this name.
    pub(super) fn is_service(services: &Table<'_>, name: &str) -> bool {
        services.contains_key(name)
            || replica(name).is_some_and(|(group, number)| {
                Check::replicas_of(services, group).is_some_and(|of| number <= of)
            })
    }

    /// Returns the number of replicas of a service as written, if it has several.
    pub(super) fn replicas_of(services: &Table<'_>, name: &str) -> Option<u16> {
        let Value::Table(table) = &services.get(name)?.node.value else { return None };
        let Value::Integer(number) = table.get("replicas")?.node.value else { return None };
        let number = u16::try_from(number?).ok()?;
        (2..=MAX_REPLICAS).contains(&number).then_some(number)
    }
}
