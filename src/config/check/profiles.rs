use crate::model::Name;

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::spec::ProfilesSpec;

pub(in crate::config) const MAX_PROFILES: usize = 64;

impl ConfigChecker<'_, '_> {
    /// Checks `profiles`; an empty list is the same as none.
    pub(super) fn profiles(&mut self, node: &SpannedValue<'_>) -> Option<ProfilesSpec> {
        let RawValue::List(list) = &node.value else {
            self.type_error("profiles", "an array of strings", node);
            return None;
        };
        if list.len() > MAX_PROFILES {
            let fault =
                DiagnosticBuilder::at(node.at, format!("too many profiles: {}", list.len()));
            self.error(fault.help(format!("use at most {MAX_PROFILES}")));
            return None;
        }
        let mut names = Vec::with_capacity(list.len());
        for item in list {
            let Some(text) = self.text("profiles", item) else { continue };
            match Name::new(text) {
                Ok(name) => names.push(name),
                Err(bad) => {
                    let text = format!("invalid profile name {}", quote(text));
                    self.error(DiagnosticBuilder::at(item.at, text).help(bad.to_string()));
                }
            }
        }
        (!names.is_empty()).then_some(ProfilesSpec { names, at: node.at })
    }
}
