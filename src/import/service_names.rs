use std::collections::BTreeMap;

use super::yaml::YamlNode;
use crate::model::{Name, UniqueNames};
use crate::text::quote;

/// The names of services here, by their names in a file.
#[derive(Debug, Default)]
pub(super) struct ServiceNames(BTreeMap<String, String>);

impl ServiceNames {
    /// Gives each service a valid name of its own; those that are valid stay. A service that gets
    /// another name has a note.
    pub fn choose(services: &[(String, YamlNode)]) -> ServiceNames {
        let mut unique = UniqueNames::default();
        for name in services.iter().filter_map(|(name, _)| Name::new(name).ok()) {
            unique.reserve(name);
        }
        let other = Name::new("service").expect("a valid name");
        let names = services.iter().map(|(name, node)| {
            if Name::new(name).is_ok() {
                return (name.clone(), name.clone());
            }
            let chosen = unique.take(name, &other).to_string();
            node.note(format!(
                "{} becomes `{chosen}`: names have only a-z, 0-9 and `-`",
                quote(name)
            ));
            (name.clone(), chosen)
        });
        ServiceNames(names.collect())
    }

    /// Returns the name of a service here.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
