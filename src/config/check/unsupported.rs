use super::ConfigChecker;
use crate::config::parse::{RawTable, RawValue, SpannedValue};

impl ConfigChecker<'_, '_> {
    /// Rejects keys that are not implemented: a silently ignored key is worse than an error. Types
    /// are checked first, so that type errors are reported as such.
    pub(super) fn unsupported(&mut self, table: &RawTable<'_>) {
        let Some(entry) = table.get("proxy") else { return };
        if self.proxy(&entry.node) {
            self.unsupported_key("proxy", entry.key);
        }
    }

    fn proxy(&mut self, node: &SpannedValue<'_>) -> bool {
        match &node.value {
            RawValue::Boolean(yes) => *yes,
            RawValue::Table(_) => true,
            _ => {
                self.type_error("proxy", "a boolean or a table", node);
                false
            }
        }
    }
}
