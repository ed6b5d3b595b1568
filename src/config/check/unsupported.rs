use super::super::node::{Node, Table, Value};
use super::Check;

impl Check<'_, '_> {
    /// Rejects keys that are not implemented: a silently ignored key is worse than an error. Types
    /// are checked first, so that type errors are reported as such.
    pub(super) fn unsupported(&mut self, table: &Table<'_>) {
        let Some(entry) = table.get("proxy") else { return };
        if self.proxy(&entry.node) {
            self.not_yet("proxy", entry.key);
        }
    }

    fn proxy(&mut self, node: &Node<'_>) -> bool {
        match &node.value {
            Value::Boolean(yes) => *yes,
            Value::Table(_) => true,
            _ => {
                self.wrong("proxy", "a boolean or a table", node);
                false
            }
        }
    }
}
