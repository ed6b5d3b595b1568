use crate::model::{ConflictPolicy, Name};

use super::super::fault::Fault;
use super::super::node::{Node, Table, Value};
use super::super::place::Place;
use super::super::spec::PortSpec;
use super::super::suggest::quote;
use super::{Check, in_order, keys};

/// The name of the only port of a service that uses `port`.
pub(super) const MAIN: &str = "main";

pub(in super::super) const MAX_PORTS: usize = 64;

pub(in super::super) const ON_CONFLICT: [(&str, ConflictPolicy); 4] = [
    ("next", ConflictPolicy::Next),
    ("auto", ConflictPolicy::Auto),
    ("fail", ConflictPolicy::Fail),
    ("ask", ConflictPolicy::Ask),
];

impl Check<'_, '_> {
    /// Checks `port` and `ports`. Returns the ports, main port first, and whether they are named.
    pub(super) fn ports(
        &mut self,
        table: &Table<'_>,
        on_conflict: ConflictPolicy,
    ) -> (Vec<PortSpec>, bool) {
        let (port, ports) = (table.get("port"), table.get("ports"));
        if let (Some(port), Some(ports)) = (port, ports) {
            let fault = Fault::at(port.key, "both `port` and `ports` are set");
            let fault = fault.also(ports.key, "also set here");
            self.fault(fault.help("use only `ports`; the first one is the main port"));
            return (Vec::new(), true);
        }
        if let Some(entry) = port {
            let port = self.port(MAIN, "port", &entry.node, on_conflict);
            return (vec![port], false);
        }
        let Some(entry) = ports else { return (Vec::new(), false) };
        let Some(named) = self.table("ports", &entry.node) else { return (Vec::new(), true) };
        if named.len() > MAX_PORTS {
            let fault = Fault::at(entry.key, format!("too many ports: {}", named.len()));
            self.fault(fault.help(format!("use at most {MAX_PORTS}")));
            return (Vec::new(), true);
        }
        let mut list = Vec::with_capacity(named.len());
        for (name, entry) in in_order(named) {
            if Name::new(name).is_err() {
                let text = format!("invalid port name {}", quote(name));
                let help = "use a-z, 0-9 and `-`, starting with a letter or digit";
                self.fault(Fault::at(entry.key, text).help(help));
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
        node: &Node<'_>,
        on_conflict: ConflictPolicy,
    ) -> PortSpec {
        let mut spec = PortSpec::any(name, on_conflict, node.at);
        let Value::Table(table) = &node.value else {
            spec.prefer = self.port_number(key, node).flatten();
            return spec;
        };
        self.only_keys(table, keys::PORT, &format!("`{key}`"));
        if let Some(entry) = table.get("prefer") {
            spec.prefer = self.port_number("prefer", &entry.node).flatten();
            spec.at = entry.node.at;
        }
        if let Some(entry) = table.get("on_conflict") {
            spec.on_conflict = self.on_conflict(&entry.node).unwrap_or(on_conflict);
        }
        if let Some(entry) = table.get("env") {
            spec.env = self.variable_name(&entry.node);
        }
        if let Some(entry) = table.get("pass") {
            spec.pass = self.boolean("pass", &entry.node).unwrap_or(false);
        }
        spec
    }

    /// Checks a number from 1 to 65535; `"auto"` gives `Some(None)`.
    pub(super) fn port_number(&mut self, key: &str, node: &Node<'_>) -> Option<Option<u16>> {
        match &node.value {
            Value::Integer(Some(number @ 1..=65535)) => Some(u16::try_from(*number).ok()),
            Value::Integer(number) => {
                let help = match number {
                    Some(0) => "use \"auto\" for any free port".to_owned(),
                    _ => "use 1 to 65535, or \"auto\" for any free port".to_owned(),
                };
                let text = match number {
                    Some(number) => format!("invalid port {number}"),
                    None => "invalid port".to_owned(),
                };
                self.fault(Fault::at(node.at, text).help(help));
                None
            }
            Value::Text(text) if text == "auto" => Some(None),
            Value::Text(text) if text.parse::<u16>().is_ok_and(|port| port > 0) => {
                let fault =
                    Fault::at(node.at, format!("expected an integer for `{key}`, found a string"));
                self.fault(fault.help(format!("remove the quotes: {text}")));
                None
            }
            Value::Text(text) => {
                let fault = Fault::at(node.at, format!("invalid port {}", quote(text)));
                self.fault(fault.help("use a number from 1 to 65535, or \"auto\""));
                None
            }
            Value::Float(_)
            | Value::Boolean(_)
            | Value::Date
            | Value::List(_)
            | Value::Table(_) => {
                self.wrong(key, "an integer from 1 to 65535 or \"auto\"", node);
                None
            }
        }
    }

    pub(super) fn on_conflict(&mut self, node: &Node<'_>) -> Option<ConflictPolicy> {
        self.word("on_conflict", node, &ON_CONFLICT)
    }

    fn variable_name(&mut self, node: &Node<'_>) -> Option<String> {
        let text = self.text("env", node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.is_empty()
            && text.chars().all(plain)
            && !text.starts_with(|c: char| c.is_ascii_digit())
        {
            return Some(text.to_owned());
        }
        let fault = Fault::at(node.at, format!("invalid variable name {}", quote(text)));
        self.fault(fault.help("use a name such as \"WEB_PORT\""));
        None
    }

    pub(super) fn not_yet(&mut self, key: &str, at: Place) {
        let shown = if key.contains('"') { key.to_owned() } else { format!("`{key}`") };
        let fault = Fault::at(at, format!("{shown} is not supported yet"));
        self.fault(fault.help("remove it for now"));
    }
}
