use std::time::Duration;

use crate::model::Kind;

use super::super::fault::Fault;
use super::super::node::{Entry, Node, Table, Value};
use super::super::place::Place;
use super::super::spec::{PortSpec, ProbeSpec, ReadySpec};
use super::super::suggest::{did_you_mean, quote};
use super::super::template::{Part, Syntax, Template};
use super::{Check, keys};

const TIMEOUT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(250);

/// A port that a probe is about.
enum PortOf {
    Own(String),
    Number(u16),
}

impl Check<'_, '_> {
    /// `ready`, with the default: a service with a port listens on it; a task needs nothing.
    pub(super) fn ready(
        &mut self,
        entry: Option<&Entry<'_>>,
        kind: Kind,
        ports: &[PortSpec],
    ) -> ReadySpec {
        let mut ready = ReadySpec { probes: Vec::new(), timeout: TIMEOUT, interval: INTERVAL };
        let mut chosen = false;
        if let Some(entry) = entry
            && let Some(table) = self.table("ready", &entry.node)
        {
            self.only_keys(table, keys::READY, "`ready`");
            chosen = self.probes(table, ports, &mut ready.probes);
            if let Some(entry) = table.get("timeout") {
                ready.timeout = self.positive_duration("timeout", &entry.node).unwrap_or(TIMEOUT);
            }
            if let Some(entry) = table.get("interval") {
                ready.interval =
                    self.positive_duration("interval", &entry.node).unwrap_or(INTERVAL);
            }
        }
        if let (false, Kind::Service, Some(main)) = (chosen, kind, ports.first()) {
            ready.probes.push(ProbeSpec::OwnTcp(main.name.clone()));
        }
        ready
    }

    /// The probes in a fixed order, cheap ones first. Whether any was written at all.
    fn probes(&mut self, table: &Table<'_>, ports: &[PortSpec], out: &mut Vec<ProbeSpec>) -> bool {
        let mut chosen = false;
        for key in ["delay", "tcp", "http", "log", "exec", "notify"] {
            let Some(entry) = table.get(key) else { continue };
            chosen = true;
            let node = &entry.node;
            out.extend(match key {
                "delay" => self.duration("delay", node).map(ProbeSpec::Delay),
                "tcp" => self.tcp(node, ports),
                "http" => self.http(node, ports),
                "log" => self.log(node),
                "exec" => self.command("exec", node).map(ProbeSpec::Exec),
                _ => {
                    self.not_yet("ready.notify", entry.key);
                    None
                }
            });
        }
        chosen
    }

    fn tcp(&mut self, node: &Node<'_>, ports: &[PortSpec]) -> Option<ProbeSpec> {
        if node.value == Value::Boolean(false) {
            return None;
        }
        Some(match self.probe_port("tcp", node, ports)? {
            PortOf::Own(name) => ProbeSpec::OwnTcp(name),
            PortOf::Number(number) => ProbeSpec::Tcp(number),
        })
    }

    /// `true` for the main port, a name, or a number.
    fn probe_port(&mut self, key: &str, node: &Node<'_>, ports: &[PortSpec]) -> Option<PortOf> {
        match &node.value {
            Value::Boolean(true) => self.main_port(node.at, ports).map(PortOf::Own),
            Value::Text(name) => match ports.iter().find(|port| port.name == **name) {
                Some(port) => Some(PortOf::Own(port.name.clone())),
                None => {
                    let names = ports.iter().map(|port| port.name.as_str());
                    let help = did_you_mean(name, names, || {
                        "write `true` for the main port, a number, or a name from `ports`".into()
                    });
                    let text = format!("there is no port {} here", quote(name));
                    self.fault(Fault::at(node.at, text).help(help));
                    None
                }
            },
            Value::Integer(_) => self.port_number(key, node)?.map(PortOf::Number),
            _ => {
                self.wrong(key, "true, a port or the name of a port", node);
                None
            }
        }
    }

    fn main_port(&mut self, at: Place, ports: &[PortSpec]) -> Option<String> {
        if ports.is_empty() {
            let fault = Fault::at(at, "this service has no port to probe");
            self.fault(fault.help("give it `port = \"auto\"` or a number"));
        }
        ports.first().map(|port| port.name.clone())
    }

    /// A path on the main port, a whole URL, or `{ path, port }`.
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
