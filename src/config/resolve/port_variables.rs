//! Variables of ports that a service uses and does not get: a program would start with an empty
//! `--port`.

use std::collections::{BTreeMap, BTreeSet};

use super::port_requests::{PORT, PortText, read};
use crate::config::diagnostics::LoadReport;
use crate::config::env::{EnvFileSet, layers};
use crate::config::spec::{ReplicaSpec, ServiceSpec, StackSpec};
use crate::config::template::{Template, TemplatePart};
use crate::model::{Message, MessageClass, Name, PortRequest, ServiceKind};

const HOST: &str = "HOST";

/// Notes each such variable of a service once, before replicas are created.
pub(super) fn note_missing_ports(spec: &StackSpec, files: &EnvFileSet, report: &mut LoadReport) {
    let prefixes: BTreeMap<String, &ServiceSpec> =
        spec.services.values().map(|one| (one.name.to_env_prefix(), one)).collect();
    for service in spec.services.values() {
        let used: BTreeSet<&str> = service.templates().flat_map(variables).collect();
        if used.is_empty() {
            continue;
        }
        let layers = layers(spec, service, files);
        // Without a port, HOST is worth a note only if PORT is not there to be noted.
        let covered = |name: &str| name == HOST && used.contains(PORT);
        let own = |name: &str| layers.iter().any(|layer| layer.place(name).is_some());
        for name in used.iter().filter(|name| !covered(name) && !own(name)) {
            let scope = spec.scope(service).prefix.to_ascii_uppercase().replace('-', "_");
            if let Some(note) = missing_port(name, &scope, service, &prefixes) {
                report.note(note);
            }
        }
    }
}

/// Returns why the service does not get this variable, if it is one of a port. `scope`: what precedes
/// the names of services in its file.
fn missing_port(
    name: &str,
    scope: &str,
    service: &ServiceSpec,
    prefixes: &BTreeMap<String, &ServiceSpec>,
) -> Option<Message> {
    let own = &service.name;
    let note = |missing: String, help: String| {
        Message::new(MessageClass::Port, format!("{own} uses ${name}, but {missing}")).help(help)
    };
    if name == PORT || name == HOST {
        let missing = || note("has no `port`".to_owned(), how_to_get_a_port(service));
        return service.ports.is_empty().then(missing);
    }
    if let Some(port) = name.strip_prefix("PORT_") {
        let key = port.to_ascii_lowercase().replace('_', "-");
        let given = service.named_ports && service.ports.iter().any(|port| port.name == key);
        Name::new(&key).ok().filter(|_| !given)?;
        let help = format!("add `{key} = \"auto\"` to the `ports` of {own}");
        return Some(note(format!("has no port `{key}`"), help));
    }
    let field = name.strip_prefix("DEVSTACK_")?;
    let (prefix, _) =
        field.rsplit_once('_').filter(|(_, field)| matches!(*field, "HOST" | "PORT" | "URL"))?;
    let other = prefixes.get(&format!("{scope}{prefix}"))?;
    let target = &other.name;
    if !service.depends_on.contains_key(target) {
        let help = format!("add `depends_on = [\"{target}\"]` to {own}");
        return Some(note(format!("does not depend on {target}"), help));
    }
    let missing = other.ports.is_empty() && !field.ends_with("HOST");
    missing.then(|| note(format!("{target} has no `port`"), how_to_get_a_port(other)))
}

/// Returns how to give the service a main port.
pub(super) fn how_to_get_a_port(service: &ServiceSpec) -> String {
    let name = service.written_name();
    match service.kind {
        ServiceKind::Service => format!("add `port = 8000` or `port = \"auto\"` to {name}"),
        ServiceKind::Task => {
            format!("use `${{SERVICE.port}}` for the port of a service, or add a `port` to {name}")
        }
    }
}

/// Returns the variables that a text mentions, also in shell syntax.
fn variables(template: &Template) -> Vec<&str> {
    let mut found = Vec::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => found.extend(in_shell(text)),
            TemplatePart::Variable { name, .. } => found.push(name),
            TemplatePart::Service { .. } | TemplatePart::Stack { .. } => {}
        }
    }
    found
}

/// Returns the variables in a shell command that it does not set itself.
fn in_shell(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let before = move |at: usize| text[..at].rsplit(|c| !is_name(c)).next().unwrap_or_default();
    let set: BTreeSet<&str> = text.match_indices('=').map(|(at, _)| before(at)).collect();
    let mentioned = text.split('$').skip(1).map(move |rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.split(|c| !is_name(c)).next().unwrap_or_default()
    });
    let of_devstack =
        |name: &&str| *name == HOST || name.starts_with(PORT) || name.starts_with("DEVSTACK_");
    mentioned.filter(of_devstack).filter(move |name| !set.contains(name))
}

/// Notes numbers in devstack's own environment that would pin a port, and pin none.
pub(super) fn note_unused_numbers(
    spec: &StackSpec,
    outer: &BTreeMap<String, String>,
    requests: &[PortRequest],
    report: &mut LoadReport,
) {
    let number = |variable: &str| {
        let value = outer.get(variable)?;
        matches!(read(value), PortText::Port(Some(_))).then(|| value.trim().to_owned())
    };
    let mut note = |variable: &str, number: String, why: String, help: String| {
        let text = format!("{variable}={number} is ignored: {why}");
        report.note(Message::new(MessageClass::Port, text).help(help));
    };
    if let Some(number) = number(PORT)
        && !requests.iter().any(|request| request.requested_by == PORT)
    {
        let of_primary =
            requests.iter().find(|request| Some(&request.key.service) == spec.primary.as_ref());
        let help = match of_primary {
            Some(_) => format!("unset {PORT} to silence this note"),
            None => format!("add `port = {number}` to the service that it is for"),
        };
        let why = match of_primary {
            Some(request) => {
                format!("{} sets the port of {}", request.requested_by, request.key.service)
            }
            None => "no service has a `port`".to_owned(),
        };
        note(PORT, number, why, help);
    }
    let mut seen = BTreeSet::new();
    for service in spec.services.values().filter(|service| service.ports.is_empty()) {
        let name = match &service.replicas {
            ReplicaSpec::Member { group, .. } => group,
            ReplicaSpec::One | ReplicaSpec::Many(_) => &service.name,
        };
        let variable = format!("{}_{PORT}", name.to_env_prefix());
        if let Some(number) = number(&variable)
            && seen.insert(name)
        {
            let why = format!("{name} has no `port`");
            note(&variable, number, why, how_to_get_a_port(service));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_a_command_sets_itself_are_not_mentioned() {
        let found = |text| in_shell(text).collect::<Vec<&str>>();
        assert_eq!(found("PORT=1 x --port $PORT $HOST ${PORT_ADMIN:-1}"), ["HOST", "PORT_ADMIN"]);
        assert_eq!(found("MY_PORT=1 HOST= x $PORT $HOST $OTHER"), ["PORT"]);
        assert_eq!(found("x --PORT==$PORT =$HOST"), ["HOST"]);
    }

    #[test]
    fn a_command_of_a_megabyte_is_searched_in_one_pass() {
        let text = "$PORT ".repeat(170_000);
        assert_eq!(in_shell(&text).count(), 170_000);
    }
}
