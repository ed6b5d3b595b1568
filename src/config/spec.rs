//! The checked configuration, before ports are chosen and references expanded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::check::host_system::HostSystem;
use crate::model::{
    AcceptedStatus, Condition, ConflictPolicy, ContainerConfig, ContainerEngine, DirMove,
    HealthConfig, HttpsUse, LabelColor, LogRetention, Name, OnExit, ReadyConfig, RequiredPrograms,
    RestartConfig, ServiceActions, ServiceKind, ServiceProxy, StopConfig, TtyMode, UrlFormat,
    WatchConfig, resolve_name,
};

use crate::presets::Preset;

use super::diagnostics::Span;
use super::template::Template;

/// Variables as written, by name.
pub(super) type TemplateVars = BTreeMap<String, Template>;

#[derive(Debug, Clone)]
pub(crate) struct StackSpec {
    pub name: String,
    pub dir: PathBuf,
    /// One for each file with services. The last one is that of the main file.
    pub scopes: Vec<ScopeSpec>,
    pub services: BTreeMap<Name, ServiceSpec>,
    /// Replicas by group name, once they are created.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// The service that an outer `PORT` applies to.
    pub primary: Option<Name>,
    /// Whether edits are applied while the stack runs.
    pub live: bool,
    pub logs: LogRetention,
    /// The engine for containers; `None`: any.
    pub engine: Option<ContainerEngine>,
    /// How the proxy serves it; `None`: not at all.
    pub proxy: Option<ProxySpec>,
    /// What the names of the stack end in, unless another stack has the same.
    pub domain: String,
}

/// The table `[stack.proxy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProxySpec {
    pub https: HttpsUse,
    pub wait: Duration,
    pub parked: usize,
    /// Whether requests are recorded.
    pub requests: bool,
    /// How much of each body is recorded, in bytes.
    pub bodies: u64,
    pub front: Option<u16>,
}

/// What a file gives to all its services.
#[derive(Debug, Clone)]
pub(crate) struct ScopeSpec {
    /// The directory of the file.
    pub dir: PathBuf,
    /// What precedes the names of its services, such as `search-`.
    pub prefix: String,
    /// The services that it can refer to: its own, and those of files that it includes.
    pub visible: BTreeSet<Name>,
    pub env: TemplateVars,
    pub env_files: Vec<EnvFileSpec>,
}

impl ScopeSpec {
    /// Returns what a service of the file calls another one, given its name in the stack.
    pub fn local_name(&self, name: &Name) -> Name {
        let local = name.as_str().strip_prefix(&self.prefix);
        local.and_then(|local| Name::new(local).ok()).unwrap_or_else(|| name.clone())
    }
}

impl StackSpec {
    pub fn scope(&self, service: &ServiceSpec) -> &ScopeSpec {
        &self.scopes[service.scope]
    }

    /// Changes all paths after the project directory was moved.
    pub fn relocate(&mut self, moved: &DirMove) {
        self.dir = moved.path(&self.dir);
        for service in self.services.values_mut() {
            service.dir = moved.path(&service.dir);
            service.container.iter_mut().for_each(|container| container.relocate(moved));
            service.watch.iter_mut().for_each(|watch| watch.root = moved.path(&watch.root));
        }
        self.scopes.iter_mut().for_each(|scope| scope.dir = moved.path(&scope.dir));
        let scopes = self.scopes.iter_mut().flat_map(|scope| &mut scope.env_files);
        let services = self.services.values_mut().flat_map(|service| &mut service.env_files);
        for file in scopes.chain(services) {
            file.path = moved.path(&file.path);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaSpec {
    One,
    /// A service with this many replicas (at least 2) that are not created yet.
    Many(u16),
    Member {
        group: Name,
        /// From 1.
        number: u16,
        of: u16,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFileSpec {
    pub path: PathBuf,
    pub optional: bool,
    /// `None` for the default files.
    pub at: Option<Span>,
}

#[derive(Debug, Clone)]
pub(crate) struct ServiceSpec {
    pub name: Name,
    /// The span of its name.
    pub at: Span,
    /// The index of its scope in the stack.
    pub scope: usize,
    pub replicas: ReplicaSpec,
    pub kind: ServiceKind,
    /// In a container: the words after the image, possibly none.
    pub command: CommandSpec,
    /// How it runs in a container; `None`: as a program of this machine.
    pub container: Option<ContainerConfig<Template>>,
    pub dir: PathBuf,
    /// The span of `dir`.
    pub dir_at: Option<Span>,
    pub env: TemplateVars,
    pub env_files: Vec<EnvFileSpec>,
    pub host: String,
    pub ports: Vec<PortSpec>,
    /// Whether it uses `ports` rather than `port`.
    pub named_ports: bool,
    pub depends_on: BTreeMap<Name, DependencySpec>,
    pub ready: ReadyConfig<ProbeSpec>,
    pub health: Option<HealthConfig<ProbeSpec>>,
    pub restart: RestartConfig,
    pub success_codes: BTreeSet<i32>,
    pub stop: StopConfig<CommandSpec>,
    pub watch: Vec<WatchConfig<CommandSpec>>,
    pub debug: Option<DebugSpec>,
    pub tty: TtyMode,
    /// If set, it starts by default only when one of these is selected.
    pub profiles: Option<ProfilesSpec>,
    pub autostart: bool,
    pub lazy: Option<LazySpec>,
    pub on_exit: OnExit,
    pub color: Option<LabelColor>,
    /// Whether it has tables for other operating systems.
    pub differs_elsewhere: bool,
    /// What it depends on on those systems.
    pub(super) depends_elsewhere: BTreeMap<HostSystem, BTreeMap<Name, DependencySpec>>,
    pub description: Option<Template>,
    /// Variables of the preset, below all others in the configuration.
    pub preset_env: TemplateVars,
    /// Its preset, or the one detected from its command.
    pub preset: Option<&'static Preset>,
    /// It names a preset that does not exist, so its ports are unknown.
    pub is_preset_unknown: bool,
    /// What the preset's command requires, if that command is used.
    pub needs: Option<RequiredPrograms>,
    /// The span of `watch`, if the service itself has one.
    pub watch_at: Option<Span>,
    /// The preset's URL before and after the address.
    pub url_templates: Option<[Template; 2]>,
    /// The expanded `url`; set once the environment is known.
    pub url_form: UrlFormat,
    /// How the proxy serves it; `None`: not at all.
    pub proxy: Option<ServiceProxy>,
    pub actions: ServiceActions<CommandSpec>,
}

#[derive(Debug, Clone)]
pub(crate) struct ProfilesSpec {
    /// At least one.
    pub names: Vec<Name>,
    pub at: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum CommandSpec {
    Shell(Template),
    Exec(Vec<Template>),
}

/// A port as written.
#[derive(Debug, Clone)]
pub(crate) struct PortSpec {
    /// `main`, or its name in `ports`.
    pub name: String,
    /// `None` means `"auto"`.
    pub preferred: Option<u16>,
    pub on_conflict: ConflictPolicy,
    /// The variable that pins the port.
    pub env: Option<String>,
    /// The number in its container, with its span, if it is written.
    pub inside: Option<(u16, Span)>,
    /// Whether devstack opens the socket and passes it to the service.
    pub socket_activation: bool,
    /// The span of the number.
    pub at: Span,
    /// The preset whose default port this is; `None` if the user wrote it.
    pub preset: Option<&'static str>,
}

impl PortSpec {
    pub fn any(name: &str, on_conflict: ConflictPolicy, at: Span) -> PortSpec {
        let name = name.to_owned();
        PortSpec {
            name,
            preferred: None,
            on_conflict,
            env: None,
            inside: None,
            socket_activation: false,
            at,
            preset: None,
        }
    }
}

/// How to start a service for a debugger.
#[derive(Debug, Clone)]
pub(crate) struct DebugSpec {
    /// `None`: use the service's `command`, which must evaluate `DEBUG_PORT` itself.
    pub command: Option<CommandSpec>,
    pub port: PortSpec,
    /// Whether the program waits for the debugger.
    pub waits: bool,
}

/// How a service starts that waits for a client.
#[derive(Debug, Clone)]
pub(crate) struct LazySpec {
    /// The port that its program opens.
    pub inner: PortSpec,
    pub idle: Option<Duration>,
}

/// A dependency of a service, as written.
#[derive(Debug, Clone)]
pub(crate) struct DependencySpec {
    /// `None` means the default for its kind: `ready` or `completed`.
    pub condition: Option<Condition>,
    /// The span of the name.
    pub at: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum ProbeSpec {
    /// The service's own port with this name.
    OwnTcp(String),
    /// A port number.
    Tcp(u16),
    /// Any response on `/` of the own port with this name, whatever its status.
    OwnAnswer(String),
    Http(HttpSpec),
    /// A regular expression; substituted values are escaped.
    Log(Template),
    Exec(CommandSpec),
    Delay(Duration),
    Notify,
    /// The `HEALTHCHECK` of the image; `optional`: if it has one.
    Healthcheck {
        optional: bool,
    },
}

/// A probe over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct HttpSpec {
    pub target: HttpTarget,
    pub https: bool,
    pub insecure: bool,
    pub status: AcceptedStatus,
}

#[derive(Debug, Clone)]
pub(crate) enum HttpTarget {
    /// A path on the own port with this name.
    OwnPort {
        port: String,
        path: Template,
    },
    /// A path on a port number.
    Port {
        port: u16,
        path: Template,
    },
    Url(Template),
}

impl HttpTarget {
    pub fn template(&self) -> &Template {
        match self {
            HttpTarget::OwnPort { path: text, .. }
            | HttpTarget::Port { path: text, .. }
            | HttpTarget::Url(text) => text,
        }
    }
}

impl CommandSpec {
    pub fn templates(&self) -> &[Template] {
        match self {
            CommandSpec::Shell(template) => std::slice::from_ref(template),
            CommandSpec::Exec(words) => words,
        }
    }

    /// Returns its words as written, with `$` in place of each reference.
    pub fn static_words(&self) -> Vec<String> {
        match self {
            CommandSpec::Exec(words) => words.iter().map(Template::static_text).collect(),
            CommandSpec::Shell(template) => {
                let text = template.static_text().replace([';', '\n'], " ; ");
                let plain = || text.split_whitespace().map(str::to_owned).collect();
                shell_words::split(&text).unwrap_or_else(|_| plain())
            }
        }
    }
}

impl ProbeSpec {
    pub fn templates(&self) -> &[Template] {
        match self {
            ProbeSpec::Http(http) => std::slice::from_ref(http.target.template()),
            ProbeSpec::Log(text) => std::slice::from_ref(text),
            ProbeSpec::Exec(command) => command.templates(),
            ProbeSpec::OwnTcp(_)
            | ProbeSpec::OwnAnswer(_)
            | ProbeSpec::Tcp(_)
            | ProbeSpec::Delay(_)
            | ProbeSpec::Notify
            | ProbeSpec::Healthcheck { .. } => &[],
        }
    }
}

impl StackSpec {
    /// Returns the service with this name, or all replicas of a group. Empty if it is unknown.
    pub fn services_named(&self, name: &Name) -> Vec<Name> {
        resolve_name(&self.services, &self.groups, name)
    }

    /// Returns the service as written: the one with this name, or the one it is a replica of.
    pub fn find_written(&self, name: &str) -> Option<&ServiceSpec> {
        let whole = |name: &str| Name::new(name).ok().and_then(|name| self.services.get(&name));
        whole(name).or_else(|| {
            let (group, number) = split_replica_name(name)?;
            whole(group).filter(|service| match service.replicas {
                ReplicaSpec::Many(of) => number <= of,
                ReplicaSpec::One | ReplicaSpec::Member { .. } => false,
            })
        })
    }
}

/// Splits the name of a replica into group and number (from 1): `api-2`.
pub(super) fn split_replica_name(name: &str) -> Option<(&str, u16)> {
    let (group, number) = name.rsplit_once('-')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| plain)?;
    Some((group, number))
}

impl ServiceSpec {
    /// Whether an outer `PORT` could mean it.
    pub fn serves_port(&self) -> bool {
        self.kind == ServiceKind::Service && !self.ports.is_empty()
    }

    /// The name in the file: for a replica, that of its group.
    pub fn written_name(&self) -> &Name {
        match &self.replicas {
            ReplicaSpec::Member { group, .. } => group,
            ReplicaSpec::One | ReplicaSpec::Many(_) => &self.name,
        }
    }

    /// The distance of a replica's ports from the first replica's.
    pub fn port_offset(&self) -> u16 {
        match self.replicas {
            ReplicaSpec::Member { number, .. } => number - 1,
            ReplicaSpec::One | ReplicaSpec::Many(_) => 0,
        }
    }

    /// Returns every text of the service that may contain references.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let probes = self.probes().flat_map(ProbeSpec::templates);
        let stop = self.stop.command.iter().flat_map(CommandSpec::templates);
        let debug = self.debug.iter().flat_map(|debug| &debug.command);
        let stop = stop.chain(debug.flat_map(CommandSpec::templates));
        let watch = self.watch.iter().filter_map(|watch| watch.action.command());
        self.command
            .templates()
            .iter()
            .chain(self.env.values())
            .chain(self.preset_env.values())
            .chain(probes)
            .chain(stop)
            .chain(watch.flat_map(CommandSpec::templates))
            .chain(self.actions.values().flat_map(|action| action.command.templates()))
            .chain(self.container.iter().flat_map(ContainerConfig::texts))
            .chain(self.description.as_ref())
    }

    pub fn probes(&self) -> impl Iterator<Item = &ProbeSpec> {
        let health = self.health.iter().flat_map(|health| &health.probes);
        self.ready.probes.iter().chain(health)
    }

    /// Whether `name` may be one of its ports; with `None`, whether it may have any.
    pub fn may_have_port(&self, name: Option<&str>) -> bool {
        match name {
            _ if self.is_preset_unknown => true,
            None => !self.ports.is_empty(),
            Some(name) => self.ports.iter().any(|port| port.name == name),
        }
    }
}
