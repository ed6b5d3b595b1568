//! From a checked service and its chosen ports to a [`crate::model::Service`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{
    AcceptedStatus, AssignedPort, CommandLine, ContainerConfig, DEBUG_HOST, DEBUG_PORT,
    DebugTarget, ImageSource, LaunchConfig, LazyConfig, ModeView, Name, PortKey, Probe,
    RedactedText, RunMode, SERVICE_VAR, Service, ServiceAction, WatchAction, WatchConfig,
    host_port,
};

use super::address_book::{AddressBook, Viewpoint};
use super::bind_hints::bind_hints;
use super::{debug_target, references};
use crate::config::env::{EnvFileSet, EnvResolver, layers};
use crate::config::spec::{
    CommandSpec, HttpTarget, PortSpec, ProbeSpec, ReplicaSpec, ServiceSpec, StackSpec,
};
use crate::config::template::{ExpandError, ServiceField, Template, TemplatePart, expand};

/// Where a program in a container must listen to be reached.
const ANY_ADDRESS: &str = "0.0.0.0";

#[derive(Clone, Copy)]
pub(crate) struct ServiceBuilder<'a> {
    pub spec: &'a StackSpec,
    pub files: &'a EnvFileSet,
    pub outer: &'a BTreeMap<String, String>,
    pub book: &'a AddressBook<'a>,
    pub ports: &'a BTreeMap<PortKey, AssignedPort>,
}

pub(crate) struct BuiltService {
    pub service: Service,
    pub troubles: Vec<ExpandError>,
    /// Variables to suggest for an unknown one; empty if there are no errors.
    pub names: Vec<String>,
    /// The size of all texts but the environment, in bytes.
    pub texts: usize,
}

impl ServiceBuilder<'_> {
    /// Builds the service. Texts that cannot be expanded are left empty and reported.
    ///
    /// `debugged`: use debug mode, if the service has a `debug` entry.
    pub fn build(&self, spec: &ServiceSpec, debugged: bool) -> BuiltService {
        let debug = spec.debug.as_ref();
        let mode = self.mode(spec, debugged);
        let mut environment = self.environment_in(spec, mode);
        let (env, mut troubles) = environment.all();
        let in_env = environment.expanded();
        let mut texts = TextExpander { environment: &mut environment, troubles: &mut troubles };
        let command = match mode {
            RunMode::Run => &spec.command,
            RunMode::Debug(_) => debug.and_then(|d| d.command.as_ref()).unwrap_or(&spec.command),
        };
        let command = texts.command(command);
        let container = spec.container.as_ref().map(|it| it.map(|text| texts.expanded(text)));
        let description = spec.description.as_ref().map(|text| texts.outside(text));
        let stop = spec.stop.map(|command| texts.command(command));
        let watch = spec.watch.iter().map(|watch| texts.watch(watch)).collect();
        let actions =
            spec.actions.iter().map(|(name, action)| (name.clone(), texts.action(action)));
        let actions = actions.collect();
        let watch = with_image_build(watch, container.as_ref());
        let mut probes = |probes: &[_]| self.probes(spec, probes, &mut texts);
        let ready = spec.ready.map(&mut probes);
        let health = spec.health.as_ref().map(|health| health.map(&mut probes));
        let names = match troubles.is_empty() {
            true => Vec::new(),
            false => environment.names().into_iter().map(str::to_owned).collect(),
        };
        let texts = environment.expanded() - in_env;
        let advice = bind_hints(&command, spec.preset).filter(|_| container.is_none());
        let service = Service {
            name: spec.name.clone(),
            kind: spec.kind,
            mode,
            debug: debug.map(|debug| debug_target::debug_config(spec, debug)),
            launch: LaunchConfig {
                command,
                container,
                dir: spec.dir.clone(),
                env,
                host: spec.host.clone(),
                requires: spec.needs.clone(),
            },
            ports: self.ports(spec, mode),
            socket_activated: activated_port_names(spec),
            depends_on: self.depends_on(spec),
            ready,
            health,
            restart: spec.restart.clone(),
            success_codes: spec.success_codes.clone(),
            stop,
            watch,
            tty: spec.tty,
            autostart: spec.autostart,
            lazy: spec.lazy.as_ref().map(|lazy| LazyConfig { idle: lazy.idle }),
            on_exit: spec.on_exit,
            color: spec.color,
            description,
            url_form: spec.url_form.clone(),
            advice,
            proxy: spec.proxy.clone(),
            actions,
        };
        BuiltService { service, troubles, names, texts }
    }

    pub fn environment<'b>(&'b self, spec: &'b ServiceSpec, debugged: bool) -> EnvResolver<'b> {
        self.environment_in(spec, self.mode(spec, debugged))
    }

    fn environment_in<'b>(&'b self, spec: &'b ServiceSpec, mode: RunMode) -> EnvResolver<'b> {
        let layers = layers(self.spec, spec, self.files);
        EnvResolver::new(self.book, layers, self.injected_variables(spec, mode), self.outer)
            .for_service(self.spec, spec)
    }

    /// Returns the variables that devstack itself sets for a service.
    fn injected_variables(&self, spec: &ServiceSpec, mode: RunMode) -> BTreeMap<String, String> {
        let mut set = BTreeMap::new();
        let mut put = |name: String, value: String| {
            set.insert(name, value);
        };
        let inside = spec.container.as_ref().map(|container| &container.inside_ports);
        let here = |name: &str, outside: u16| {
            inside.and_then(|ports| ports.get(name)).copied().unwrap_or(outside)
        };
        let from = Viewpoint::of(spec);
        let ports = self.book.ports(spec.name.as_str()).iter();
        let ports: Vec<_> = ports.map(|(name, number)| (*name, here(name, *number))).collect();
        if let Some((_, number)) = ports.first() {
            put("PORT".to_owned(), number.to_string());
        }
        if spec.named_ports {
            for (name, number) in ports {
                let name = name.to_ascii_uppercase().replace('-', "_");
                put(format!("PORT_{name}"), number.to_string());
            }
        }
        let any_address = inside.map(|_| ANY_ADDRESS.to_owned());
        put("HOST".to_owned(), any_address.clone().unwrap_or_else(|| spec.host.clone()));
        put("DEVSTACK_STACK".to_owned(), self.spec.name.clone());
        put(SERVICE_VAR.to_owned(), spec.name.to_string());
        put("DEVSTACK_MODE".to_owned(), ModeView::from(mode).to_string());
        if let RunMode::Debug(debugging) = mode {
            put("DEBUG_HOST".to_owned(), any_address.unwrap_or_else(|| DEBUG_HOST.to_owned()));
            put("DEBUG_PORT".to_owned(), here(DEBUG_PORT, debugging.port).to_string());
            let wait = if debugging.waits_for_debugger { "1" } else { "" };
            put("DEBUG_WAIT".to_owned(), wait.to_owned());
        }
        if let ReplicaSpec::Member { number, .. } = spec.replicas {
            put("DEVSTACK_REPLICA".to_owned(), number.to_string());
        }
        let whole = |names: &[Name]| names.iter().all(|name| spec.depends_on.contains_key(name));
        let groups = self.spec.groups.iter().filter(|(_, names)| whole(names));
        for name in spec.depends_on.keys().chain(groups.map(|(name, _)| name)) {
            // The file calls it by this name.
            let variable = self.spec.scope(spec).local_name(name).to_env_prefix();
            let fields = [
                ("HOST", ServiceField::Host),
                ("PORT", ServiceField::Port(None)),
                ("URL", ServiceField::Url),
            ];
            let served = self.spec.services_named(name);
            let served = served.first().and_then(|name| self.spec.services.get(name));
            let origin = served.filter(|one| one.proxy.is_some());
            let origin = origin.map(|_| ("ORIGIN", ServiceField::Origin));
            for (suffix, field) in fields.into_iter().chain(origin) {
                if let Some(value) = self.book.service(name.as_str(), &field, from) {
                    put(format!("DEVSTACK_{variable}_{suffix}"), value);
                }
            }
        }
        set
    }

    fn mode(&self, spec: &ServiceSpec, debugged: bool) -> RunMode {
        let Some(debug) = spec.debug.as_ref().filter(|_| debugged) else { return RunMode::Run };
        RunMode::Debug(DebugTarget {
            port: self.port(spec, &debug.port).number,
            debugger: debug_target::detect_debugger(spec, debug),
            waits_for_debugger: debug.waits,
        })
    }

    fn ports(&self, spec: &ServiceSpec, mode: RunMode) -> Vec<AssignedPort> {
        let debugger = spec.debug.iter().filter(|_| mode.is_debug()).map(|debug| &debug.port);
        let inner = spec.lazy.iter().map(|lazy| &lazy.inner);
        spec.ports.iter().chain(inner).chain(debugger).map(|port| self.port(spec, port)).collect()
    }

    fn port(&self, spec: &ServiceSpec, port: &PortSpec) -> AssignedPort {
        let chosen = self.ports.get(&PortKey::new(&spec.name, &port.name)).cloned();
        chosen.unwrap_or_else(|| AssignedPort {
            name: port.name.clone(),
            number: port.preferred.unwrap_or(1),
            wanted: port.preferred,
            pinned: false,
            moved: None,
        })
    }

    fn depends_on(&self, spec: &ServiceSpec) -> BTreeMap<Name, crate::model::Condition> {
        let condition = |(name, dependency): (&Name, &crate::config::spec::DependencySpec)| {
            let target = self.spec.services.get(name)?;
            Some((name.clone(), references::default_condition(target, dependency)))
        };
        spec.depends_on.iter().filter_map(condition).collect()
    }

    fn probes(
        &self,
        spec: &ServiceSpec,
        probes: &[ProbeSpec],
        texts: &mut TextExpander<'_, '_>,
    ) -> Vec<Probe> {
        probes.iter().map(|probe| self.probe(spec, probe, texts)).collect()
    }

    fn probe(
        &self,
        spec: &ServiceSpec,
        probe: &ProbeSpec,
        texts: &mut TextExpander<'_, '_>,
    ) -> Probe {
        let own = |name: &str| self.book.port(spec.name.as_str(), name).unwrap_or(1);
        let outside = |number: u16| {
            let mut inside = spec.container.iter().flat_map(|container| &container.inside_ports);
            inside.find(|(_, inside)| **inside == number).map_or(number, |(name, _)| own(name))
        };
        match probe {
            ProbeSpec::OwnTcp(name) => Probe::Tcp { port: own(name) },
            ProbeSpec::OwnAnswer(name) => {
                let port = own(name);
                let url = format!("http://{}/", host_port(&spec.host, port));
                let status = AcceptedStatus::Any;
                Probe::Http { url, status, insecure: false, own_port: Some(port) }
            }
            ProbeSpec::Tcp(port) => Probe::Tcp { port: outside(*port) },
            ProbeSpec::Http(http) => {
                let scheme = if http.https { "https" } else { "http" };
                let at = |port| format!("{scheme}://{}", host_port(&spec.host, port));
                let (url, own_port) = match &http.target {
                    HttpTarget::OwnPort { port, path } => {
                        let port = own(port);
                        (at(port) + &texts.outside(path), Some(port))
                    }
                    HttpTarget::Port { port, path } => {
                        let url = at(outside(*port)) + &texts.outside(path);
                        let own_port = self.own_port(spec, &url);
                        (url, own_port)
                    }
                    HttpTarget::Url(text) => {
                        let url = texts.outside(text);
                        let own_port = self.own_port(spec, &url);
                        (url, own_port)
                    }
                };
                Probe::Http { url, status: http.status.clone(), insecure: http.insecure, own_port }
            }
            ProbeSpec::Log(text) => Probe::Log { pattern: texts.pattern(text) },
            ProbeSpec::Exec(command) => Probe::Exec { command: texts.command(command) },
            ProbeSpec::Delay(delay) => Probe::Delay { delay: *delay },
            ProbeSpec::Notify => Probe::Notify,
            ProbeSpec::Healthcheck { optional } => Probe::Healthcheck { optional: *optional },
        }
    }

    /// Returns the port of a URL if it is a local port of this service.
    fn own_port(&self, spec: &ServiceSpec, url: &str) -> Option<u16> {
        let (host, port) = parse_http_authority(url)?;
        let loopback = host == "localhost"
            || host == spec.host
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let ports = self.book.ports(spec.name.as_str());
        (loopback && ports.iter().any(|(_, number)| *number == port)).then_some(port)
    }
}

fn activated_port_names(spec: &ServiceSpec) -> Vec<String> {
    spec.ports.iter().filter(|port| port.socket_activation).map(|port| port.name.clone()).collect()
}

/// Returns host and port of an `http://` or `https://` URL, or `None` for a URL that cannot be probed.
pub(super) fn parse_http_authority(url: &str) -> Option<(&str, u16)> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) || !url.is_ascii() {
        return None;
    }
    let (rest, usual) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://")?, 80),
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<IpAddr>().ok()?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => usual,
        None => return None,
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

/// Expands texts and collects the errors.
struct TextExpander<'e, 'a> {
    environment: &'e mut EnvResolver<'a>,
    troubles: &'e mut Vec<ExpandError>,
}

impl TextExpander<'_, '_> {
    fn text(&mut self, template: &Template) -> String {
        let text = self.environment.expand(template);
        self.or_empty(text)
    }

    fn or_empty(&mut self, text: Result<String, ExpandError>) -> String {
        text.unwrap_or_else(|trouble| {
            self.troubles.push(trouble);
            String::new()
        })
    }

    /// Expands a text that is used on this machine, wherever the service runs.
    fn outside(&mut self, template: &Template) -> String {
        let text = self.environment.expand_outside(template);
        self.or_empty(text)
    }

    fn expanded(&mut self, template: &Template) -> RedactedText {
        RedactedText::new(self.text(template), self.environment.redacted(template))
    }

    fn command(&mut self, command: &CommandSpec) -> CommandLine {
        match command {
            CommandSpec::Shell(text) => CommandLine::Shell(self.text(text)),
            CommandSpec::Exec(words) => {
                CommandLine::Exec(words.iter().map(|word| self.expanded(word)).collect())
            }
        }
    }

    fn action(&mut self, action: &ServiceAction<CommandSpec>) -> ServiceAction {
        ServiceAction {
            command: self.command(&action.command),
            help: action.help.clone(),
            args: action.args.clone(),
            parallel: action.parallel,
        }
    }

    fn watch(&mut self, watch: &WatchConfig<CommandSpec>) -> WatchConfig {
        let action = match &watch.action {
            WatchAction::Restart { build } => {
                WatchAction::Restart { build: build.as_ref().map(|command| self.command(command)) }
            }
            WatchAction::Signal(number) => WatchAction::Signal(*number),
            WatchAction::Run(command) => WatchAction::Run(self.command(command)),
        };
        WatchConfig {
            root: watch.root.clone(),
            optional: watch.optional,
            include: watch.include.clone(),
            exclude: watch.exclude.clone(),
            reloaded: watch.reloaded.clone(),
            debounce: watch.debounce,
            poll: watch.poll,
            action,
        }
    }

    /// Expands a regular expression; substituted values are escaped.
    fn pattern(&mut self, template: &Template) -> String {
        let mut pattern = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Text(text) => pattern.push_str(text),
                TemplatePart::Service { .. }
                | TemplatePart::Stack { .. }
                | TemplatePart::Variable { .. } => {
                    let part = std::slice::from_ref(part);
                    match expand(part, template.at, self.environment) {
                        Ok(text) => pattern.push_str(&regex::escape(&text)),
                        Err(trouble) => self.troubles.push(trouble),
                    }
                }
            }
        }
        pattern
    }
}

/// A change builds the image first: one that cannot be built replaces nothing.
fn with_image_build(
    mut watches: Vec<WatchConfig>,
    container: Option<&ContainerConfig>,
) -> Vec<WatchConfig> {
    let Some(ImageSource::Build(image)) = container.map(|it| &it.source) else { return watches };
    for watch in &mut watches {
        if let WatchAction::Restart { build: build @ None } = &mut watch.action {
            *build = Some(image.label());
        }
    }
    watches
}

#[cfg(test)]
mod tests {
    use super::parse_http_authority;

    #[test]
    fn urls_have_a_host_and_a_port() {
        assert_eq!(parse_http_authority("http://localhost:80/x"), Some(("localhost", 80)));
        assert_eq!(parse_http_authority("http://example.org"), Some(("example.org", 80)));
        assert_eq!(parse_http_authority("https://example.org/"), Some(("example.org", 443)));
        assert_eq!(parse_http_authority("http://[::1]:5000?x"), Some(("::1", 5000)));
        for bad in [
            "", "/x", "ftp://a", "http://", "http://:80", "http://a:0", "http://a:70000",
            "http://a b/", "http://[x]:1", "http://u@h/", "http://a:b",
        ] {
            assert_eq!(parse_http_authority(bad), None, "{bad}");
        }
    }
}
