use std::collections::BTreeMap;

use super::ConfigChecker;
use crate::config::parse::{RawTable, RawValue};
use crate::config::spec::split_replica_name;
use crate::model::Name;

/// The services that a file can refer to, beside its own.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct NameScope {
    /// What precedes the names of its own services in the stack, such as `search-`.
    pub prefix: String,
    /// Services of included files, by the names that this file calls them.
    pub included: BTreeMap<String, VisibleService>,
}

/// A service that a file can refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct VisibleService {
    /// Its name in the stack.
    pub name: Name,
    /// How many replicas it has, if several.
    pub replicas: Option<u16>,
    /// The index of the unit that defines it.
    pub unit: usize,
}

impl NameScope {
    /// Returns what a service of the file calls itself, given its name in the stack.
    pub fn local<'n>(&self, name: &'n Name) -> &'n str {
        name.as_str().strip_prefix(&self.prefix).unwrap_or(name.as_str())
    }

    /// Returns the name in the stack of the service or replica that the file calls `name`.
    pub fn find(&self, own: &RawTable<'_>, name: &str) -> Option<String> {
        let whole = |name: &str| match own.contains_key(name) {
            true => Some(format!("{}{name}", self.prefix)),
            false => self.included.get(name).map(|service| service.name.to_string()),
        };
        whole(name).or_else(|| {
            let (group, number) = split_replica_name(name)?;
            self.replicas_of(own, group).filter(|of| number <= *of)?;
            Some(format!("{}-{number}", whole(group)?))
        })
    }

    /// Returns the number of replicas of a service, if it has several.
    pub fn replicas_of(&self, own: &RawTable<'_>, name: &str) -> Option<u16> {
        let Some(entry) = own.get(name) else { return self.included.get(name)?.replicas };
        let RawValue::Table(table) = &entry.node.value else { return None };
        let RawValue::Integer(number) = table.get("replicas")?.node.value else { return None };
        let number = u16::try_from(number?).ok()?;
        (2..=super::replicas::MAX_REPLICAS).contains(&number).then_some(number)
    }
}

impl<'c, 't> ConfigChecker<'c, 't> {
    /// Returns the name in the stack of a service or replica that this file can refer to.
    pub(super) fn find_service(&self, name: &str) -> Option<String> {
        self.names.find(self.services, name)
    }

    /// Returns the names of all services that this file can refer to, as it calls them.
    pub(super) fn known_services(&self) -> impl Iterator<Item = &'c str> + Clone + use<'c, 't> {
        let own = self.services.keys().map(|name| &**name);
        own.chain(self.names.included.keys().map(String::as_str))
    }
}
