use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::model::{ConflictPolicy, MessageClass, Name, ServiceKind};

use super::{ConfigChecker, in_order, nowhere, unknown_key_help};
use crate::config::diagnostics::{DiagnosticBuilder, Span, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{EnvFileSpec, ReplicaSpec, ServiceSpec, StackSpec, TemplateVars};

/// Maximum number of services: more than one machine runs, and few enough for every list.
const MAX_SERVICES: usize = 4096;

const DEFAULT_ENV_FILES: [&str; 2] = [".env", ".env.local"];

const DEFAULT_HOST: &str = "127.0.0.1";

/// Settings of `[stack]` that apply to every service.
#[derive(Debug, Clone)]
pub(super) struct StackDefaults {
    pub host: String,
    pub on_conflict: ConflictPolicy,
}

impl ConfigChecker<'_, '_> {
    pub(super) fn file(
        &mut self,
        file: &RawTable<'_>,
        first: Span,
        host: Option<&str>,
    ) -> Option<StackSpec> {
        self.unknown_file_keys(file);
        let empty = RawTable::new();
        let stack = file.get("stack").and_then(|entry| self.table("stack", &entry.node));
        let stack = stack.unwrap_or(&empty);
        self.unknown_keys(stack, misplaced::STACK, "[stack]", misplaced::suggest_stack_key);
        self.stack_name = self.name(stack);
        let defaults = StackDefaults {
            host: self.stack_host(stack, host),
            on_conflict: stack
                .get("on_conflict")
                .and_then(|entry| self.on_conflict(&entry.node))
                .unwrap_or(ConflictPolicy::Next),
        };
        let env = match stack.get("env") {
            Some(entry) => self.variables(&entry.node),
            None => TemplateVars::new(),
        };
        let env_files = match stack.get("env_file") {
            Some(entry) => self.env_files(&entry.node),
            None => self.default_env_files(),
        };
        let live = stack.get("live").and_then(|entry| self.boolean("live", &entry.node));
        let logs = self.logs(stack);
        let services = self.all_services(file, first, &defaults)?;
        let primary = self.primary(&services);
        let (name, dir) = (self.stack_name.clone(), self.dir.to_owned());
        let services =
            services.into_iter().map(|service| (service.name.clone(), service)).collect();
        let groups = BTreeMap::new();
        let live = live.unwrap_or(true);
        Some(StackSpec { name, dir, env, env_files, services, groups, primary, live, logs })
    }

    /// Reports unknown keys at the top level; a table with a command is a misplaced service.
    fn unknown_file_keys(&mut self, file: &RawTable<'_>) {
        for (key, entry) in file {
            if misplaced::has(misplaced::FILE, key) {
                continue;
            }
            let text = format!("unknown top-level key {}", quote(key));
            if self.report.is_full() {
                // The report is full, so looking for a suggestion is wasted time.
                self.error(DiagnosticBuilder::at(entry.key, text));
                continue;
            }
            let is_service = match &entry.node.value {
                RawValue::Table(table) => {
                    table.contains_key("command") || table.contains_key("preset")
                }
                _ => false,
            };
            let help = if is_service {
                format!("put services under `services`: [services.{key}]")
            } else {
                unknown_key_help(key, misplaced::FILE, misplaced::suggest_stack_key)
            };
            self.error(DiagnosticBuilder::at(entry.key, text).help(help));
        }
    }

    fn name(&mut self, stack: &RawTable<'_>) -> String {
        let directory = slug(self.dir);
        let Some(entry) = stack.get("name") else { return directory };
        let Some(name) = self.text("name", &entry.node) else { return directory };
        match Name::new(name) {
            Ok(name) => name.to_string(),
            Err(bad) => {
                let text = format!("invalid name {}", quote(name));
                self.error(DiagnosticBuilder::at(entry.node.at, text).help(bad.to_string()));
                directory
            }
        }
    }

    fn stack_host(&mut self, stack: &RawTable<'_>, host: Option<&str>) -> String {
        let written = stack.get("host").and_then(|entry| self.host(&entry.node));
        let Some(host) = host else {
            return written.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        };
        match normalize_host(host) {
            Some(host) => host,
            None => {
                let text = format!("invalid address `--host {}`", quote(host).trim_matches('`'));
                let fault = DiagnosticBuilder::without_span(MessageClass::Usage, text);
                self.error(fault.help("use an IP address such as 0.0.0.0, or localhost"));
                DEFAULT_HOST.to_owned()
            }
        }
    }

    pub(super) fn host(&mut self, node: &SpannedValue<'_>) -> Option<String> {
        let host = self.text("host", node)?;
        if let Some(host) = normalize_host(host) {
            return Some(host);
        }
        let text = format!("invalid address {}", quote(host));
        let help = "use an IP address such as \"127.0.0.1\" or \"::1\", or \"localhost\"";
        self.error(DiagnosticBuilder::at(node.at, text).help(help));
        None
    }

    fn default_env_files(&self) -> Vec<EnvFileSpec> {
        let file = |name| EnvFileSpec { path: self.dir.join(name), optional: true, at: None };
        DEFAULT_ENV_FILES.into_iter().map(file).collect()
    }

    /// Returns the services that can be checked further, in the order of the file.
    fn all_services(
        &mut self,
        file: &RawTable<'_>,
        first: Span,
        defaults: &StackDefaults,
    ) -> Option<Vec<ServiceSpec>> {
        let help = "add a service: [services.web], followed by command = \"…\"";
        let Some(entry) = file.get("services") else {
            if !file.keys().any(|key| key != "stack") {
                let text =
                    if file.is_empty() { "the file is empty" } else { "no services defined" };
                self.error(DiagnosticBuilder::at(first, text).help(help));
            }
            return None;
        };
        let table = self.table("services", &entry.node)?;
        if table.is_empty() {
            self.error(DiagnosticBuilder::at(entry.key, "no services defined").help(help));
            return None;
        }
        if table.len() > MAX_SERVICES {
            let text = format!("too many services: {}", table.len());
            let help = format!("use at most {MAX_SERVICES}");
            self.error(DiagnosticBuilder::at(entry.key, text).help(help));
            return None;
        }
        let mut services = Vec::with_capacity(table.len());
        for (name, entry) in in_order(table) {
            let Ok(checked) = Name::new(name) else {
                let text = format!("invalid service name {}", quote(name));
                let help = match Name::new(&slug_of(name)) {
                    Ok(slug) => format!("use `{slug}`: a-z, 0-9 and `-`, at most 63 characters"),
                    Err(bad) => bad.to_string(),
                };
                self.error(DiagnosticBuilder::at(entry.key, text).help(help));
                continue;
            };
            services.extend(self.service(checked, entry, defaults));
        }
        let each = |service: &ServiceSpec| match service.replicas {
            ReplicaSpec::Many(of) => usize::from(of),
            ReplicaSpec::One | ReplicaSpec::Member { .. } => 1,
        };
        let all: usize = services.iter().map(each).sum();
        if all > MAX_SERVICES {
            let text = format!("too many services: {all}");
            let help = format!("use at most {MAX_SERVICES}, including replicas");
            self.error(DiagnosticBuilder::at(entry.key, text).help(help));
            return None;
        }
        Some(services)
    }

    /// The service that an outer `PORT` sets: marked as primary, or the first non-task with a port.
    fn primary(&mut self, services: &[ServiceSpec]) -> Option<Name> {
        let mut chosen: Option<(Name, Span)> = None;
        for service in services {
            let Some(RawValue::Table(table)) =
                self.services.get(service.name.as_str()).map(|entry| &entry.node.value)
            else {
                continue;
            };
            let Some(node) = table.get("primary").map(|entry| &entry.node) else { continue };
            if node.value != RawValue::Boolean(true) {
                continue;
            }
            if service.ports.is_empty() {
                let text = format!("{} is primary but has no port", service.name);
                self.error(DiagnosticBuilder::at(node.at, text).help("set `port = \"auto\"`"));
            }
            match &chosen {
                Some((other, at)) => {
                    let text = format!("{other} and {} are both primary", service.name);
                    let fault =
                        DiagnosticBuilder::at(node.at, text).secondary(*at, "first set here");
                    self.error(
                        fault.help("keep one: an inherited `PORT` can apply to only one service"),
                    );
                }
                None => chosen = Some((service.name.clone(), node.at)),
            }
        }
        let first = || {
            let with_port =
                |s: &&ServiceSpec| s.kind == ServiceKind::Service && !s.ports.is_empty();
            services.iter().find(with_port).map(|service| service.name.clone())
        };
        chosen.map(|(name, _)| name).or_else(first)
    }

    pub(super) fn check_keys(
        &mut self,
        table: &RawTable<'_>,
        known: &[misplaced::SchemaKey],
        what: &str,
    ) {
        self.unknown_keys(table, known, what, nowhere);
    }
}

/// Normalizes a host: `localhost`, or an IP address in canonical form.
fn normalize_host(host: &str) -> Option<String> {
    if host == "localhost" {
        return Some(host.to_owned());
    }
    host.parse::<IpAddr>().ok().map(|address| address.to_string())
}

/// Turns a directory name into a slug; `stack` if nothing is left.
fn slug(dir: &Path) -> String {
    let name = dir.file_name().map(|name| slug_of(&name.to_string_lossy())).unwrap_or_default();
    if name.is_empty() { "stack".to_owned() } else { name }
}

/// Returns lower-case text with `-` for each run of other characters, cut to the length of a name.
fn slug_of(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if slug.len() >= Name::MAX {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_slugs() {
        for (dir, name) in [
            ("/home/u/shop", "shop"),
            ("/home/u/My Shop (2)", "my-shop-2"),
            ("/home/u/übung", "bung"),
            ("/home/u/...", "stack"),
            ("/", "stack"),
        ] {
            assert_eq!(slug(Path::new(dir)), name, "{dir}");
        }
        assert_eq!(slug_of(&"x-".repeat(100)).len(), 63);
    }
}
