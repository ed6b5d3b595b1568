use crate::model::Name;

use super::ConfigChecker;
use crate::config::diagnostics::quote;
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::spec::ProfilesSpec;

pub(in crate::config) const MAX_PROFILES: usize = 64;

impl ConfigChecker<'_, '_> {
    /// Checks `profiles`; an empty list is the same as none.
    pub(super) fn profiles(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<ProfilesSpec> {
        let RawValue::List(list) = &node.value else {
            return self.type_error(key, "an array of strings", node);
        };
        if list.len() > MAX_PROFILES {
            let text = format!("too many profiles: {}", list.len());
            return self.reject(node.at, text, format!("use at most {MAX_PROFILES}"));
        }
        let mut names = Vec::with_capacity(list.len());
        for item in list {
            let Some(text) = self.text(key, item) else { continue };
            match Name::new(text) {
                Ok(name) => names.push(name),
                Err(bad) => {
                    let text = format!("invalid profile name {}", quote(text));
                    self.error_at(item.at, text, bad.to_string());
                }
            }
        }
        (!names.is_empty()).then_some(ProfilesSpec { names, at: node.at })
    }
}
