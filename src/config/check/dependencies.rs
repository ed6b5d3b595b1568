use std::collections::BTreeMap;

use crate::model::{Condition, Name};
use crate::text::join;

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, Span, did_you_mean, quote, replicas_help};
use crate::config::parse::{RawValue, SpannedValue};
use crate::config::spec::{DependencySpec, split_replica_name};

pub(crate) const CONDITIONS: [(&str, Condition); 3] = [
    ("started", Condition::Started),
    ("ready", Condition::Ready),
    ("completed", Condition::Completed),
];

impl ConfigChecker<'_, '_> {
    /// Checks `depends_on`: a list of names, or a table with a condition for each.
    pub(super) fn depends_on(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<BTreeMap<Name, DependencySpec>> {
        let mut all = BTreeMap::new();
        match &node.value {
            RawValue::List(list) => {
                for item in list {
                    let Some(name) = self.text(key, item) else { continue };
                    if let Some(name) = self.dependency(name, item.at) {
                        all.insert(name, DependencySpec { condition: None, at: item.at });
                    }
                }
            }
            RawValue::Table(table) => {
                for (name, entry) in table {
                    let condition = self.keyword(key, &entry.node, &CONDITIONS);
                    if let Some(name) = self.dependency(name, entry.key) {
                        all.insert(name, DependencySpec { condition, at: entry.key });
                    }
                }
            }
            RawValue::Text(name) => {
                let text = format!("expected an array or a table for `{key}`, found a string");
                let help = format!("write [\"{}\"]", quote(name).trim_matches('`'));
                return self.reject(node.at, text, help);
            }
            _ => return self.type_error(key, "an array or a table", node),
        }
        Some(all)
    }

    fn dependency(&mut self, name: &str, at: Span) -> Option<Name> {
        if let Some(name) = self.find_service(name) {
            // An invalid name was reported where it was defined.
            return Name::new(&name).ok();
        }
        let text = format!("unknown service {}", quote(name));
        if self.report.is_full() {
            // The report is full, so looking for a suggestion is wasted time.
            self.error(DiagnosticBuilder::at(at, text));
            return None;
        }
        if let Some((group, _)) = split_replica_name(name)
            && let Some(of) = self.names.replicas_of(self.services, group)
        {
            return self.reject(at, text, replicas_help(group, of));
        }
        let names = self.known_services();
        let all = || format!("available services: {}", join(names.clone(), ", "));
        let help = did_you_mean(name, names.clone(), all);
        self.reject(at, text, help)
    }
}
