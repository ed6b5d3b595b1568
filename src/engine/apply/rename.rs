use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Selection;
use crate::model::{Name, SERVICE_VAR, Service, Stack};

/// Returns the services of `new` that are renamed services of `old`: equal in everything except the
/// name, what is named after it and the assigned port numbers. Maps new name to old name.
pub(super) fn detect_renames(old: &Stack, new: &Stack) -> BTreeMap<Name, Name> {
    let gone = old.services.iter().filter(|(name, _)| !new.services.contains_key(*name));
    let mut gone: Vec<(&Name, String)> =
        gone.map(|(name, service)| (name, fingerprint(service))).collect();
    let mut found = BTreeMap::new();
    let come = new.services.iter().filter(|(name, _)| !old.services.contains_key(*name));
    for (name, service) in come {
        if gone.is_empty() {
            break;
        }
        let wanted = fingerprint(service);
        if let Some(index) = gone.iter().position(|(_, known)| *known == wanted) {
            found.insert(name.clone(), gone.remove(index).0.clone());
        }
    }
    found
}

/// Formats a service without its name, its data directory and its port numbers, for comparison.
fn fingerprint(service: &Service) -> String {
    let numbers: BTreeSet<u16> = service.ports.iter().map(|port| port.number).collect();
    let mut service = Service { name: service.name.clone(), ..service.clone() };
    service.launch.env.remove(SERVICE_VAR);
    let data = service.data_dir().map(|dir| format!("{}", dir.display()));
    service.ports.iter_mut().for_each(|port| port.moved = None);
    let Service { name, .. } = &service;
    let head = format!("name: {name:?}");
    let mut text = format!("{service:?}").replacen(&head, "", 1);
    if let Some(data) = data {
        text = text.replace(&data, "DATA");
    }
    for number in numbers {
        text = text.replace(&number.to_string(), "PORT");
    }
    text
}

impl Selection {
    /// Returns the selection with the names of `new`, which renames services as in `renamed`.
    pub(super) fn renamed(
        &self,
        renamed: &BTreeMap<Name, Name>,
        old: &Stack,
        new: &Stack,
    ) -> Selection {
        let now = |former: &Name| {
            let (heir, _) = renamed.iter().find(|(_, old)| *old == former)?;
            Some(new.group_of(heir).unwrap_or(heir).clone())
        };
        let mut names = BTreeSet::new();
        for name in &self.names {
            let found: BTreeSet<Name> = match new.services_named(name).is_empty() {
                true => old.services_named(name).iter().filter_map(now).collect(),
                false => BTreeSet::new(),
            };
            match found.is_empty() {
                true => drop(names.insert(name.clone())),
                false => names.extend(found),
            }
        }
        Selection { names, with_dependencies: self.with_dependencies }
    }
}
