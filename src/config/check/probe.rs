use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, Span, did_you_mean, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{PortSpec, ProbeSpec};
use crate::config::template::{Template, TemplatePart, TemplateSyntax};

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
            chosen |= key != "notify" || node.value != RawValue::Boolean(false);
            probes.extend(match key {
                "delay" => self.duration("delay", node).map(ProbeSpec::Delay),
                "tcp" => self.tcp(node, ports),
                "http" => self.http(node, ports),
                "log" => self.log(node),
                "exec" => self.command("exec", node).map(ProbeSpec::Exec),
                _ => self.boolean("notify", node).and_then(|yes| yes.then_some(ProbeSpec::Notify)),
            });
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
            RawValue::Text(name) => match ports.iter().find(|port| port.name == **name) {
                Some(port) => Some(ProbePort::Own(port.name.clone())),
                None => {
                    let names = ports.iter().map(|port| port.name.as_str());
                    let help = did_you_mean(name, names, || {
                        "use true for the main port, a number, or a name from `ports`".into()
                    });
                    let text = format!("unknown port {}", quote(name));
                    self.error(DiagnosticBuilder::at(node.at, text).help(help));
                    None
                }
            },
            RawValue::Integer(_) => self.port_number(key, node)?.map(ProbePort::Number),
            _ => {
                self.type_error(key, "a boolean, a port or the name of a port", node);
                None
            }
        }
    }

    fn main_port(&mut self, at: Span, ports: &[PortSpec]) -> Option<String> {
        if ports.is_empty() {
            let fault = DiagnosticBuilder::at(at, "this service has no port to probe");
            self.error(fault.help("set `port = \"auto\"` or a number"));
        }
        ports.first().map(|port| port.name.clone())
    }

    /// Checks `http`: a path on the main port, a URL, or `{ path, port }`.
    fn http(&mut self, node: &SpannedValue<'_>, ports: &[PortSpec]) -> Option<ProbeSpec> {
        match &node.value {
            RawValue::Text(_) => {
                let template = self.http_text(node)?;
                let starts_with = |prefix: &str| match template.parts.first() {
                    Some(TemplatePart::Text(text)) => text.starts_with(prefix),
                    _ => false,
                };
                if starts_with("/") {
                    let port = self.main_port(node.at, ports)?;
                    return Some(ProbeSpec::OwnHttp { port, path: template });
                }
                Some(ProbeSpec::Http(template))
            }
            RawValue::Table(table) => {
                self.check_keys(table, misplaced::HTTP, "`http`");
                let path = match table.get("path") {
                    Some(entry) => self.http_text(&entry.node)?,
                    None => Template::plain("/", node.at),
                };
                let port = match table.get("port") {
                    Some(entry) => self.probe_port("port", &entry.node, ports)?,
                    None => ProbePort::Own(self.main_port(node.at, ports)?),
                };
                Some(match port {
                    ProbePort::Own(port) => ProbeSpec::OwnHttp { port, path },
                    ProbePort::Number(port) => ProbeSpec::PortHttp { port, path },
                })
            }
            _ => {
                self.type_error("http", "a path such as \"/health\" or a URL", node);
                None
            }
        }
    }

    fn http_text(&mut self, node: &SpannedValue<'_>) -> Option<Template> {
        let text = self.text("http", node)?;
        Some(self.template(text, node.at, TemplateSyntax::References))
    }

    fn log(&mut self, node: &SpannedValue<'_>) -> Option<ProbeSpec> {
        let text = self.text("log", node)?;
        Some(ProbeSpec::Log(self.template(text, node.at, TemplateSyntax::References)))
    }
}
