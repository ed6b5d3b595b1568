//! Makes the portable stack of a configuration.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::env::EnvFileSet;
use crate::config::resolve::build::parse_http_authority;
use crate::config::resolve::references::default_condition;
use crate::config::spec::{
    EnvFileSpec, HttpSpec, HttpTarget, ProbeSpec, ReplicaSpec, ServiceSpec, StackSpec, TemplateVars,
};
use crate::config::template::Template;
use crate::model::{
    AcceptedStatus, CONTAINER_DIR, Condition, ContainerConfig, ImageSource, Name, PortableCommand,
    PortableEnvFile, PortableHttp, PortableNetwork, PortableProbe, PortableService, PortableText,
    PullPolicy, SERVICE_VAR, VolumeMount, VolumeSource, host_port, is_loopback,
};
use crate::presets::PresetImage;

use super::addresses::{PortableAddresses, ServicePlace, image_of};
use super::texts::{PortableTexts, Surroundings};

/// Variables of a service about itself.
const STACK_VAR: &str = "DEVSTACK_STACK";
const MODE_VAR: &str = "DEVSTACK_MODE";
const REPLICA_VAR: &str = "DEVSTACK_REPLICA";

/// The variable in which presets have the directory of their data.
const DATA_VAR: &str = "DEVSTACK_DATA";

/// The address that services bind in containers.
const ANY_ADDRESS: &str = "0.0.0.0";

/// The address of a container for itself.
const LOOPBACK: &str = "127.0.0.1";

/// Where the usual images have their programs.
const CONTAINER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/local/cargo/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Clone, Copy)]
pub(super) struct PortableBuilder<'a> {
    pub spec: &'a StackSpec,
    pub files: &'a EnvFileSet,
    pub addresses: &'a PortableAddresses<'a>,
    pub network: PortableNetwork,
}

impl<'a> PortableBuilder<'a> {
    /// Builds a service under the name that it is exported with.
    pub fn build(&self, name: &'a Name, spec: &'a ServiceSpec) -> PortableService {
        let place = self.addresses.find(name.as_str()).expect("every exported service has one");
        let image = self.in_containers().then(|| image_of(spec)).flatten().map(|(_, image)| image);
        let image_env = image.map(|image| variables(&image.env, spec));
        let mut texts = PortableTexts::new(
            self.spec,
            self.files,
            self.addresses,
            self.surroundings(),
            spec,
            image_env.as_ref(),
        );
        let is_container = image.is_some() || spec.container.is_some();
        let injected = self.injected_variables(spec, place, &texts);
        let is_used = |name: &str| match is_container {
            // An image knows how to listen.
            true => image.is_none() && mentions(spec, name),
            false => !is_about_itself(name) || mentions(spec, name),
        };
        let unused: Vec<String> = injected.keys().filter(|name| !is_used(name)).cloned().collect();
        texts.inject(injected);
        let mut env = texts.env();
        // The data of a container is not on this machine.
        let is_data = |name: &str| image.is_some() && name == DATA_VAR;
        env.retain(|name, _| !unused.contains(name) && !is_data(name));
        if let Some(path) = env.get_mut("PATH").filter(|_| self.in_containers())
            && !is_container
            && let Some(known) = path.as_literal()
        {
            *path = absolute_path(known, self.container_dir(spec).as_deref()).as_str().into();
        }
        let mut probes = |probes: &[_]| self.probes(place, probes, &mut texts);
        let health = spec.health.as_ref().map(|health| health.map(&mut probes));
        let ready =
            spec.ready.map(|written| match image.and_then(|image| image.ready.as_deref()) {
                Some(command) => vec![PortableProbe::Exec(PortableCommand::Shell(command.into()))],
                None => probes(written),
            });
        let description = spec.description.as_ref().map(|text| texts.text(text));
        PortableService {
            name: name.clone(),
            host_name: place.host_name.to_string(),
            description: description.and_then(|text| text.as_literal().map(str::to_owned)),
            kind: spec.kind,
            command: match image {
                Some(image) => image_command(image),
                None => texts.command(&spec.command),
            },
            dir: spec.dir.clone(),
            file_dir: self.spec.scope(spec).dir.clone(),
            env,
            env_files: self.env_files(spec),
            host: spec.host.clone(),
            ports: place.ports.clone(),
            depends_on: self.depends_on(spec),
            ready,
            health,
            restart: spec.restart.clone(),
            success_codes: spec.success_codes.clone(),
            stop: spec.stop.map(|command| texts.command(command)),
            watches: image.is_none() && !spec.watch.is_empty(),
            debuggable: spec.debug.as_ref().is_some_and(|_| image.is_none()),
            tty: spec.tty,
            colored: spec.color.is_some(),
            differs_elsewhere: spec.differs_elsewhere,
            profiles: spec.profiles.iter().flat_map(|profiles| profiles.names.clone()).collect(),
            autostart: spec.autostart,
            lazy: spec.lazy.is_some(),
            has_actions: !spec.actions.is_empty(),
            on_exit: spec.on_exit,
            replicas: self.replicas(spec),
            preset: spec.preset.map(|preset| preset.name),
            container: match (image, &spec.container) {
                (Some(image), _) => Some(image_config(image, &place.host_name)),
                (None, Some(container)) => Some(container.map(|text| texts.text(text))),
                (None, None) => None,
            },
        }
    }

    /// Returns the working directory in a container that has the directory of the file.
    fn container_dir(&self, spec: &ServiceSpec) -> Option<String> {
        let below = spec.dir.strip_prefix(&self.spec.scope(spec).dir).ok()?.to_str()?;
        let gap = if below.is_empty() { "" } else { "/" };
        Some(format!("{CONTAINER_DIR}{gap}{below}"))
    }

    fn in_containers(&self) -> bool {
        self.network == PortableNetwork::Names
    }

    fn surroundings(&self) -> Surroundings {
        match self.network {
            PortableNetwork::Names => {
                Surroundings { stack_dir: Some(CONTAINER_DIR), path: Some(CONTAINER_PATH) }
            }
            PortableNetwork::Loopback => Surroundings { stack_dir: None, path: None },
        }
    }

    fn replicas(&self, spec: &ServiceSpec) -> u16 {
        match spec.replicas {
            ReplicaSpec::Member { of, .. } if self.in_containers() => of,
            _ => 1,
        }
    }

    /// Returns the variables that devstack itself would set.
    fn injected_variables(
        &self,
        spec: &ServiceSpec,
        place: &ServicePlace<'_>,
        texts: &PortableTexts<'_>,
    ) -> BTreeMap<String, String> {
        let host = if self.in_containers() { ANY_ADDRESS } else { &spec.host };
        let mut set = BTreeMap::from([("HOST".to_owned(), host.to_owned())]);
        for (index, port) in place.ports.iter().enumerate() {
            let number = port.number.to_string();
            if index == 0 {
                set.insert("PORT".to_owned(), number.clone());
            }
            if spec.named_ports {
                let name = port.name.to_ascii_uppercase().replace('-', "_");
                set.insert(format!("PORT_{name}"), number);
            }
        }
        let groups = self.spec.groups.iter();
        let whole = |names: &[Name]| names.iter().all(|name| spec.depends_on.contains_key(name));
        let groups = groups.filter(|(_, names)| whole(names)).map(|(name, _)| name);
        let direct = spec.depends_on.keys().map(|name| self.addresses.exported_name(name));
        for name in direct.chain(groups) {
            let Some(place) = self.addresses.find(name.as_str()) else { continue };
            let Some(port) = place.port(None) else { continue };
            // The file calls it by this name.
            let variable = self.spec.scope(spec).local_name(name).to_env_prefix();
            set.insert(format!("DEVSTACK_{variable}_HOST"), place.host.clone());
            set.insert(format!("DEVSTACK_{variable}_PORT"), port.to_string());
            if let Some(url) = texts.url(place).as_literal() {
                set.insert(format!("DEVSTACK_{variable}_URL"), url.to_owned());
            }
        }
        set.insert(STACK_VAR.to_owned(), self.spec.name.clone());
        set.insert(SERVICE_VAR.to_owned(), spec.name.to_string());
        set.insert(MODE_VAR.to_owned(), "run".to_owned());
        if let (ReplicaSpec::Member { number, .. }, false) = (&spec.replicas, self.in_containers())
        {
            set.insert(REPLICA_VAR.to_owned(), number.to_string());
        }
        set
    }

    /// Returns the env files, without usual ones that do not exist.
    fn env_files(&self, spec: &ServiceSpec) -> Vec<PortableEnvFile> {
        let file = |file: &EnvFileSpec| {
            let variables = self.files.files.get(&file.path);
            let names = variables.into_iter().flat_map(BTreeMap::keys).cloned();
            let there = variables.is_some() || file.at.is_some();
            there.then(|| PortableEnvFile {
                path: self.files.place(&file.path).to_owned(),
                optional: file.optional,
                names: names.collect::<BTreeSet<String>>(),
            })
        };
        self.spec.scope(spec).env_files.iter().chain(&spec.env_files).filter_map(file).collect()
    }

    fn depends_on(&self, spec: &ServiceSpec) -> BTreeMap<Name, Condition> {
        let condition = |(name, dependency)| {
            let target = self.spec.services.get(name)?;
            let exported = self.addresses.exported_name(name).clone();
            Some((exported, default_condition(target, dependency)))
        };
        spec.depends_on.iter().filter_map(condition).collect()
    }

    fn probes(
        &self,
        place: &ServicePlace<'_>,
        probes: &[ProbeSpec],
        texts: &mut PortableTexts<'_>,
    ) -> Vec<PortableProbe> {
        // Other programs follow the image on their own.
        let is_default =
            |probe: &&ProbeSpec| matches!(probe, ProbeSpec::Healthcheck { optional: true });
        let written = probes.iter().filter(|probe| !is_default(probe));
        written.map(|probe| self.probe(place, probe, texts)).collect()
    }

    fn probe(
        &self,
        place: &ServicePlace<'_>,
        probe: &ProbeSpec,
        texts: &mut PortableTexts<'_>,
    ) -> PortableProbe {
        let own = |name: &str| place.port(Some(name)).unwrap_or(1);
        match probe {
            ProbeSpec::OwnTcp(name) => PortableProbe::Tcp(own(name)),
            ProbeSpec::Tcp(port) => PortableProbe::Tcp(*port),
            ProbeSpec::OwnAnswer(name) => PortableProbe::Http(PortableHttp {
                url: self.own_url("http", place, own(name), "/".into()),
                own: Some((own(name), "/".into())),
                https: false,
                insecure: false,
                status: AcceptedStatus::Any,
            }),
            ProbeSpec::Http(http) => PortableProbe::Http(self.http(place, http, texts)),
            ProbeSpec::Log(_) => PortableProbe::Log,
            ProbeSpec::Exec(command) => PortableProbe::Exec(texts.command(command)),
            ProbeSpec::Delay(delay) => PortableProbe::Delay(*delay),
            ProbeSpec::Notify => PortableProbe::Notify,
            ProbeSpec::Healthcheck { .. } => PortableProbe::Healthcheck,
        }
    }

    fn http(
        &self,
        place: &ServicePlace<'_>,
        http: &HttpSpec,
        texts: &mut PortableTexts<'_>,
    ) -> PortableHttp {
        let scheme = if http.https { "https" } else { "http" };
        let at = |port: u16, path: PortableText| {
            (self.own_url(scheme, place, port, path.clone()), Some((port, path)))
        };
        let (url, own) = match &http.target {
            HttpTarget::OwnPort { port, path } => {
                at(place.port(Some(port)).unwrap_or(1), texts.text(path))
            }
            HttpTarget::Port { port, path } => at(*port, texts.text(path)),
            HttpTarget::Url(text) => {
                let url = texts.text(text);
                let own = url.as_literal().and_then(|url| own_part(place, url));
                (url, own)
            }
        };
        let (https, insecure) = (http.https, http.insecure);
        PortableHttp { url, own, https, insecure, status: http.status.clone() }
    }

    /// Returns the URL of a service as it reaches itself.
    fn own_url(
        &self,
        scheme: &str,
        place: &ServicePlace<'_>,
        port: u16,
        path: PortableText,
    ) -> PortableText {
        let host = if self.in_containers() { LOOPBACK } else { &place.host };
        let mut url = PortableText::from(format!("{scheme}://{}", host_port(host, port)).as_str());
        url.push(path);
        url
    }
}

/// Returns port and path of a URL that leads to the service itself.
fn own_part(place: &ServicePlace<'_>, url: &str) -> Option<(u16, PortableText)> {
    let (host, port) = parse_http_authority(url)?;
    let own = is_loopback(host) || host == place.host;
    let own = own && place.ports.iter().any(|own| own.number == port);
    let rest = url.split_once("://")?.1;
    let path = rest.find(['/', '?', '#']).map_or("/", |at| &rest[at..]);
    own.then(|| (port, path.into()))
}

/// Whether a variable says what every program here could know without devstack.
fn is_about_itself(name: &str) -> bool {
    [STACK_VAR, SERVICE_VAR, MODE_VAR, REPLICA_VAR].contains(&name)
}

fn mentions(spec: &ServiceSpec, name: &str) -> bool {
    spec.templates().any(|text| text.mentions(name))
}

/// Variables of an image, as if the service had them.
fn variables(env: &BTreeMap<String, String>, spec: &ServiceSpec) -> TemplateVars {
    let plain = |(name, value): (&String, &String)| (name.clone(), Template::plain(value, spec.at));
    env.iter().map(plain).collect()
}

/// Returns how the image of a preset runs, with its data in a volume.
fn image_config(image: &PresetImage, host_name: &Name) -> ContainerConfig<PortableText> {
    let volume = |target: &String| VolumeMount {
        source: VolumeSource::Named(format!("{host_name}-data")),
        target: target.clone(),
        read_only: false,
    };
    ContainerConfig {
        source: ImageSource::Image(image.name.as_str().into()),
        entrypoint: None,
        user: None,
        workdir: None,
        volumes: image.data.iter().map(volume).collect(),
        pull: PullPolicy::default(),
        engine: None,
        inside_ports: BTreeMap::new(),
    }
}

fn image_command(image: &PresetImage) -> PortableCommand {
    PortableCommand::Exec(image.command.iter().map(|word| word.as_str().into()).collect())
}

/// Makes the entries of a `PATH` absolute, each once: no container engine runs a program that it finds
/// below a relative one. Without a working directory, those are left out.
fn absolute_path(path: &str, dir: Option<&str>) -> String {
    let mut entries: Vec<String> = Vec::new();
    for entry in path.split(':') {
        let entry = match entry.strip_prefix("./").unwrap_or(entry) {
            entry if entry.starts_with('/') => Some(entry.to_owned()),
            "" | "." => dir.map(str::to_owned),
            entry => dir.map(|dir| format!("{dir}/{entry}")),
        };
        entries.extend(entry.filter(|entry| !entries.contains(entry)));
    }
    entries.join(":")
}
