use super::ConfigChecker;
use crate::config::diagnostics::quote;
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{EnvFileSpec, TemplateVars};
use crate::config::template::{Template, TemplateSyntax};

impl ConfigChecker<'_, '_> {
    /// Checks `env`: names with strings; numbers and booleans are taken as written.
    pub(super) fn variables(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<TemplateVars> {
        let mut variables = TemplateVars::new();
        for (name, entry) in self.table(key, node)? {
            if name.is_empty() || name.contains(['=', '\0']) {
                let text = format!("invalid variable name {}", quote(name));
                self.error_at(entry.key, text, "use a non-empty name without `=`");
                continue;
            }
            if let Some(template) = self.variable(name, &entry.node) {
                variables.insert(name.clone().into_owned(), template);
            }
        }
        Some(variables)
    }

    fn variable(&mut self, name: &str, node: &SpannedValue<'_>) -> Option<Template> {
        let at = node.at;
        match &node.value {
            RawValue::Text(text) => Some(self.template(text, at, TemplateSyntax::Full)),
            RawValue::Boolean(yes) => Some(Template::plain(yes.to_string(), at)),
            RawValue::Integer(Some(number)) => Some(Template::plain(number.to_string(), at)),
            RawValue::Float(number) => Some(Template::plain(number.as_str(), at)),
            RawValue::Integer(None) | RawValue::Date | RawValue::List(_) | RawValue::Table(_) => {
                self.type_error(quote(name).trim_matches('`'), "a string", node)
            }
        }
    }

    /// Checks `env_file`: one path or a list of paths.
    pub(super) fn env_files(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<Vec<EnvFileSpec>> {
        let files = node.one_or_more().iter();
        Some(files.filter_map(|file| self.env_file(key, file)).collect())
    }

    fn env_file(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<EnvFileSpec> {
        let (node, optional) = match &node.value {
            RawValue::Text(_) => (node, false),
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::ENV_FILE, "an `env_file` entry");
                let optional = self.get(table, "optional", Self::boolean).unwrap_or(false);
                let Some(path) = table.get("path") else {
                    let text = "missing `path` in `env_file` entry";
                    return self.reject(
                        node.at,
                        text,
                        "write { path = \".env\", optional = true }",
                    );
                };
                (&path.node, optional)
            }
            _ => {
                let must = "a path, an array of paths, or { path, optional }";
                return self.type_error(key, must, node);
            }
        };
        let path = self.path(key, node)?;
        Some(EnvFileSpec { path, optional, at: Some(node.at) })
    }
}
