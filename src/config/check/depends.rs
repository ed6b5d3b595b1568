use std::collections::BTreeMap;

use crate::model::{Condition, Name};

use super::super::fault::Fault;
use super::super::node::{Node, Value};
use super::super::place::Place;
use super::super::spec::{Dependency, replica};
use super::super::suggest::{did_you_mean, quote, replicas_help};
use super::Check;

pub(in super::super) const CONDITIONS: [(&str, Condition); 3] = [
    ("started", Condition::Started),
    ("ready", Condition::Ready),
    ("completed", Condition::Completed),
];

impl Check<'_, '_> {
    /// Checks `depends_on`: a list of names, or a table with a condition for each.
    pub(super) fn depends_on(&mut self, node: &Node<'_>) -> BTreeMap<Name, Dependency> {
        let mut all = BTreeMap::new();
        match &node.value {
            Value::List(list) => {
                for item in list {
                    let Some(name) = self.text("depends_on", item) else { continue };
                    if let Some(name) = self.dependency(name, item.at) {
                        all.insert(name, Dependency { condition: None, at: item.at });
                    }
                }
            }
            Value::Table(table) => {
                for (name, entry) in table {
                    let condition = self.word("depends_on", &entry.node, &CONDITIONS);
                    if let Some(name) = self.dependency(name, entry.key) {
                        all.insert(name, Dependency { condition, at: entry.key });
                    }
                }
            }
            Value::Text(name) => {
                let fault = Fault::at(
                    node.at,
                    "expected an array or a table for `depends_on`, found a string",
                );
                self.fault(fault.help(format!("write [\"{}\"]", quote(name).trim_matches('`'))));
            }
            _ => self.wrong("depends_on", "an array or a table", node),
        }
        all
    }

    fn dependency(&mut self, name: &str, at: Place) -> Option<Name> {
        if Check::is_service(self.services, name) {
            // An invalid name was reported where it was defined.
            return Name::new(name).ok();
        }
        let text = format!("unknown service {}", quote(name));
        if self.report.is_full() {
            // The report is full, so looking for a suggestion is wasted time.
            self.fault(Fault::at(at, text));
            return None;
        }
        if let Some((group, _)) = replica(name)
            && let Some(of) = Check::replicas_of(self.services, group)
        {
            self.fault(Fault::at(at, text).help(replicas_help(group, of)));
            return None;
        }
        let names = self.services.keys().map(|key| &**key);
        let known: Vec<&str> = names.clone().collect();
        let help =
            did_you_mean(name, names, || format!("available services: {}", known.join(", ")));
        self.fault(Fault::at(at, text).help(help));
        None
    }
}
