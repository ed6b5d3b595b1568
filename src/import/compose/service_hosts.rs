//! Other services by their host names: Compose gives each service a name in its network, devstack
//! a port on this machine.

use std::collections::BTreeMap;

use super::compose_ports::ContainerPort;
use crate::import::yaml::YamlNode;
use crate::text::quote;

/// The services of a file by their host names.
#[derive(Debug, Default)]
pub(super) struct ServiceHosts(BTreeMap<String, ServiceHost>);

/// What a host name stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct ServiceHost {
    /// The name of the service here; `None`: it is not part of the stack.
    pub name: Option<String>,
    /// Its ports, the main one first.
    pub ports: Vec<ContainerPort>,
    /// Whether it runs to completion.
    pub is_task: bool,
}

/// How containers call this machine.
const THIS_MACHINE: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

/// What stands before a host name in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HostContext {
    /// `://` or `@`: certainly a host.
    Url,
    /// A border between words.
    Border,
    /// Something else.
    Inside,
}

/// Returns a reference to a port: the main one has no name.
pub(super) fn port_reference(service: &str, port: Option<&str>) -> String {
    match port {
        None => format!("${{{service}.port}}"),
        Some(port) => format!("${{{service}.port.{port}}}"),
    }
}

/// The port of a URL that does not name one.
fn usual_port(scheme: &str) -> Option<u16> {
    Some(match scheme.split('+').next().unwrap_or_default() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mysql2" | "mariadb" => 3306,
        "redis" => 6379,
        "amqp" | "pyamqp" => 5672,
        "nats" => 4222,
        "memcached" => 11211,
        "smtp" => 25,
        _ => return None,
    })
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl ServiceHosts {
    pub fn add(&mut self, name: &str, service: ServiceHost) {
        self.0.insert(name.to_owned(), service);
    }

    /// Adds another host name of a service, unless that is the name of one.
    pub fn add_alias(&mut self, host: &str, service: ServiceHost) {
        self.0.entry(host.to_owned()).or_insert(service);
    }

    /// Returns what a host name stands for.
    pub fn get(&self, host: &str) -> Option<&ServiceHost> {
        self.0.get(host)
    }

    /// Puts references in the place of the addresses of services: `db:5432` becomes
    /// `${db.host}:${db.port}`. What cannot be replaced gets a note.
    /// `inside`: the text is used in a container.
    pub fn rewrite(&self, text: &str, node: &YamlNode, inside: bool) -> String {
        let mut rewritten = String::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let start = rest.find(is_host_char).unwrap_or(rest.len());
            rewritten.push_str(&rest[..start]);
            at += start;
            let word =
                &text[at..][..text[at..].find(|c| !is_host_char(c)).unwrap_or(text.len() - at)];
            if THIS_MACHINE.contains(&word) && context(&text[..at]) != HostContext::Inside {
                if inside {
                    rewritten.push_str("${host.inside}");
                } else {
                    node.note(format!("`{word}` becomes 127.0.0.1"));
                    rewritten.push_str("127.0.0.1");
                }
                at += word.len();
                continue;
            }
            let replaced =
                self.get(word).and_then(|host| self.address(text, at, word, host, node, inside));
            match replaced {
                Some((reference, length)) => {
                    rewritten.push_str(&reference);
                    at += length;
                }
                None => {
                    rewritten.push_str(word);
                    at += word.len();
                }
            }
        }
        rewritten
    }

    /// Returns the references for the address at this place of a text, and its length there.
    fn address(
        &self,
        text: &str,
        at: usize,
        word: &str,
        host: &ServiceHost,
        node: &YamlNode,
        inside: bool,
    ) -> Option<(String, usize)> {
        let context = context(&text[..at]);
        let after = &text[at + word.len()..];
        let written = after.strip_prefix(':').and_then(leading_port);
        if context == HostContext::Inside || (context == HostContext::Border && written.is_none()) {
            return None;
        }
        let Some(name) = &host.name else {
            node.note(not_in_stack(word));
            return None;
        };
        let port = match written {
            Some(port) => Some(port),
            None if after.starts_with(is_end_of_host) || after.is_empty() => {
                usual_port(scheme(&text[..at]))
            }
            None => None,
        };
        let known = port.and_then(|port| host.ports.iter().find(|known| known.target == port));
        let Some(known) = known else {
            // Containers reach each other by these names.
            if !inside && (context == HostContext::Url || written.is_some()) {
                node.note(format!(
                    "the port of {} is not known: use `${{{name}.host}}:${{{name}.port}}`",
                    quote(word)
                ));
            }
            return None;
        };
        let port = port_reference(name, known.name.as_deref());
        let length = written.map_or(0, |port| 1 + port.to_string().len());
        Some((format!("${{{name}.host}}:{port}"), word.len() + length))
    }
}

/// Says what to do about a host that runs elsewhere.
pub(super) fn not_in_stack(host: &str) -> String {
    format!(
        "{} is not part of this stack: use the address where it runs, such as 127.0.0.1",
        quote(host)
    )
}

fn is_end_of_host(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | ',' | '"' | '\'') || c.is_whitespace()
}

/// Says what precedes a host name.
fn context(before: &str) -> HostContext {
    match before.chars().next_back() {
        Some('@') => HostContext::Url,
        Some('/') if before.ends_with("://") => HostContext::Url,
        None | Some('=' | ',' | '"' | '\'' | '(' | '[' | ';' | '|' | '&') => HostContext::Border,
        Some(c) if c.is_whitespace() => HostContext::Border,
        Some(_) => HostContext::Inside,
    }
}

/// Returns the scheme of the URL that a text ends in.
fn scheme(before: &str) -> &str {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let scheme = word.split("://").next().unwrap_or_default();
    scheme.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next().unwrap_or_default()
}

/// Returns the port at the start of a text, if nothing follows that makes it something else.
fn leading_port(text: &str) -> Option<u16> {
    let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let ends = text[length..].chars().next().is_none_or(|c| !is_host_char(c) && c != ':');
    // A port has no zeros before it, so that its length in the text is that of the number.
    (ends && !text.starts_with('0')).then(|| text[..length].parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> ServiceHosts {
        let port = |target, name: Option<&str>| ContainerPort {
            target,
            published: None,
            name: name.map(str::to_owned),
        };
        let service = |name: &str, ports| ServiceHost {
            name: Some(name.to_owned()),
            ports,
            ..ServiceHost::default()
        };
        let mut hosts = ServiceHosts::default();
        hosts.add("db", service("db", vec![port(5432, None)]));
        hosts.add("my_api", service("my-api", vec![port(8000, None), port(9090, Some("p9090"))]));
        hosts.add("web", service("web", vec![port(80, None)]));
        hosts.add("mongo", ServiceHost::default());
        hosts
    }

    #[test]
    fn addresses_of_services_become_references() {
        for (text, rewritten) in [
            ("db:5432", "${db.host}:${db.port}"),
            ("postgres://u:p@db:5432/x", "postgres://u:p@${db.host}:${db.port}/x"),
            ("postgresql+asyncpg://u@db/x", "postgresql+asyncpg://u@${db.host}:${db.port}/x"),
            ("http://my_api:8000", "http://${my-api.host}:${my-api.port}"),
            ("http://my_api:9090/m", "http://${my-api.host}:${my-api.port.p9090}/m"),
            ("http://web/", "http://${web.host}:${web.port}/"),
            ("wait-for db:5432 -- x", "wait-for ${db.host}:${db.port} -- x"),
            ("http://host.docker.internal:8000", "http://127.0.0.1:8000"),
            ("a,db:5432,db:5432", "a,${db.host}:${db.port},${db.host}:${db.port}"),
        ] {
            let node = YamlNode::default();
            assert_eq!(hosts().rewrite(text, &node, false), rewritten);
        }
    }

    #[test]
    fn other_texts_stay() {
        for text in [
            "db",
            "/db:5432",
            "mydb:5432",
            "db:5432:x",
            "db:54321",
            "db.example.com:5432",
            "db:05432",
            "sqlite:///db",
            "db-data:5432",
            "${X:-db}:5432",
            "npm run web",
            "http://my_api/",
            "mongo",
            "ä db é",
        ] {
            assert_eq!(hosts().rewrite(text, &YamlNode::default(), false), text);
        }
    }
}
