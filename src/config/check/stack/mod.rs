pub(in crate::config) mod logs;
pub(in crate::config) mod proxy;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::model::{ConflictPolicy, ContainerEngine, InvalidName, Name};

use crate::config::check::{ConfigChecker, in_order, unknown_key_help};
use crate::config::diagnostics::{DiagnosticBuilder, Span, quote};
use crate::config::parse::{MAX_SERVICES, RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{EnvFileSpec, ReplicaSpec, ScopeSpec, ServiceSpec, StackSpec};

/// Of all replicas together as written, in bytes: twice what a file can hold without them.
const MAX_COPIED: usize = 2 * 1024 * 1024;

const DEFAULT_ENV_FILES: [&str; 2] = [".env", ".env.local"];

const DEFAULT_HOST: &str = "127.0.0.1";

/// Settings of `[stack]` that apply to every service.
#[derive(Debug, Clone)]
pub(super) struct StackDefaults {
    pub host: String,
    pub on_conflict: ConflictPolicy,
    /// The engine for containers; `None`: any.
    pub engine: Option<ContainerEngine>,
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
        let stack = self.get(file, "stack", Self::table).unwrap_or(&empty);
        self.unknown_keys(stack, misplaced::STACK, "[stack]", misplaced::suggest_stack_key);
        // Read by the loader.
        self.get(file, "include", Self::includes);
        // Of the main file, it is the name of the stack already.
        self.get(stack, "name", Self::name);
        let defaults = StackDefaults {
            host: self.stack_host(stack, host),
            on_conflict: self
                .get(stack, "on_conflict", Self::on_conflict)
                .unwrap_or(ConflictPolicy::Next),
            engine: self.get(stack, "engine", Self::engine).flatten(),
        };
        let env = self.get(stack, "env", Self::variables).unwrap_or_default();
        let env_files = self.get(stack, "env_file", Self::env_files);
        let env_files = env_files.unwrap_or_else(|| self.default_env_files());
        let live = self.get(stack, "live", Self::boolean).unwrap_or(true);
        let logs = self.get(stack, "logs", Self::logs).unwrap_or_default();
        let proxy = self.stack_proxy(stack);
        let services = self.all_services(file, first, &defaults)?;
        let primary = self.primary(&services);
        let (name, dir) = (self.stack_name.clone(), self.dir.to_owned());
        let included = self.names.included.values().map(|service| service.name.clone());
        let visible = services.iter().map(|service| service.name.clone()).chain(included).collect();
        let prefix = self.names.prefix.clone();
        let scope = ScopeSpec { dir: dir.clone(), prefix, visible, env, env_files };
        let mut services =
            services.into_iter().map(|service| (service.name.clone(), service)).collect();
        self.services_elsewhere(&defaults, &mut services);
        let groups = BTreeMap::new();
        let domain = format!("{name}.localhost");
        Some(StackSpec {
            name,
            dir,
            scopes: vec![scope],
            services,
            groups,
            primary,
            live,
            logs,
            engine: defaults.engine,
            proxy,
            domain,
        })
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
                    ["command", "preset", "image"].iter().any(|key| table.contains_key(*key))
                }
                _ => false,
            };
            let help = if is_service {
                format!("put services under `services`: [services.{key}]")
            } else {
                unknown_key_help(key, misplaced::FILE, misplaced::suggest_stack_key)
            };
            self.error_at(entry.key, text, help);
        }
    }

    pub(super) fn name(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Name> {
        let name = self.text(key, node)?;
        match Name::new(name) {
            Ok(name) => Some(name),
            Err(bad) => {
                self.reject(node.at, format!("invalid name {}", quote(name)), bad.to_string())
            }
        }
    }

    fn stack_host(&mut self, stack: &RawTable<'_>, host: Option<&str>) -> String {
        let written = self.get(stack, "host", Self::host);
        let chosen = match host {
            None => written,
            Some(host) => normalize_host(host).or_else(|| {
                let text = format!("invalid address `--host {}`", quote(host).trim_matches('`'));
                let fault = DiagnosticBuilder::usage(text);
                self.error(fault.help("use an IP address such as 0.0.0.0, or localhost"));
                None
            }),
        };
        chosen.unwrap_or_else(|| DEFAULT_HOST.to_owned())
    }

    pub(super) fn host(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<String> {
        let host = self.text(key, node)?;
        normalize_host(host).or_else(|| {
            let help = "use an IP address such as \"127.0.0.1\" or \"::1\", or \"localhost\"";
            self.reject(node.at, format!("invalid address {}", quote(host)), help)
        })
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
            if file.contains_key("include") {
                return Some(Vec::new());
            }
            if !file.keys().any(|key| key != "stack") {
                let text =
                    if file.is_empty() { "the file is empty" } else { "no services defined" };
                self.error_at(first, text, help);
            }
            return None;
        };
        let table = self.table("services", &entry.node)?;
        if table.is_empty() {
            return self.reject(entry.key, "no services defined", help);
        }
        if table.len() > MAX_SERVICES {
            let text = format!("too many services: {}", table.len());
            return self.reject(entry.key, text, format!("use at most {MAX_SERVICES}"));
        }
        let mut services = Vec::with_capacity(table.len());
        for (name, entry) in in_order(table) {
            let Ok(local) = Name::new(name) else {
                let text = format!("invalid service name {}", quote(name));
                let help = match Name::nearest(name) {
                    Some(near) => format!("use `{near}`: a-z, 0-9 and `-`, at most 63 characters"),
                    None => InvalidName.to_string(),
                };
                self.error_at(entry.key, text, help);
                continue;
            };
            match Name::new(&format!("{}{local}", self.names.prefix)) {
                Ok(name) => services.extend(self.service(name, entry, defaults)),
                Err(bad) => {
                    let text = format!("service name `{}{local}` is too long", self.names.prefix);
                    self.error_at(entry.key, text, bad.to_string());
                }
            }
        }
        let all: usize = services.iter().map(copies).sum();
        if all > MAX_SERVICES {
            let text = format!("too many services: {all}");
            let help = format!("use at most {MAX_SERVICES}, including replicas");
            return self.reject(entry.key, text, help);
        }
        if let Some(at) = self.too_large(&services) {
            let text = "the replicas of all services are too large together";
            let help =
                "shorten this service or reduce its `replicas`: the limit is 2 MiB for all copies";
            self.error(DiagnosticBuilder::at(at, text).help(help));
            return None;
        }
        Some(services)
    }

    /// The service that an outer `PORT` sets: marked as primary, or the first non-task with a port.
    fn primary(&mut self, services: &[ServiceSpec]) -> Option<Name> {
        let mut chosen: Option<(Name, Span)> = None;
        for service in services {
            let Some(RawValue::Table(table)) =
                self.services.get(self.names.local(&service.name)).map(|entry| &entry.node.value)
            else {
                continue;
            };
            let Some(node) = table.get("primary").map(|entry| &entry.node) else { continue };
            if node.value != RawValue::Boolean(true) {
                continue;
            }
            if service.ports.is_empty() {
                let text = format!("{} is primary but has no port", service.name);
                self.error_at(node.at, text, "set `port = \"auto\"`");
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
            services
                .iter()
                .find(|service| service.serves_port())
                .map(|service| service.name.clone())
        };
        chosen.map(|(name, _)| name).or_else(first)
    }

    /// Returns the service whose replicas are the largest if all replicas together are too large.
    fn too_large(&self, checked: &[ServiceSpec]) -> Option<Span> {
        let size = |service: &ServiceSpec| {
            let node = &self.services.get(self.names.local(&service.name))?.node;
            let copies = Some(copies(service)).filter(|copies| *copies > 1)?;
            Some((copies * node.value.written_size(node.at), service.at))
        };
        let sizes: Vec<(usize, Span)> = checked.iter().filter_map(size).collect();
        let total: usize = sizes.iter().map(|(size, _)| size).sum();
        sizes.into_iter().max().filter(|_| total > MAX_COPIED).map(|(_, at)| at)
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
pub(super) fn slug(dir: &Path) -> String {
    let name = dir.file_name().and_then(|name| Name::nearest(&name.to_string_lossy()));
    name.map_or_else(|| "stack".to_owned(), String::from)
}

fn copies(service: &ServiceSpec) -> usize {
    match service.replicas {
        ReplicaSpec::Many(of) => usize::from(of),
        ReplicaSpec::One | ReplicaSpec::Member { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_slugs() {
        for (dir, name) in [
            ("/home/u/shop", "shop"),
            ("/home/u/My Shop (2)", "my-shop-2"),
            ("/home/u/übung", "bung"),
            ("/home/u/...", "stack"),
            ("/", "stack"),
        ] {
            assert_eq!(slug(Path::new(dir)), name, "{dir}");
        }
        assert_eq!(slug(Path::new(&"x-".repeat(100))).len(), 63);
    }
}
