use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, Span, quote};
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{EnvFileSpec, TemplateVars};
use crate::config::template::{Template, TemplateSyntax};

impl ConfigChecker<'_, '_> {
    /// Checks `env`: names with strings; numbers and booleans are taken as written.
    pub(super) fn variables(&mut self, node: &SpannedValue<'_>) -> TemplateVars {
        let mut variables = TemplateVars::new();
        let Some(table) = self.table("env", node) else { return variables };
        for (name, entry) in table {
            if name.is_empty() || name.contains(['=', '\0']) {
                let text = format!("invalid variable name {}", quote(name));
                self.error(
                    DiagnosticBuilder::at(entry.key, text).help("use a non-empty name without `=`"),
                );
                continue;
            }
            if let Some(template) = self.variable(name, &entry.node) {
                variables.insert(name.clone().into_owned(), template);
            }
        }
        variables
    }

    fn variable(&mut self, name: &str, node: &SpannedValue<'_>) -> Option<Template> {
        let at = node.at;
        match &node.value {
            RawValue::Text(text) => Some(self.template(text, at, TemplateSyntax::Full)),
            RawValue::Boolean(yes) => Some(Template::plain(yes.to_string(), at)),
            RawValue::Integer(Some(number)) => Some(Template::plain(number.to_string(), at)),
            RawValue::Float(number) => Some(Template::plain(number.as_str(), at)),
            RawValue::Integer(None) | RawValue::Date | RawValue::List(_) | RawValue::Table(_) => {
                self.type_error(quote(name).trim_matches('`'), "a string", node);
                None
            }
        }
    }

    /// Checks `env_file`: one path or a list of paths.
    pub(super) fn env_files(&mut self, node: &SpannedValue<'_>) -> Vec<EnvFileSpec> {
        match &node.value {
            RawValue::List(list) => list.iter().filter_map(|item| self.env_file(item)).collect(),
            _ => self.env_file(node).into_iter().collect(),
        }
    }

    fn env_file(&mut self, node: &SpannedValue<'_>) -> Option<EnvFileSpec> {
        match &node.value {
            RawValue::Text(_) => self.env_path(node, false, node.at),
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::ENV_FILE, "an `env_file` entry");
                let optional = table
                    .get("optional")
                    .and_then(|entry| self.boolean("optional", &entry.node))
                    .unwrap_or(false);
                let Some(path) = table.get("path") else {
                    let fault =
                        DiagnosticBuilder::at(node.at, "missing `path` in `env_file` entry");
                    self.error(fault.help("write { path = \".env\", optional = true }"));
                    return None;
                };
                self.env_path(&path.node, optional, path.node.at)
            }
            _ => {
                self.type_error(
                    "env_file",
                    "a path, an array of paths, or { path, optional }",
                    node,
                );
                None
            }
        }
    }

    fn env_path(
        &mut self,
        node: &SpannedValue<'_>,
        optional: bool,
        at: Span,
    ) -> Option<EnvFileSpec> {
        let path = self.path("env_file", node)?;
        Some(EnvFileSpec { path, optional, at: Some(at) })
    }
}
