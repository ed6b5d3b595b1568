use std::collections::BTreeMap;

use crate::model::{Condition, Name};

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
    pub(super) fn depends_on(&mut self, node: &SpannedValue<'_>) -> BTreeMap<Name, DependencySpec> {
        let mut all = BTreeMap::new();
        match &node.value {
            RawValue::List(list) => {
                for item in list {
                    let Some(name) = self.text("depends_on", item) else { continue };
                    if let Some(name) = self.dependency(name, item.at) {
                        all.insert(name, DependencySpec { condition: None, at: item.at });
                    }
                }
            }
            RawValue::Table(table) => {
                for (name, entry) in table {
                    let condition = self.keyword("depends_on", &entry.node, &CONDITIONS);
                    if let Some(name) = self.dependency(name, entry.key) {
                        all.insert(name, DependencySpec { condition, at: entry.key });
                    }
                }
            }
            RawValue::Text(name) => {
                let fault = DiagnosticBuilder::at(
                    node.at,
                    "expected an array or a table for `depends_on`, found a string",
                );
                self.error(fault.help(format!("write [\"{}\"]", quote(name).trim_matches('`'))));
            }
            _ => self.type_error("depends_on", "an array or a table", node),
        }
        all
    }

    fn dependency(&mut self, name: &str, at: Span) -> Option<Name> {
        if ConfigChecker::is_service(self.services, name) {
            // An invalid name was reported where it was defined.
            return Name::new(name).ok();
        }
        let text = format!("unknown service {}", quote(name));
        if self.report.is_full() {
            // The report is full, so looking for a suggestion is wasted time.
            self.error(DiagnosticBuilder::at(at, text));
            return None;
        }
        if let Some((group, _)) = split_replica_name(name)
            && let Some(of) = ConfigChecker::replicas_of(self.services, group)
        {
            self.error(DiagnosticBuilder::at(at, text).help(replicas_help(group, of)));
            return None;
        }
        let names = self.services.keys().map(|key| &**key);
        let known: Vec<&str> = names.clone().collect();
        let help =
            did_you_mean(name, names, || format!("available services: {}", known.join(", ")));
        self.error(DiagnosticBuilder::at(at, text).help(help));
        None
    }
}
