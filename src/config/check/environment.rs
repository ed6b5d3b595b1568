use super::super::fault::Fault;
use super::super::node::{Node, Value};
use super::super::place::Place;
use super::super::spec::{EnvFileSpec, Variables};
use super::super::suggest::quote;
use super::super::template::{Syntax, Template};
use super::{Check, keys};

impl Check<'_, '_> {
    /// Checks `env`: names with strings; numbers and booleans are taken as written.
    pub(super) fn variables(&mut self, node: &Node<'_>) -> Variables {
        let mut variables = Variables::new();
        let Some(table) = self.table("env", node) else { return variables };
        for (name, entry) in table {
            if name.is_empty() || name.contains(['=', '\0']) {
                let text = format!("invalid variable name {}", quote(name));
                self.fault(Fault::at(entry.key, text).help("use a non-empty name without `=`"));
                continue;
            }
            if let Some(template) = self.variable(name, &entry.node) {
                variables.insert(name.clone().into_owned(), template);
            }
        }
        variables
    }

    fn variable(&mut self, name: &str, node: &Node<'_>) -> Option<Template> {
        let at = node.at;
        match &node.value {
            Value::Text(text) => Some(self.template(text, at, Syntax::Full)),
            Value::Boolean(yes) => Some(Template::plain(yes.to_string(), at)),
            Value::Integer(Some(number)) => Some(Template::plain(number.to_string(), at)),
            Value::Float(number) => Some(Template::plain(number.as_str(), at)),
            Value::Integer(None) | Value::Date | Value::List(_) | Value::Table(_) => {
                self.wrong(quote(name).trim_matches('`'), "a string", node);
                None
            }
        }
    }

    /// Checks `env_file`: one path or a list of paths.
    pub(super) fn env_files(&mut self, node: &Node<'_>) -> Vec<EnvFileSpec> {
        match &node.value {
            Value::List(list) => list.iter().filter_map(|item| self.env_file(item)).collect(),
            _ => self.env_file(node).into_iter().collect(),
        }
    }

    fn env_file(&mut self, node: &Node<'_>) -> Option<EnvFileSpec> {
        match &node.value {
            Value::Text(_) => self.env_path(node, false, node.at),
            Value::Table(table) => {
                self.only_keys(table, keys::ENV_FILE, "an `env_file` entry");
                let optional = table
                    .get("optional")
                    .and_then(|entry| self.boolean("optional", &entry.node))
                    .unwrap_or(false);
                let Some(path) = table.get("path") else {
                    let fault = Fault::at(node.at, "missing `path` in `env_file` entry");
                    self.fault(fault.help("write { path = \".env\", optional = true }"));
                    return None;
                };
                self.env_path(&path.node, optional, path.node.at)
            }
            _ => {
                self.wrong("env_file", "a path, an array of paths, or { path, optional }", node);
                None
            }
        }
    }

    fn env_path(&mut self, node: &Node<'_>, optional: bool, at: Place) -> Option<EnvFileSpec> {
        let path = self.path("env_file", node)?;
        Some(EnvFileSpec { path, optional, at: Some(at) })
    }
}
