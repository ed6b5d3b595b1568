use super::super::node::{Node, Table, Value};
use super::Check;

impl Check<'_, '_> {
    /// Keys that are part of the language but do nothing yet. Each is typed first, so that a
    /// mistake in it is told as such; then refused, because a key that is silently without effect
    /// is worse than none.
    pub(super) fn unsupported(&mut self, table: &Table<'_>) {
        for key in ["preset", "health", "debug", "profiles", "replicas", "tty", "proxy"] {
            let Some(entry) = table.get(key) else { continue };
            let refused = match key {
                "preset" => self.text(key, &entry.node).is_some(),
                "health" | "debug" => self.table(key, &entry.node).is_some(),
                "profiles" => self.profiles(&entry.node),
                "replicas" => self.number(key, &entry.node, 1..=1000).is_some_and(|n| n != 1),
                "tty" => self.tty(&entry.node),
                _ => self.proxy(&entry.node),
            };
            if refused {
                self.not_yet(key, entry.key);
            }
        }
    }

    fn profiles(&mut self, node: &Node<'_>) -> bool {
        let Value::List(list) = &node.value else {
            self.wrong("profiles", "a list of texts", node);
            return false;
        };
        let texts = list.iter().filter(|item| self.text("profiles", item).is_some()).count();
        texts == list.len() && texts > 0
    }

    fn tty(&mut self, node: &Node<'_>) -> bool {
        match &node.value {
            Value::Boolean(yes) => *yes,
            _ => self.word("tty", node, &[("auto", true)]).unwrap_or(false),
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
