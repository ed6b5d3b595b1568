use super::super::node::{Node, Table, Value};
use super::Check;

impl Check<'_, '_> {
    /// Keys that are part of the language but do nothing yet. Each is typed first, so that a
    /// mistake in it is told as such; then refused, because a key that is silently without effect
    /// is worse than none.
    pub(super) fn unsupported(&mut self, table: &Table<'_>) {
        for key in ["debug", "proxy"] {
            let Some(entry) = table.get(key) else { continue };
            let refused = match key {
                "debug" => self.table(key, &entry.node).is_some(),
                _ => self.proxy(&entry.node),
            };
            if refused {
                self.not_yet(key, entry.key);
            }
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
