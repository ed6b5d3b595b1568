use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, Span, did_you_mean, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{HttpSpec, HttpTarget, PortSpec, ProbeSpec};
use crate::config::template::{Template, TemplatePart};
use crate::model::AcceptedStatus;

/// Every HTTP status.
pub(in crate::config) const STATUS: std::ops::RangeInclusive<i64> = 100..=599;

/// In place of statuses: all of them.
pub(in crate::config) const ANY_STATUS: &str = "any";

enum ProbePort {
    Own(String),
    Number(u16),
}

impl ConfigChecker<'_, '_> {
    /// Checks the probes of these keys, in this order. The default, if `by_default`: the service
    /// listens on its main port; with socket activation devstack listens, so it must answer there.
    pub(super) fn probes(
        &mut self,
        table: &RawTable<'_>,
        keys: &[&str],
        by_default: bool,
        ports: &[PortSpec],
    ) -> Vec<ProbeSpec> {
        let mut probes = Vec::new();
        let mut chosen = false;
        for &key in keys {
            let Some(entry) = table.get(key) else { continue };
            let node = &entry.node;
            chosen |=
                !matches!(key, "notify" | "healthcheck") || node.value != RawValue::Boolean(false);
            probes.extend(match key {
                "delay" => self.duration("delay", node).map(ProbeSpec::Delay),
                "tcp" => self.tcp(node, ports),
                "http" | "https" => self.http(key, node, ports).map(|target| {
                    ProbeSpec::Http(HttpSpec {
                        target,
                        https: key == "https",
                        insecure: self.get(table, "insecure", Self::boolean).unwrap_or(false),
                        status: self.status(table),
                    })
                }),
                "log" => self.template_text("log", node).map(ProbeSpec::Log),
                "exec" => self.command("exec", node).map(ProbeSpec::Exec),
                "healthcheck" => {
                    let healthcheck =
                        |yes: bool| yes.then_some(ProbeSpec::Healthcheck { optional: false });
                    self.boolean("healthcheck", node).and_then(healthcheck)
                }
                _ => self.boolean("notify", node).and_then(|yes| yes.then_some(ProbeSpec::Notify)),
            });
        }
        if !table.contains_key("http") && !table.contains_key("https") {
            for key in ["status", "insecure"] {
                if let Some(entry) = table.get(key) {
                    let text = format!("`{key}` needs an HTTP probe");
                    self.error_at(entry.key, text, "set `http` or `https`");
                }
            }
        }
        if let (true, false, Some(main)) = (by_default, chosen, ports.first()) {
            probes.push(match main.socket_activation {
                true => ProbeSpec::OwnAnswer(main.name.clone()),
                false => ProbeSpec::OwnTcp(main.name.clone()),
            });
        }
        probes
    }

    fn tcp(&mut self, node: &SpannedValue<'_>, ports: &[PortSpec]) -> Option<ProbeSpec> {
        if node.value == RawValue::Boolean(false) {
            return None;
        }
        let probed = self.probe_port("tcp", node, ports)?;
        let passed = ports.iter().find(|port| {
            port.socket_activation
                && match &probed {
                    ProbePort::Own(name) => port.name == *name,
                    ProbePort::Number(number) => port.preferred == Some(*number),
                }
        });
        if let Some(port) = passed {
            let fault =
                DiagnosticBuilder::at(node.at, "a TCP probe is meaningless on a passed port");
            let help =
                "use `http`, `log`, `exec` or `notify`: devstack itself is listening on this port";
            self.error(fault.secondary(port.at, "this port is passed").help(help));
            return None;
        }
        Some(match probed {
            ProbePort::Own(name) => ProbeSpec::OwnTcp(name),
            ProbePort::Number(number) => ProbeSpec::Tcp(number),
        })
    }

    /// Checks a port: `true` for the main port, a name, or a number.
    fn probe_port(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        ports: &[PortSpec],
    ) -> Option<ProbePort> {
        match &node.value {
            RawValue::Boolean(true) => self.main_port(node.at, ports).map(ProbePort::Own),
            RawValue::Text(name) if ports.iter().any(|port| port.name == **name) => {
                Some(ProbePort::Own(name.clone().into_owned()))
            }
            RawValue::Text(name) => {
                let names = ports.iter().map(|port| port.name.as_str());
                let help = did_you_mean(name, names, || {
                    "use true for the main port, a number, or a name from `ports`".into()
                });
                self.reject(node.at, format!("unknown port {}", quote(name)), help)
            }
            RawValue::Integer(_) => self.port_number(key, node)?.map(ProbePort::Number),
            _ => self.type_error(key, "a boolean, a port or the name of a port", node),
        }
    }

    fn main_port(&mut self, at: Span, ports: &[PortSpec]) -> Option<String> {
        if ports.is_empty() {
            let help = "set `port = \"auto\"` or a number";
            self.error_at(at, "this service has no port to probe", help);
        }
        ports.first().map(|port| port.name.clone())
    }

    /// Checks `status`: which ones an HTTP probe accepts.
    fn status(&mut self, table: &RawTable<'_>) -> AcceptedStatus {
        let Some(node) = table.get("status").map(|entry| &entry.node) else {
            return AcceptedStatus::NoError;
        };
        if matches!(&node.value, RawValue::Text(text) if text == ANY_STATUS) {
            return AcceptedStatus::Any;
        }
        let list = node.one_or_more();
        if list.is_empty() {
            let help = "list what the server may return: status = [200, 401]";
            self.error_at(node.at, "`status` must not be empty", help);
        }
        let codes = list.iter().filter_map(|node| self.number("status", node, STATUS));
        AcceptedStatus::Only(codes.collect())
    }

    /// Checks `http` or `https`: a path on the main port, a URL, or `{ path, port }`.
    fn http(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
        ports: &[PortSpec],
    ) -> Option<HttpTarget> {
        match &node.value {
            RawValue::Text(_) => {
                let template = self.template_text(key, node)?;
                let starts_with = |prefix: &str| match template.parts.first() {
                    Some(TemplatePart::Text(text)) => text.starts_with(prefix),
                    _ => false,
                };
                if starts_with("/") {
                    let port = self.main_port(node.at, ports)?;
                    return Some(HttpTarget::OwnPort { port, path: template });
                }
                Some(HttpTarget::Url(template))
            }
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::HTTP, &format!("`{key}`"));
                let path = match table.get("path") {
                    Some(entry) => self.template_text("path", &entry.node)?,
                    None => Template::plain("/", node.at),
                };
                let port = match table.get("port") {
                    Some(entry) => self.probe_port("port", &entry.node, ports)?,
                    None => ProbePort::Own(self.main_port(node.at, ports)?),
                };
                Some(match port {
                    ProbePort::Own(port) => HttpTarget::OwnPort { port, path },
                    ProbePort::Number(port) => HttpTarget::Port { port, path },
                })
            }
            _ => self.type_error(key, "a path such as \"/health\" or a URL", node),
        }
    }
}
