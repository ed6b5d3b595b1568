use crate::model::Name;

use super::super::fault::Fault;
use super::super::node::{Table, Value};
use super::super::spec::{Replicas, replica};
use super::Check;

/// The most replicas of one service: a stack for development needs a few.
pub(in super::super) const MAX_REPLICAS: u16 = 100;

impl Check<'_, '_> {
    /// `replicas`: how many there are of a service. One is the service itself.
    pub(super) fn replicas(&mut self, name: &Name, table: &Table<'_>) -> Replicas {
        let Some(entry) = table.get("replicas") else { return Replicas::One };
        let number = self.number("replicas", &entry.node, 1..=MAX_REPLICAS.into());
        let of = number.and_then(|number| u16::try_from(number).ok()).unwrap_or(1);
        if of == 1 {
            return Replicas::One;
        }
        if Name::new(&format!("{name}-{of}")).is_err() {
            let text = format!("`{name}-{of}` is too long a name for a service");
            let help = format!("give `{name}` a shorter one: with its number it has at most 63");
            self.fault(Fault::at(entry.node.at, text).help(help));
            return Replicas::One;
        }
        for number in 1..=of {
            let taken = format!("{name}-{number}");
            let Some(other) = self.services.get(taken.as_str()) else { continue };
            let text = format!("a replica of `{name}` and another service are both `{taken}`");
            let fault = Fault::at(entry.node.at, text).also(other.key, "the other service");
            self.fault(fault.help("give one of them another name"));
        }
        Replicas::Many(of)
    }

    /// Whether a service is called so, or a replica of one.
    pub(super) fn is_service(services: &Table<'_>, name: &str) -> bool {
        services.contains_key(name)
            || replica(name).is_some_and(|(group, number)| {
                Check::replicas_of(services, group).is_some_and(|of| number <= of)
            })
    }

    /// How many replicas a service has as it was written, when it has several.
    pub(super) fn replicas_of(services: &Table<'_>, name: &str) -> Option<u16> {
        let Value::Table(table) = &services.get(name)?.node.value else { return None };
        let Value::Integer(number) = table.get("replicas")?.node.value else { return None };
        let number = u16::try_from(number?).ok()?;
        (2..=MAX_REPLICAS).contains(&number).then_some(number)
    }
}
