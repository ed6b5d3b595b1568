use crate::model::{ConflictPolicy, MAIN_PORT, Name};

use super::{ConfigChecker, in_order};
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::PortSpec;

pub(in crate::config) const MAX_PORTS: usize = 64;

pub(in crate::config) const ON_CONFLICT: [(&str, ConflictPolicy); 4] = [
    ("next", ConflictPolicy::Next),
    ("auto", ConflictPolicy::Auto),
    ("fail", ConflictPolicy::Fail),
    ("ask", ConflictPolicy::Ask),
];

impl ConfigChecker<'_, '_> {
    /// Checks `port` and `ports`. Returns the ports, main port first, and whether they are named.
    pub(super) fn ports(
        &mut self,
        table: &RawTable<'_>,
        on_conflict: ConflictPolicy,
    ) -> (Vec<PortSpec>, bool) {
        let (port, ports) = (table.get("port"), table.get("ports"));
        if let (Some(port), Some(ports)) = (port, ports) {
            let fault = DiagnosticBuilder::at(port.key, "both `port` and `ports` are set");
            let fault = fault.secondary(ports.key, "also set here");
            self.error(fault.help("use only `ports`; the first one is the main port"));
            return (Vec::new(), true);
        }
        if let Some(entry) = port {
            let port = self.port(MAIN_PORT, "port", &entry.node, on_conflict);
            return (vec![port], false);
        }
        let Some(entry) = ports else { return (Vec::new(), false) };
        let Some(named) = self.table("ports", &entry.node) else { return (Vec::new(), true) };
        if named.len() > MAX_PORTS {
            let text = format!("too many ports: {}", named.len());
            self.error_at(entry.key, text, format!("use at most {MAX_PORTS}"));
            return (Vec::new(), true);
        }
        let mut list = Vec::with_capacity(named.len());
        for (name, entry) in in_order(named) {
            if Name::new(name).is_err() {
                let text = format!("invalid port name {}", quote(name));
                let help = "use a-z, 0-9 and `-`, starting with a letter or digit";
                self.error_at(entry.key, text, help);
                continue;
            }
            list.push(self.port(name, &format!("ports.{name}"), &entry.node, on_conflict));
        }
        (list, true)
    }

    /// Checks a port. Parts with errors get their defaults: without the port, references to it
    /// would fail.
    pub(super) fn port(
        &mut self,
        name: &str,
        key: &str,
        node: &SpannedValue<'_>,
        on_conflict: ConflictPolicy,
    ) -> PortSpec {
        let mut spec = PortSpec::any(name, on_conflict, node.at);
        let RawValue::Table(table) = &node.value else {
            spec.preferred = self.port_number(key, node).flatten();
            return spec;
        };
        self.check_keys(table, misplaced::PORT, &format!("`{key}`"));
        if let Some(entry) = table.get("prefer") {
            spec.preferred = self.port_number("prefer", &entry.node).flatten();
            spec.at = entry.node.at;
        }
        let policy = self.get(table, "on_conflict", Self::on_conflict);
        spec.on_conflict = policy.unwrap_or(on_conflict);
        spec.env = self.get(table, "env", Self::variable_name);
        if let Some(entry) = table.get("inside") {
            let at = entry.node.at;
            spec.inside = self.number("inside", &entry.node, 1..=65_535).map(|port| (port, at));
        }
        spec.socket_activation = self.get(table, "pass", Self::boolean).unwrap_or(false);
        spec
    }

    /// Checks a number from 1 to 65535; `"auto"` gives `Some(None)`.
    pub(super) fn port_number(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<Option<u16>> {
        match &node.value {
            RawValue::Integer(Some(number @ 1..=65535)) => Some(u16::try_from(*number).ok()),
            RawValue::Integer(Some(0)) => {
                self.reject(node.at, "invalid port 0", "use \"auto\" for any free port")
            }
            RawValue::Integer(number) => {
                let number = number.map_or(String::new(), |number| format!(" {number}"));
                let help = "use 1 to 65535, or \"auto\" for any free port";
                self.reject(node.at, format!("invalid port{number}"), help)
            }
            RawValue::Text(text) if text == "auto" => Some(None),
            RawValue::Text(number) if number.parse::<u16>().is_ok_and(|port| port > 0) => {
                let text = format!("expected an integer for `{key}`, found a string");
                self.reject(node.at, text, format!("remove the quotes: {number}"))
            }
            RawValue::Text(text) => {
                let help = "use a number from 1 to 65535, or \"auto\"";
                self.reject(node.at, format!("invalid port {}", quote(text)), help)
            }
            RawValue::Float(_)
            | RawValue::Boolean(_)
            | RawValue::Date
            | RawValue::List(_)
            | RawValue::Table(_) => {
                self.type_error(key, "an integer from 1 to 65535 or \"auto\"", node)
            }
        }
    }

    pub(super) fn on_conflict(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<ConflictPolicy> {
        self.keyword(key, node, &ON_CONFLICT)
    }

    fn variable_name(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<String> {
        let text = self.text(key, node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.is_empty()
            && text.chars().all(plain)
            && !text.starts_with(|c: char| c.is_ascii_digit())
        {
            return Some(text.to_owned());
        }
        let text = format!("invalid variable name {}", quote(text));
        self.reject(node.at, text, "use a name such as \"WEB_PORT\"")
    }
}
