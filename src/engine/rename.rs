use std::collections::{BTreeMap, BTreeSet};

use super::Selection;
use crate::model::{Name, Plan, Service, Stack};

/// The variable that tells a service its name.
const OWN_NAME: &str = "DEVSTACK_SERVICE";

/// The services of `new` that are services of `old` under another name: the same in everything but that and the
/// number that a port happens to have. By the new name, with the old one.
pub(super) fn renames(old: &Stack, new: &Stack) -> BTreeMap<Name, Name> {
    let gone = old.services.iter().filter(|(name, _)| !new.services.contains_key(*name));
    let mut gone: Vec<(&Name, String)> =
        gone.map(|(name, service)| (name, nameless(service))).collect();
    let mut found = BTreeMap::new();
    let come = new.services.iter().filter(|(name, _)| !old.services.contains_key(*name));
    for (name, service) in come {
        if gone.is_empty() {
            break;
        }
        let wanted = nameless(service);
        if let Some(index) = gone.iter().position(|(_, known)| *known == wanted) {
            found.insert(name.clone(), gone.remove(index).0.clone());
        }
    }
    found
}

/// All that a service is, as text, but for its name and the numbers of its ports.
fn nameless(service: &Service) -> String {
    let numbers: BTreeSet<u16> = service.ports.iter().map(|port| port.number).collect();
    let mut service = Service { name: service.name.clone(), ..service.clone() };
    service.launch.env.remove(OWN_NAME);
    service.ports.iter_mut().for_each(|port| port.moved = None);
    let Service { name, .. } = &service;
    let head = format!("name: {name:?}");
    let mut text = format!("{service:?}").replacen(&head, "", 1);
    for number in numbers {
        text = text.replace(&number.to_string(), "PORT");
    }
    text
}

impl Selection {
    /// What this means once `plan` has made `new` of `old`: who was asked for under a former name is asked for
    /// under the new one.
    pub fn renamed(&self, plan: &Plan, old: &Stack, new: &Stack) -> Selection {
        let now = |former: &Name| {
            let change = plan.changes.iter().find(|change| change.from.as_ref() == Some(former))?;
            Some(new.group_of(&change.service).unwrap_or(&change.service).clone())
        };
        let mut names = BTreeSet::new();
        for name in &self.names {
            let found: BTreeSet<Name> = match new.named(name).is_empty() {
                true => old.named(name).iter().filter_map(now).collect(),
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
