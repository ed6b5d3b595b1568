use super::super::fault::Fault;
use super::super::node::{Node, Table, Value};
use super::super::place::Place;
use super::super::spec::{PortSpec, ProbeSpec};
use super::super::suggest::{did_you_mean, quote};
use super::super::template::{Part, Syntax, Template};
use super::{Check, keys};

enum PortOf {
    Own(String),
    Number(u16),
}

impl Check<'_, '_> {
    /// Checks the probes of these keys, in this order. The default, if `by_default`: the service
    /// listens on its main port; with socket activation devstack listens, so it must answer there.
    pub(super) fn probes(
        &mut self,
        table: &Table<'_>,
        keys: &[&str],
        by_default: bool,
        ports: &[PortSpec],
    ) -> Vec<ProbeSpec> {
        let mut probes = Vec::new();
        let mut chosen = false;
        for &key in keys {
            let Some(entry) = table.get(key) else { continue };
            let node = &entry.node;
            chosen |= key != "notify" || node.value != Value::Boolean(false);
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
            probes.push(match main.pass {
                true => ProbeSpec::OwnAnswer(main.name.clone()),
                false => ProbeSpec::OwnTcp(main.name.clone()),
            });
        }
        probes
    }

    fn tcp(&mut self, node: &Node<'_>, ports: &[PortSpec]) -> Option<ProbeSpec> {
        if node.value == Value::Boolean(false) {
            return None;
        }
        let probed = self.probe_port("tcp", node, ports)?;
        let passed = ports.iter().find(|port| {
            port.pass
                && match &probed {
                    PortOf::Own(name) => port.name == *name,
                    PortOf::Number(number) => port.prefer == Some(*number),
                }
        });
        if let Some(port) = passed {
            let fault = Fault::at(node.at, "a TCP probe is meaningless on a passed port");
            let help =
                "use `http`, `log`, `exec` or `notify`: devstack itself is listening on this port";
            self.fault(fault.also(port.at, "this port is passed").help(help));
            return None;
        }
        Some(match probed {
            PortOf::Own(name) => ProbeSpec::OwnTcp(name),
            PortOf::Number(number) => ProbeSpec::Tcp(number),
        })
    }

    /// Checks a port: `true` for the main port, a name, or a number.
    fn probe_port(&mut self, key: &str, node: &Node<'_>, ports: &[PortSpec]) -> Option<PortOf> {
        match &node.value {
            Value::Boolean(true) => self.main_port(node.at, ports).map(PortOf::Own),
            Value::Text(name) => match ports.iter().find(|port| port.name == **name) {
                Some(port) => Some(PortOf::Own(port.name.clone())),
                None => {
                    let names = ports.iter().map(|port| port.name.as_str());
                    let help = did_you_mean(name, names, || {
                        "use true for the main port, a number, or a name from `ports`".into()
                    });
                    let text = format!("unknown port {}", quote(name));
                    self.fault(Fault::at(node.at, text).help(help));
                    None
                }
            },
            Value::Integer(_) => self.port_number(key, node)?.map(PortOf::Number),
            _ => {
                self.wrong(key, "a boolean, a port or the name of a port", node);
                None
            }
        }
    }

    fn main_port(&mut self, at: Place, ports: &[PortSpec]) -> Option<String> {
        if ports.is_empty() {
            let fault = Fault::at(at, "this service has no port to probe");
            self.fault(fault.help("set `port = \"auto\"` or a number"));
        }
        ports.first().map(|port| port.name.clone())
    }

    /// Checks `http`: a path on the main port, a URL, or `{ path, port }`.
    fn http(&mut self, node: &Node<'_>, ports: &[PortSpec]) -> Option<ProbeSpec> {
        match &node.value {
            Value::Text(_) => {
                let template = self.http_text(node)?;
                let starts_with = |prefix: &str| match template.parts.first() {
                    Some(Part::Text(text)) => text.starts_with(prefix),
                    _ => false,
                };
                if starts_with("/") {
                    let port = self.main_port(node.at, ports)?;
                    return Some(ProbeSpec::OwnHttp { port, path: template });
                }
                Some(ProbeSpec::Http(template))
            }
            Value::Table(table) => {
                self.only_keys(table, keys::HTTP, "`http`");
                let path = match table.get("path") {
                    Some(entry) => self.http_text(&entry.node)?,
                    None => Template::plain("/", node.at),
                };
                let port = match table.get("port") {
                    Some(entry) => self.probe_port("port", &entry.node, ports)?,
                    None => PortOf::Own(self.main_port(node.at, ports)?),
                };
                Some(match port {
                    PortOf::Own(port) => ProbeSpec::OwnHttp { port, path },
                    PortOf::Number(port) => ProbeSpec::PortHttp { port, path },
                })
            }
            _ => {
                self.wrong("http", "a path such as \"/health\" or a URL", node);
                None
            }
        }
    }

    fn http_text(&mut self, node: &Node<'_>) -> Option<Template> {
        let text = self.text("http", node)?;
        Some(self.template(text, node.at, Syntax::References))
    }

    fn log(&mut self, node: &Node<'_>) -> Option<ProbeSpec> {
        let text = self.text("log", node)?;
        Some(ProbeSpec::Log(self.template(text, node.at, Syntax::References)))
    }
}
