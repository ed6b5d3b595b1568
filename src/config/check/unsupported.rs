use super::super::node::{Node, Table, Value};
use super::Check;

impl Check<'_, '_> {
    /// What is part of the language but does nothing yet. It is typed first, so that a
    /// mistake in it is told as such; then refused, because a key that is silently without effect
    /// is worse than none.
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
                self.wrong("proxy", "true, false or a table", node);
                false
            }
        }
    }
}
