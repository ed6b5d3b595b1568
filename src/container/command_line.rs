//! The command lines for the program of an engine. Values of variables never stand in them: `ps` shows
//! command lines to every user.

use std::ffi::OsString;
use std::path::Path;

use super::labels::ContainerLabels;
use crate::model::{
    CommandLine, ContainerConfig, ContainerEngine, ContainerPlace, EngineAddress, ImageBuild,
    LaunchConfig, LaunchEnv, Name, PullPolicy, RedactedText, RunId, Service, VolumeMount,
    VolumeSource, host_inside,
};

/// What the programs of engines read from their own environment, by the beginning of its name.
/// Such a variable of the container is no secret, and would change what the program does.
const READ_BY_PROGRAMS: [&str; 19] = [
    "BUILDAH_", "BUILDKIT_", "BUILDX_", "COMPOSE_", "CONTAINER", "CURL_CA_", "DBUS_", "DOCKER_",
    "GO", "HOME", "LD_", "MOBY_", "PATH", "PODMAN_", "REGISTRY_", "SSL_CERT_", "STORAGE_",
    "TMPDIR", "XDG_",
];

/// One container for one run of a service.
#[derive(Debug)]
pub struct ContainerCommand<'a> {
    /// Where it runs.
    pub engine: &'a EngineAddress,
    /// What marks it.
    pub labels: &'a ContainerLabels,
    /// The service, with the command and variables that the container gets.
    pub service: &'a Service,
    /// The name by which all replicas are found.
    pub group: Option<&'a Name>,
    /// How it runs.
    pub container: &'a ContainerConfig,
    /// The image to run: given, or built.
    pub image: &'a str,
    pub run: RunId,
    pub terminal: bool,
    /// Where it reaches this machine, in the words of the engine.
    pub host_address: Option<&'a str>,
}

impl ContainerCommand<'_> {
    /// Returns what starts the container in the foreground, and the environment of that program.
    pub fn launch(&self, dir: &Path) -> LaunchConfig {
        let launch = &self.service.launch;
        LaunchConfig {
            command: CommandLine::Exec(self.words()),
            container: None,
            dir: dir.to_owned(),
            env: own_variables(&launch.env),
            host: launch.host.clone(),
            requires: None,
        }
    }

    fn words(&self) -> Vec<RedactedText> {
        let ContainerCommand { engine, labels, service, container, .. } = self;
        let mut words = program(engine);
        let mut add =
            |more: &[&str]| words.extend(more.iter().map(|word| RedactedText::from(*word)));
        // The image is there: if it is removed meanwhile, that must not start a download. Without `--rm`,
        // the engine can be asked how the container ended before it is removed.
        add(&["run", "--init", "--pull", "never"]);
        add(&["--name", &labels.container(&service.name, self.run)]);
        for (label, value) in labels.of_run(&service.name, self.run) {
            add(&["--label", &format!("{label}={value}")]);
        }
        add(&["--network", &labels.network(), "--network-alias", service.name.as_str()]);
        if let Some(group) = self.group {
            add(&["--network-alias", group.as_str()]);
        }
        if let Some(host) = self.host_address {
            add(&["--add-host", &format!("{}:{host}", host_inside(None))]);
        }
        if self.terminal {
            add(&["--interactive", "--tty"]);
        }
        for port in service.own_ports() {
            if let Some(inside) = service.inside_port(port) {
                add(&["--publish", &published(&service.launch.host, port.number, inside)]);
            }
        }
        for mount in &container.volumes {
            add(&["--mount", &mount_option(mount, labels)]);
        }
        words.extend(variable_options(&service.launch.env));
        words.extend(option("--user", container.user.as_ref()));
        words.extend(option("--workdir", container.workdir.as_ref()));
        let (first, rest) = match container.entrypoint.as_deref() {
            None => (None, [].as_slice()),
            Some([]) => (Some(RedactedText::from("")), [].as_slice()),
            Some([first, rest @ ..]) => (Some(first.clone()), rest),
        };
        words.extend(option("--entrypoint", first.as_ref()));
        words.push(self.image.into());
        words.extend(rest.iter().cloned());
        words.extend(inside_words(&service.launch.command));
        words
    }
}

/// Returns what runs the command of `launch` inside a container, with its variables.
pub fn exec_command(place: &ContainerPlace, launch: &LaunchConfig, terminal: bool) -> LaunchConfig {
    let mut words = program(&place.engine);
    words.push("exec".into());
    if terminal {
        words.extend(["--interactive".into(), "--tty".into()]);
    }
    words.extend(variable_options(&launch.env));
    words.push(place.name.as_str().into());
    words.extend(inside_words(&launch.command));
    let (command, env) = (CommandLine::Exec(words), own_variables(&launch.env));
    LaunchConfig { command, env, container: None, ..launch.clone() }
}

/// Returns what runs a command of the user inside a container, which has its variables already.
/// `terminal`: the caller's stdin and stdout are one.
pub fn exec_words(place: &ContainerPlace, command: &[OsString], terminal: bool) -> Vec<OsString> {
    let program = program(&place.engine).into_iter().map(|word| word.expose().into());
    let option = if terminal { ["--interactive", "--tty"].as_slice() } else { &["--interactive"] };
    let options = option.iter().map(OsString::from);
    program
        .chain(["exec".into()])
        .chain(options)
        .chain([place.name.clone().into()])
        .chain(command.iter().cloned())
        .collect()
}

pub fn pull_command(engine: &EngineAddress, image: &RedactedText) -> CommandLine {
    let mut words = program(engine);
    words.extend(["pull".into(), image.clone()]);
    CommandLine::Exec(words)
}

pub fn build_command(
    engine: &EngineAddress,
    build: &ImageBuild,
    tag: &str,
    pull: PullPolicy,
) -> CommandLine {
    let mut words = program(engine);
    words.extend(["build", "--tag", tag].map(RedactedText::from));
    if engine.engine == ContainerEngine::Podman {
        // Its own format has no HEALTHCHECK.
        words.extend(["--format", "docker"].map(RedactedText::from));
    }
    if let Some(file) = &build.file {
        words.extend(["--file".into(), RedactedText::from(file.display().to_string())]);
    }
    words.extend(option("--target", build.target.as_ref()));
    match pull {
        PullPolicy::Always => words.push("--pull".into()),
        PullPolicy::Never if engine.engine == ContainerEngine::Podman => {
            words.push("--pull-never".into());
        }
        PullPolicy::Never | PullPolicy::Missing => {}
    }
    for (name, value) in &build.args {
        let full = format!("{name}={}", value.expose());
        let shown = format!("{name}={}", value.redacted());
        words.extend(["--build-arg".into(), RedactedText::new(full, shown)]);
    }
    words.push(build.context.display().to_string().into());
    CommandLine::Exec(words)
}

/// Returns what checks the health of a container once, with these words of its image.
pub fn check_command(place: &ContainerPlace, check: &[String]) -> LaunchConfig {
    inside_command(
        place,
        CommandLine::Exec(check.iter().map(|word| word.as_str().into()).collect()),
    )
}

/// Returns what runs a command of devstack's own in a container, with nothing of the service's environment.
pub(super) fn inside_command(place: &ContainerPlace, command: CommandLine) -> LaunchConfig {
    let launch = LaunchConfig {
        command,
        container: None,
        dir: "/".into(),
        env: LaunchEnv::default(),
        host: String::new(),
        requires: None,
    };
    exec_command(place, &launch, false)
}

fn program(engine: &EngineAddress) -> Vec<RedactedText> {
    let socket = format!("unix://{}", engine.socket.display());
    let option = match engine.engine {
        ContainerEngine::Docker => "--host",
        ContainerEngine::Podman => "--url",
    };
    vec![engine.program.display().to_string().into(), option.into(), socket.into()]
}

fn option(name: &str, value: Option<&RedactedText>) -> Vec<RedactedText> {
    value.map_or(Vec::new(), |value| vec![name.into(), value.clone()])
}

/// The shell of a container is its own `sh`.
fn inside_words(command: &CommandLine) -> Vec<RedactedText> {
    match command {
        CommandLine::Shell(text) => vec!["sh".into(), "-c".into(), text.as_str().into()],
        CommandLine::Exec(words) => words.clone(),
    }
}

fn published(host: &str, outside: u16, inside: u16) -> String {
    let host = match host {
        // Engines know addresses only.
        "localhost" | "" => "127.0.0.1",
        host => host,
    };
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{outside}:{inside}"),
        false => format!("{host}:{outside}:{inside}"),
    }
}

fn mount_option(mount: &VolumeMount, labels: &ContainerLabels) -> String {
    let target = csv_field(&format!("target={}", mount.target));
    let mut option = match &mount.source {
        VolumeSource::Named(name) => format!("type=volume,source={},{target}", labels.volume(name)),
        VolumeSource::Bind(path) => {
            format!("type=bind,{},{target}", csv_field(&format!("source={}", path.display())))
        }
        VolumeSource::Anonymous => format!("type=volume,{target}"),
    };
    if mount.read_only {
        option += ",readonly";
    }
    option
}

/// `--mount` is one line of CSV.
fn csv_field(text: &str) -> String {
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn is_read_by_programs(name: &str) -> bool {
    READ_BY_PROGRAMS.iter().any(|prefix| name.starts_with(prefix))
}

/// Names only: the program takes the values from its own environment.
fn variable_options(env: &LaunchEnv) -> Vec<RedactedText> {
    let word = |(name, value): (&str, &str)| match is_read_by_programs(name) {
        true => RedactedText::new(format!("{name}={value}"), name),
        false => RedactedText::from(name),
    };
    env.iter().flat_map(|variable| ["--env".into(), word(variable)]).collect()
}

fn own_variables(env: &LaunchEnv) -> LaunchEnv {
    env.iter().filter(|(name, _)| !is_read_by_programs(name)).collect()
}
