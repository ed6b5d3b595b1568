//! Compose files: each service a container, with its own directory mounted where it has no image.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::base_image::base_image;
use super::yaml::{Yaml, YamlTable};
use super::{Export, ExportNotes, shell};
use crate::model::{
    CONTAINER_DIR, Condition, ContainerConfig, HealthAction, ImageBuild, ImageSource,
    MissingVariable, Name, PortableEnvFile, PortablePort, PortableProbe, PortableService,
    PortableStack, PortableText, PortableVariable, PullPolicy, RestartPolicy, ServiceKind, TtyMode,
    VolumeMount, VolumeSource, is_loopback, signal_name,
};
use crate::units::whole_duration;

/// What a Compose file depends on beside the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposePlace {
    /// The directory of the file, absolute.
    pub dir: PathBuf,
    /// The services with a Dockerfile in their directory.
    pub dockerfiles: BTreeSet<Name>,
}

/// Where a working directory is mounted that is outside of the directory of its file.
const WORK_DIR: &str = "/work";

/// Writes a stack as a Compose file.
pub fn compose(stack: &PortableStack, place: &ComposePlace) -> Export {
    let mut notes = ExportNotes::new("compose", stack);
    let mut volumes = YamlTable::default();
    let mut known = BTreeSet::new();
    let mut services = YamlTable::default();
    for service in stack.services.values() {
        let writer = ComposeService { stack, place, service };
        services = services.with(&service.host_name, writer.write(&mut notes));
        for volume in named_volumes(service).filter(|name| known.insert(*name)) {
            volumes = volumes.with(volume, YamlTable::default());
        }
    }
    let file = YamlTable::default().with("name", stack.name.as_str()).with("services", services);
    let file = file.with_some("volumes", Some(volumes));
    Export::single("compose.yaml", &Yaml::from(file).document(), notes)
}

/// One service of the file.
struct ComposeService<'a> {
    stack: &'a PortableStack,
    place: &'a ComposePlace,
    service: &'a PortableService,
}

impl ComposeService<'_> {
    fn write(&self, notes: &mut ExportNotes) -> YamlTable {
        let service = self.service;
        self.note(notes);
        let restart = match (service.kind, service.restart.policy) {
            (_, RestartPolicy::No) => "no",
            (_, RestartPolicy::OnFailure) => "on-failure",
            (ServiceKind::Service, RestartPolicy::Always) => "always",
            (ServiceKind::Task, RestartPolicy::Always) => "on-failure",
        };
        let signal = signal_name(service.stop.signal).filter(|name| *name != "TERM");
        let signal = signal.map(|name| format!("SIG{name}"));
        let stops = service.kind == ServiceKind::Service;
        let grace = stops.then(|| whole_duration(service.stop.grace));
        let description = service.description.as_deref().filter(|text| !text.is_empty());
        let labels = description.map(|text| YamlTable::default().with("description", escape(text)));
        let scale = (service.replicas > 1).then(|| u64::from(service.replicas));
        self.runs(notes)
            .with_some("environment", Some(self.environment()))
            .with_some("env_file", Some(self.env_files()))
            .with_some("ports", Some(self.ports()))
            .with_some("depends_on", Some(self.depends_on()))
            .with_some("healthcheck", self.healthcheck())
            .with_some("profiles", Some(self.profiles()))
            .with("restart", restart)
            .with_some("stop_signal", signal)
            .with_some("stop_grace_period", grace)
            .with_some("tty", (service.tty == TtyMode::Yes).then_some(true))
            .with_some("scale", scale)
            .with_some("labels", labels)
    }

    /// Writes what runs: an image with its data, what the Dockerfile makes, or the mounted directory.
    fn runs(&self, notes: &mut ExportNotes) -> YamlTable {
        let service = self.service;
        if let Some(container) = &service.container {
            return self.container(container, notes);
        }
        let command: Vec<String> = shell::argv(&service.command).iter().map(interpolated).collect();
        if self.place.dockerfiles.contains(&service.name) {
            let context = escape(&self.path(&service.dir));
            return YamlTable::default().with("build", context).with("command", command);
        }
        let image = base_image(service);
        let shown = self.path(&service.dir);
        notes.step(
            service,
            format!(
                "`{image}` has no packages of yours: add a Dockerfile to {shown}, export again"
            ),
        );
        let mut mounts = vec![self.mount(&service.file_dir, CONTAINER_DIR)];
        let leaves = |below: &&Path| below.components().any(|part| part == Component::ParentDir);
        let below = service.dir.strip_prefix(&service.file_dir).ok();
        let dir = match below.filter(|below| !leaves(below)) {
            Some(below) if below.as_os_str().is_empty() => CONTAINER_DIR.to_owned(),
            Some(below) => format!("{CONTAINER_DIR}/{}", below.to_string_lossy()),
            None => {
                mounts.push(self.mount(&service.dir, WORK_DIR));
                WORK_DIR.to_owned()
            }
        };
        YamlTable::default()
            .with("image", image)
            .with("command", command)
            .with("working_dir", escape(&dir))
            .with("volumes", mounts)
    }

    /// Writes a service that runs in a container here too.
    fn container(
        &self,
        container: &ContainerConfig<PortableText>,
        notes: &mut ExportNotes,
    ) -> YamlTable {
        let ContainerConfig {
            source,
            entrypoint,
            user,
            workdir,
            volumes,
            pull,
            engine,
            inside_ports: _,
        } = container;
        if engine.is_some() {
            notes.lose("`engine`", self.service);
        }
        let words = |words: &[PortableText]| words.iter().map(interpolated).collect::<Vec<_>>();
        let table = match source {
            ImageSource::Image(image) => YamlTable::default().with("image", interpolated(image)),
            ImageSource::Build(build) => YamlTable::default().with("build", self.build(build)),
        };
        let policy = match pull {
            PullPolicy::Missing => None,
            PullPolicy::Always => Some("always"),
            PullPolicy::Never => Some("never"),
        };
        let volumes: Vec<Yaml> = volumes.iter().map(|volume| self.volume(volume)).collect();
        table
            .with_some("pull_policy", policy)
            .with_some("entrypoint", entrypoint.as_deref().map(words))
            .with_some("command", Some(words(self.service.command.texts())))
            .with_some("user", user.as_ref().map(interpolated))
            .with_some("working_dir", workdir.as_ref().map(interpolated))
            .with_some("volumes", Some(volumes))
    }

    fn build(&self, build: &ImageBuild<PortableText>) -> Yaml {
        let context = escape(&self.path(&build.context));
        let ImageBuild { context: dir, file, target, args } = build;
        if file.is_none() && target.is_none() && args.is_empty() {
            return Yaml::Text(context);
        }
        let args: YamlTable =
            args.iter().map(|(name, text)| (name.as_str(), interpolated(text))).collect();
        let file = file.as_ref().map(|file| escape(&relative(file, dir)));
        YamlTable::default()
            .with("context", context)
            .with_some("dockerfile", file)
            .with_some("target", target.as_ref().map(interpolated))
            .with_some("args", Some(args))
            .into()
    }

    fn volume(&self, volume: &VolumeMount) -> Yaml {
        match &volume.source {
            VolumeSource::Bind(path) => {
                let mount = self.mount(path, &volume.target);
                mount.with_some("read_only", volume.read_only.then_some(true)).into()
            }
            VolumeSource::Named(_) | VolumeSource::Anonymous => {
                Yaml::Text(escape(&volume.to_string()))
            }
        }
    }

    fn mount(&self, dir: &Path, target: &str) -> YamlTable {
        // The long form takes any path, also one with a colon.
        YamlTable::default()
            .with("type", "bind")
            .with("source", escape(&self.path(dir)))
            .with("target", escape(target))
    }

    fn environment(&self) -> YamlTable {
        let env = self.service.env.iter();
        env.map(|(name, text)| (name.as_str(), interpolated(text))).collect()
    }

    fn env_files(&self) -> Vec<Yaml> {
        let file = |file: &PortableEnvFile| {
            let path = escape(&self.path(&file.path));
            match file.optional {
                true => YamlTable::default().with("path", path).with("required", false).into(),
                false => Yaml::Text(path),
            }
        };
        self.service.env_files.iter().map(file).collect()
    }

    /// Writes the ports as they are published: only on this machine, unless the service is open.
    fn ports(&self) -> Vec<String> {
        let service = self.service;
        let host = match service.host.as_str() {
            "0.0.0.0" | "::" => String::new(),
            host if is_loopback(host) => "127.0.0.1:".to_owned(),
            host if host.contains(':') => format!("[{host}]:"),
            host => format!("{host}:"),
        };
        let published = |port: &PortablePort| {
            let many = service.replicas > 1;
            let outside = match port.wanted {
                None => String::new(),
                Some(first) if many => {
                    format!("{first}-{}", first.saturating_add(service.replicas - 1))
                }
                Some(number) => number.to_string(),
            };
            match (outside.is_empty(), host.is_empty()) {
                (true, true) => port.number.to_string(),
                _ => format!("{host}{outside}:{}", port.number),
            }
        };
        service.ports.iter().map(published).collect()
    }

    fn depends_on(&self) -> YamlTable {
        let condition = |(name, condition): (&Name, &Condition)| {
            let target = self.stack.services.get(name)?;
            let condition = match condition {
                Condition::Completed => "service_completed_successfully",
                Condition::Ready if !probes(target).is_empty() => "service_healthy",
                Condition::Ready | Condition::Started => "service_started",
            };
            let condition = YamlTable::default().with("condition", condition);
            Some((target.host_name.clone(), condition))
        };
        self.service.depends_on.iter().filter_map(condition).collect()
    }

    /// Writes the one check that a container has: all probes together.
    fn healthcheck(&self) -> Option<YamlTable> {
        let service = self.service;
        let test = probes(service);
        if test.is_empty() {
            return None;
        }
        /// How often a container is checked that has no health probes.
        const INTERVAL: Duration = Duration::from_secs(10);
        let (interval, retries) = match &service.health {
            Some(health) => (health.interval, health.failures),
            None => (INTERVAL, 3),
        };
        // Every check is a process in the container.
        let start_interval = service.ready.interval.max(Duration::from_secs(1));
        let table = YamlTable::default()
            .with("test", vec!["CMD-SHELL".to_owned(), escape(&test.join(" && "))])
            .with("interval", whole_duration(interval))
            .with("retries", u64::from(retries))
            .with("start_period", whole_duration(service.ready.timeout))
            .with("start_interval", whole_duration(start_interval));
        Some(table)
    }

    fn profiles(&self) -> Vec<String> {
        let service = self.service;
        let needed =
            self.stack.services.values().any(|other| other.depends_on.contains_key(&service.name));
        match service.profiles.is_empty() {
            false => service.profiles.iter().map(Name::to_string).collect(),
            // A service with a profile starts only when it is named.
            true if !service.autostart && !needed => vec!["manual".to_owned()],
            true => Vec::new(),
        }
    }

    /// Returns a path as the file names it: relative to its own directory.
    fn path(&self, path: &Path) -> String {
        relative(path, &self.place.dir)
    }

    fn note(&self, notes: &mut ExportNotes) {
        let service = self.service;
        let restarts =
            service.health.as_ref().is_some_and(|health| health.action == HealthAction::Restart);
        let waits_for =
            |is_such: fn(&PortableProbe) -> bool| service.ready.probes.iter().any(is_such);
        let lost = [
            ("`stop.command`", service.stop.command.is_some()),
            ("`health.action = \"restart\"`", restarts),
            ("`ready.log`", waits_for(|probe| matches!(probe, PortableProbe::Log))),
            ("`ready.delay`", waits_for(|probe| matches!(probe, PortableProbe::Delay(_)))),
            ("`ready.notify`", waits_for(|probe| matches!(probe, PortableProbe::Notify))),
        ];
        notes.lose_those(service, &lost);
        let texts = service.env.values();
        let command = service.command.texts().iter();
        let usual = self.place.dir.join(".env");
        for open in texts.chain(command).flat_map(PortableText::variables) {
            match &open.file {
                Some(file) if *file != usual => {
                    let file = shell::quoted(&self.path(file)).into_owned();
                    let name = &open.name;
                    notes.step(
                        service,
                        format!("{name} is in {file}: use `docker compose --env-file {file}`"),
                    );
                }
                Some(_) | None => {}
            }
        }
    }
}

/// Returns the names of the volumes that a service keeps.
fn named_volumes(service: &PortableService) -> impl Iterator<Item = &str> {
    let volumes = service.container.iter().flat_map(|container| &container.volumes);
    volumes.filter_map(|volume| match &volume.source {
        VolumeSource::Named(name) => Some(name.as_str()),
        VolumeSource::Bind(_) | VolumeSource::Anonymous => None,
    })
}

/// Returns the probes of a service as shell commands, each once.
fn probes(service: &PortableService) -> Vec<String> {
    let health = service.health.iter().flat_map(|health| &health.probes);
    let mut all: Vec<String> = Vec::new();
    for probe in service.ready.probes.iter().chain(health).filter_map(shell::probe) {
        if !all.contains(&probe) {
            all.push(probe);
        }
    }
    all
}

/// Writes a text in which Compose expands the open variables.
fn interpolated(text: &PortableText) -> String {
    text.render(escape, variable)
}

fn variable(variable: &PortableVariable) -> String {
    let name = &variable.name;
    match &variable.missing {
        MissingVariable::Default(text) if !has_brace(text) => {
            format!("${{{name}:-{}}}", interpolated(text))
        }
        MissingVariable::Message(text) if !text.contains(['}', '$']) => {
            format!("${{{name}:?{text}}}")
        }
        MissingVariable::Fail | MissingVariable::Default(_) | MissingVariable::Message(_) => {
            format!("${{{name}}}")
        }
    }
}

/// Whether a closing brace in it would end the reference that it is in.
fn has_brace(text: &PortableText) -> bool {
    text.render(str::to_owned, |_| String::new()).contains('}')
}

/// Writes text that Compose must leave as it is.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Returns `path` relative to `dir`, both absolute.
fn relative(path: &Path, dir: &Path) -> String {
    if let Ok(below) = path.strip_prefix(dir) {
        return match below.to_string_lossy() {
            below if below.is_empty() => ".".to_owned(),
            below if below.starts_with("..") => below.into_owned(),
            below => format!("./{below}"),
        };
    }
    let common = path.components().zip(dir.components()).take_while(|(one, other)| one == other);
    let common = common.count();
    let up = dir.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(common)).collect();
    way.to_string_lossy().into_owned()
}
