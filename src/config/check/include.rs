//! `include`: other files whose services belong to the stack.

use std::path::PathBuf;

use super::ConfigChecker;
use super::name_scope::NameScope;
use crate::config::diagnostics::{LoadReport, Span};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::model::Name;

/// An included file, as written.
#[derive(Debug, Clone)]
pub(in crate::config) struct IncludeSpec {
    /// A file, or a directory with a `devstack.toml`; relative to the directory of this file.
    pub path: PathBuf,
    /// The span of the path.
    pub at: Span,
    /// `as`: what precedes the names of its services.
    pub prefix: Option<Name>,
    /// The only services to take, beside what they need. `None`: all.
    pub only: Option<Vec<(Name, Span)>>,
}

/// Checks the `include` of a file.
pub(in crate::config) fn check_includes(
    file: &RawTable<'_>,
    report: &mut LoadReport,
) -> Vec<IncludeSpec> {
    let (services, names) = (RawTable::new(), NameScope::default());
    let mut check = ConfigChecker::new(report, &services, &names);
    check.get(file, "include", ConfigChecker::includes).unwrap_or_default()
}

impl ConfigChecker<'_, '_> {
    pub(super) fn includes(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<Vec<IncludeSpec>> {
        let RawValue::List(list) = &node.value else {
            return self.type_error(key, "an array of paths or tables", node);
        };
        Some(list.iter().filter_map(|entry| self.include(key, entry)).collect())
    }

    fn include(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<IncludeSpec> {
        let nothing = RawTable::new();
        let (path, table) = match &node.value {
            RawValue::Text(_) => (node, &nothing),
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::INCLUDE, "an `include` entry");
                let Some(path) = table.get("path") else {
                    let text = "missing `path` in `include` entry";
                    return self.reject(node.at, text, "write { path = \"../search\" }");
                };
                (&path.node, table)
            }
            _ => return self.type_error(key, "a path or { path, as, only }", node),
        };
        let at = path.at;
        let path = self.text(key, path)?;
        if path.is_empty() {
            let help = "name a file, or a directory with a devstack.toml";
            return self.reject(at, format!("empty path in `{key}`"), help);
        }
        let prefix = self.get(table, "as", Self::name);
        let only = self.get(table, "only", |check, key, node| {
            let RawValue::List(list) = &node.value else {
                return check.type_error(key, "an array of services", node);
            };
            let named = list.iter().filter_map(|item| Some((check.name(key, item)?, item.at)));
            Some(named.collect())
        });
        Some(IncludeSpec { path: path.into(), at, prefix, only })
    }
}
