//! The order of precedence for port numbers.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::model::{
    ConflictPolicy, DEBUG_HOST, Message, MessageClass, Name, PortKey, PortRequest, WantedPort,
};

use super::address_book::AddressBook;
use super::port_variables::note_unused_numbers;
use crate::config::diagnostics::{
    DiagnosticBuilder, LoadReport, SourceFile, Span, did_you_mean, quote,
};
use crate::config::env::{EnvFileSet, EnvResolver, LayerKind, layers};
use crate::config::sources::ConfigOverrides;
use crate::config::spec::{PortSpec, ReplicaSpec, ServiceSpec, StackSpec};
use crate::config::template::ExpandError;
use crate::text::join;

/// The variable for the main port of the service whose variables contain it.
pub(super) const PORT: &str = "PORT";

/// The port requests of a stack.
#[derive(Debug, Clone)]
pub(crate) struct PortRequests {
    pub always: Vec<PortRequest>,
    pub debug: Vec<PortRequest>,
}

/// Returns requests ordered by name, main ports first.
pub(super) fn port_requests(
    spec: &StackSpec,
    files: &EnvFileSet,
    outer: &BTreeMap<String, String>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> PortRequests {
    let pinned = command_line(spec, overrides, report);
    let book = AddressBook::without_services(spec);
    let (mut always, mut debug) = (Vec::new(), Vec::new());
    for service in spec.services.values() {
        let is_primary = spec.primary.as_ref() == Some(&service.name);
        let inner = service.lazy.iter().map(|lazy| &lazy.inner);
        let debugger = service.debug.iter().map(|debug| (usize::MAX, &debug.port));
        for (index, port) in service.ports.iter().chain(inner).enumerate().chain(debugger) {
            let on_line = pinned.get(&(&service.name, port.name.as_str())).copied();
            let mut precedence = PortPrecedence {
                spec,
                service,
                port,
                main: index == 0,
                is_primary,
                policy: match overrides.strict_ports {
                    true => ConflictPolicy::Strict,
                    false => port.on_conflict,
                },
                book: &book,
                files,
                outer,
                report,
            };
            let (wanted, requested_by) = precedence.decide(on_line);
            let list = if index == usize::MAX { &mut debug } else { &mut always };
            let key = PortKey::new(&service.name, &port.name);
            let host = if index == usize::MAX { DEBUG_HOST } else { &service.host }.to_owned();
            list.push(PortRequest { key, wanted, host, requested_by });
        }
    }
    check_duplicate_pins(always.iter().chain(&debug), report);
    note_unused_numbers(spec, outer, &always, report);
    PortRequests { always, debug }
}

/// Returns the requests in run mode as the configuration files alone give them: without options, env
/// files and the environment. What is wrong with them was reported before.
pub(in crate::config) fn written_port_requests(
    spec: &StackSpec,
    sources: &[Arc<SourceFile>],
) -> Vec<PortRequest> {
    let (files, outer) = (EnvFileSet::default(), BTreeMap::new());
    let mut report = LoadReport::of_files(sources.to_vec());
    port_requests(spec, &files, &outer, &ConfigOverrides::default(), &mut report).always
}

fn command_line<'a>(
    spec: &'a StackSpec,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> BTreeMap<(&'a Name, &'a str), u16> {
    let mut pinned = BTreeMap::new();
    for (target, number) in &overrides.ports {
        let (name, port) = match target.split_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (target.as_str(), None),
        };
        let usage = |text: String| {
            DiagnosticBuilder::usage(format!("--port {}={number}: {text}", plain(target)))
        };
        let named = Name::new(name).map(|name| spec.services_named(&name)).unwrap_or_default();
        let named: Vec<_> = named.iter().filter_map(|name| spec.services.get(name)).collect();
        let Some(service) = named.first() else {
            let names = spec.services.keys().chain(spec.groups.keys()).map(Name::as_str);
            let all = || format!("available services: {}", join(names.clone(), ", "));
            let help = did_you_mean(name, names.clone(), all);
            report.error(usage(format!("unknown service {}", quote(name))).help(help));
            continue;
        };
        let found = match port {
            None => service.ports.first(),
            Some(port) => {
                let debugger = service.debug.iter().map(|debug| &debug.port);
                service.ports.iter().chain(debugger).find(|spec| spec.name == port)
            }
        };
        match (found, port) {
            (Some(found), _) => {
                for (offset, service) in (0..).zip(&named) {
                    let Some(number) = replica_port(*number, offset) else {
                        let help =
                            "use a smaller number: replicas use this port and the following ones";
                        let many = named.len();
                        let text = format!("no room for {many} replicas below port 65536");
                        report.error(usage(text).help(help));
                        break;
                    };
                    pinned.insert((&service.name, found.name.as_str()), number);
                }
            }
            (None, Some(port)) => {
                let names = service.ports.iter().map(|port| port.name.as_str());
                let help = did_you_mean(port, names, || format!("add it to `ports` of {name}"));
                let text = format!("service `{name}` has no port {}", quote(port));
                report.error(usage(text).help(help));
            }
            (None, None) => {
                let help = format!("set `port = \"auto\"` for {name} in the file");
                report.error(usage(format!("service `{name}` has no port")).help(help));
            }
        }
    }
    pinned
}

/// Returns a replica's number, given the first one's. 0 stays any; `None` if the range overflows.
fn replica_port(number: u16, offset: u16) -> Option<u16> {
    if number == 0 { Some(0) } else { number.checked_add(offset) }
}

/// One port and everything that can decide its number.
struct PortPrecedence<'a, 'r> {
    spec: &'a StackSpec,
    service: &'a ServiceSpec,
    port: &'a PortSpec,
    main: bool,
    is_primary: bool,
    policy: ConflictPolicy,
    book: &'a AddressBook<'a>,
    files: &'a EnvFileSet,
    outer: &'a BTreeMap<String, String>,
    report: &'r mut LoadReport,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PortText {
    /// A number; `None` means any.
    Port(Option<NonZeroU16>),
    Nothing,
    /// The address of something else, as in container links.
    Address,
    Bad,
}

impl PortPrecedence<'_, '_> {
    /// Returns the wanted number and its source.
    fn decide(&mut self, on_line: Option<u16>) -> (WantedPort, String) {
        if let Some(number) = on_line {
            return (WantedPort::pinned(NonZeroU16::new(number)), "--port".to_owned());
        }
        let own = self.own_variables(Name::clone);
        let general = (self.main && self.is_primary).then(|| (PORT.to_owned(), 0));
        for (variable, offset) in own.iter().chain(&general) {
            if let Some(number) = self.environment_number(variable, *offset) {
                return (WantedPort::pinned(number), variable.clone());
            }
        }
        let scope = self.spec.scope(self.service);
        let own = self.own_variables(|name| scope.local_name(name));
        if let Some((number, source)) = self.env_file_number(&own) {
            return (WantedPort::preferred(number, self.policy), source);
        }
        let source = match self.port.preset {
            Some(preset) => format!("preset {preset}"),
            None => self.report.shown(self.port.at.file).to_owned(),
        };
        let number = self.port.preferred.and_then(NonZeroU16::new);
        (WantedPort::preferred(number, self.policy), source)
    }

    /// Returns the variables for this port only, strongest first, each with the offset of this
    /// port: a variable for all replicas sets the port of the first. `called`: what services are
    /// called where the variables are.
    fn own_variables(&self, called: impl Fn(&Name) -> Name) -> Vec<(String, u16)> {
        let (name, offset) = (&self.service.name, self.service.port_offset());
        let default = |name: &Name| format!("{}_PORT", called(name).to_env_prefix());
        match (&self.port.env, &self.service.replicas) {
            (Some(variable), _) => vec![(variable.clone(), offset)],
            (None, _) if !self.main => Vec::new(),
            (None, ReplicaSpec::Member { group, .. }) => {
                vec![(default(name), 0), (default(group), offset)]
            }
            (None, ReplicaSpec::One | ReplicaSpec::Many(_)) => vec![(default(name), 0)],
        }
    }

    fn environment_number(&mut self, variable: &str, offset: u16) -> Option<Option<NonZeroU16>> {
        let value = self.outer.get(variable)?;
        let help = format!("unset {variable}, or set it to a number from 1 to 65535");
        self.interpret(variable, value, offset, None, help)
    }

    /// The number from env files and `env`, strongest first.
    fn env_file_number(&mut self, own: &[(String, u16)]) -> Option<(Option<NonZeroU16>, String)> {
        let layers = layers(self.spec, self.service, self.files);
        for (index, layer) in layers.iter().enumerate() {
            // `PORT` of a service applies to that service; of the stack, to the primary one.
            let means_this = match layer.kind {
                LayerKind::ServiceEnv | LayerKind::ServiceFile => self.main,
                LayerKind::StackEnv | LayerKind::StackFile => self.main && self.is_primary,
                LayerKind::Preset => false,
            };
            let own = own.iter().map(|(variable, offset)| (variable.as_str(), *offset));
            let port = means_this.then(|| (PORT, self.service.port_offset()));
            for (variable, offset) in own.chain(port) {
                let Some(at) = layer.place(variable) else { continue };
                let nothing = BTreeMap::new();
                let mut environment =
                    EnvResolver::new(self.book, layers.clone(), nothing, self.outer);
                let value = match environment.at(variable, index) {
                    Ok(value) => value.unwrap_or_default(),
                    Err(ExpandError::UnknownReference { at }) => {
                        let text = format!("`{variable}` cannot refer to another port");
                        let help = "set a number or remove it: this variable determines a port";
                        self.report.error_at(at, text, help);
                        continue;
                    }
                    // Reported when the environment is resolved.
                    Err(_) => continue,
                };
                let help = "use a number from 1 to 65535, or remove it".to_owned();
                if let Some(number) = self.interpret(variable, &value, offset, Some(at), help) {
                    return Some((number, self.report.shown(at.file).to_owned()));
                }
            }
        }
        None
    }

    /// Returns the number if the value has one. Otherwise notes or reports what is wrong.
    fn interpret(
        &mut self,
        variable: &str,
        value: &str,
        offset: u16,
        at: Option<Span>,
        help: String,
    ) -> Option<Option<NonZeroU16>> {
        match read(value) {
            PortText::Port(None) => Some(None),
            PortText::Port(Some(first)) => {
                let number = first.checked_add(offset);
                if number.is_none() {
                    let text = format!(
                        "{variable}={first} leaves no room for the replicas of {}",
                        self.service.written_name()
                    );
                    self.report.error_at(at, text, "use a smaller number");
                }
                number.map(Some)
            }
            PortText::Nothing => None,
            PortText::Address => {
                let status = match at {
                    Some(at) => format!("{variable} in {}", self.report.shown(at.file)),
                    None => format!("{variable}={}", plain(value)),
                };
                let text = format!("{status} is not a port number; ignored");
                let help = "unset it to silence this note; it looks like a container link";
                self.report.note(Message::new(MessageClass::Port, text).help(help));
                None
            }
            PortText::Bad => {
                let text = match at {
                    // A value in a file may be a misplaced password; the location is shown anyway.
                    Some(_) => format!("{variable} is not a valid port"),
                    None => format!("{variable}={} is not a valid port", plain(value)),
                };
                self.report.error_at(at, text, help);
                None
            }
        }
    }
}

pub(super) fn read(value: &str) -> PortText {
    let value = value.trim();
    if value.is_empty() {
        return PortText::Nothing;
    }
    if value.contains("://") {
        return PortText::Address;
    }
    if value == "auto" {
        return PortText::Port(None);
    }
    // Rust parses `+80`, other programs do not.
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return PortText::Bad;
    }
    match value.parse::<u16>() {
        Ok(number) => PortText::Port(NonZeroU16::new(number)),
        Err(_) => PortText::Bad,
    }
}

fn check_duplicate_pins<'a>(
    requests: impl Iterator<Item = &'a PortRequest>,
    report: &mut LoadReport,
) {
    let mut taken: BTreeMap<NonZeroU16, &PortRequest> = BTreeMap::new();
    for request in requests {
        let WantedPort::Pinned(number) = request.wanted else { continue };
        let Some(other) = taken.insert(number, request) else { continue };
        let text = format!(
            "{} and {} are both pinned to port {number}, by {} and {}",
            other.key.service, request.key.service, other.requested_by, request.requested_by
        );
        let help = "use another number for one of them, or 0 for any port";
        report.error_at(None, text, help);
    }
}

/// Escapes user text for a message, without quotes.
fn plain(text: &str) -> String {
    quote(text).trim_matches('`').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_ports() {
        for (text, reading) in [
            ("6000", PortText::Port(NonZeroU16::new(6000))),
            (" 6000 ", PortText::Port(NonZeroU16::new(6000))),
            ("0", PortText::Port(None)),
            ("auto", PortText::Port(None)),
            ("", PortText::Nothing),
            ("tcp://10.0.0.1:80", PortText::Address),
            ("65536", PortText::Bad),
            ("-1", PortText::Bad),
            ("+80", PortText::Bad),
            ("0x50", PortText::Bad),
            ("http", PortText::Bad),
        ] {
            assert_eq!(read(text), reading, "{text}");
        }
    }
}
