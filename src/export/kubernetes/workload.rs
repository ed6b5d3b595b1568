use std::path::Path;
use std::time::Duration;

use super::environment::{ServiceEnvironment, escape, expanded};
use super::volumes::{claims, volumes};
use super::{labels, named_ports, object, selector, waiter_name};
use crate::export::yaml::{Yaml, YamlTable};
use crate::export::{ExportNotes, shell};
use crate::model::{
    AcceptedStatus, Condition, HealthAction, ImageBuild, ImageSource, MissingVariable, Name,
    PortableCommand, PortableHttp, PortableProbe, PortableService, PortableStack, PortableText,
    PullPolicy, RestartPolicy, ServiceKind, UniqueNames,
};

/// Waits until a port accepts connections.
const WAIT_IMAGE: &str = "busybox:1.37";

/// Asks the cluster whether a workload is ready.
const KUBECTL_IMAGE: &str = "registry.k8s.io/kubectl:v1.34.1";

/// The Deployment or Job of a service.
#[derive(Clone, Copy)]
pub(super) struct Workload<'a> {
    pub stack: &'a PortableStack,
    pub service: &'a PortableService,
}

impl Workload<'_> {
    pub fn object(&self, environment: &ServiceEnvironment<'_>, notes: &mut ExportNotes) -> Yaml {
        let Workload { stack, service } = *self;
        let annotations = service.description.as_deref().filter(|text| !text.is_empty());
        let annotations =
            annotations.map(|text| YamlTable::default().with("kubernetes.io/description", text));
        let metadata = YamlTable::default()
            .with("labels", labels(stack, service))
            .with_some("annotations", annotations);
        let pod = self.pod(environment, notes);
        let template = YamlTable::default().with("metadata", metadata).with("spec", pod);
        let (version, kind, spec) = match service.kind {
            ServiceKind::Service => ("apps/v1", "Deployment", self.deployment(template)),
            ServiceKind::Task => ("batch/v1", "Job", self.job(template)),
        };
        object(version, kind, &service.host_name, labels(stack, service)).with("spec", spec).into()
    }

    fn deployment(&self, template: YamlTable) -> YamlTable {
        let Workload { stack, service } = *self;
        // One that starts only by hand is there, but has no pods.
        let replicas = if service.autostart { service.replicas } else { 0 };
        // Two pods must not have the same data.
        let keeps_data = !claims(service).is_empty();
        let strategy = keeps_data.then(|| YamlTable::default().with("type", "Recreate"));
        let matches = YamlTable::default().with("matchLabels", selector(stack, service));
        YamlTable::default()
            .with("replicas", u64::from(replicas))
            .with("selector", matches)
            .with_some("strategy", strategy)
            .with("template", template)
    }

    fn job(&self, template: YamlTable) -> YamlTable {
        let restart = &self.service.restart;
        let retries = match restart.policy {
            RestartPolicy::No => 0,
            RestartPolicy::OnFailure | RestartPolicy::Always => u64::from(restart.max_failures),
        };
        YamlTable::default()
            .with("backoffLimit", retries)
            .with_some("suspend", (!self.service.autostart).then_some(true))
            .with("template", template)
    }

    fn pod(&self, environment: &ServiceEnvironment<'_>, notes: &mut ExportNotes) -> YamlTable {
        let service = self.service;
        let mut names = UniqueNames::default();
        let waits: Vec<YamlTable> = service
            .depends_on
            .iter()
            .map(|(name, condition)| {
                let target = &self.stack.services[name];
                let container = names.take(&format!("wait-{}", target.host_name), name);
                self.wait(&container, target, *condition)
            })
            .collect();
        let (volumes, mounts) = volumes(service, notes);
        let restart = (service.kind == ServiceKind::Task).then_some("OnFailure");
        let account = self.asks_the_api().then(|| waiter_name(self.stack));
        YamlTable::default()
            .with_some("serviceAccountName", account)
            .with_some("initContainers", Some(waits))
            .with("containers", vec![self.container(environment, mounts, notes)])
            .with_some("volumes", Some(volumes))
            .with_some("restartPolicy", restart)
            .with("terminationGracePeriodSeconds", seconds(service.stop.grace))
            // They would set variables such as API_PORT to addresses.
            .with("enableServiceLinks", false)
    }

    fn container(
        &self,
        environment: &ServiceEnvironment<'_>,
        mounts: Vec<YamlTable>,
        notes: &mut ExportNotes,
    ) -> YamlTable {
        let service = self.service;
        let words = |words: &[PortableText]| words.iter().map(expanded).collect::<Vec<_>>();
        let container = service.container.as_ref();
        let (image, command, args) = match container {
            Some(container) => {
                let image = match &container.source {
                    ImageSource::Image(image) => literal(image, "image", service, notes),
                    ImageSource::Build(build) => self.built(build, notes),
                };
                let entrypoint = container.entrypoint.as_deref().map(words).unwrap_or_default();
                (image, entrypoint, words(service.command.texts()))
            }
            None => {
                let image = format!("{}-{}", self.stack.name, service.host_name);
                let dir = match service.dir.strip_prefix(&self.stack.dir) {
                    Ok(dir) if dir.as_os_str().is_empty() => ".".into(),
                    Ok(dir) => dir.to_string_lossy(),
                    Err(_) => service.dir.to_string_lossy(),
                };
                let dir = shell::quoted(&dir).into_owned();
                notes.step(service, format!("docker build -t {image} {dir}"));
                let command = shell::argv(&service.command);
                (image, command.iter().map(expanded).collect(), Vec::new())
            }
        };
        let ports = named_ports(service).into_iter().map(|(name, port)| {
            let number = u64::from(port.number);
            YamlTable::default().with("name", name.as_str()).with("containerPort", number)
        });
        let stop = service.stop.command.as_ref();
        let workdir = container.and_then(|container| container.workdir.as_ref()).map(expanded);
        let user = container.and_then(|container| container.user.as_ref());
        let user = user.map(|user| literal(user, "user", service, notes));
        let security = user.and_then(|user| security_context(&user, service, notes));
        let pull = container.and_then(|container| match container.pull {
            PullPolicy::Missing => None,
            PullPolicy::Always => Some("Always"),
            PullPolicy::Never => Some("Never"),
        });
        let lifecycle = stop.map(|command| {
            // Kubernetes expands nothing in hooks.
            let exec = exec(command, str::to_owned);
            YamlTable::default().with("preStop", YamlTable::default().with("exec", exec))
        });
        let container = YamlTable::default()
            .with("name", service.host_name.as_str())
            .with("image", image)
            .with_some("imagePullPolicy", pull)
            .with_some("command", Some(command))
            .with_some("args", Some(args))
            .with_some("workingDir", workdir)
            .with_some("securityContext", security)
            .with_some("ports", Some(ports.collect::<Vec<_>>()))
            .with_some("envFrom", Some(environment.sources()))
            .with_some("env", Some(environment.variables()));
        self.probes(container, notes)
            .with_some("lifecycle", lifecycle)
            .with_some("volumeMounts", Some(mounts))
    }

    /// Returns the name of an image that is to be built first.
    fn built(&self, build: &ImageBuild<PortableText>, notes: &mut ExportNotes) -> String {
        let image = format!("{}-{}", self.stack.name, self.service.host_name);
        let mut words = vec!["docker".to_owned(), "build".to_owned(), "-t".to_owned()];
        words.push(image.clone());
        let shown = |path: &Path| match path.strip_prefix(&self.stack.dir) {
            Ok(path) if path.as_os_str().is_empty() => ".".to_owned(),
            Ok(path) => shell::quoted(&path.to_string_lossy()).into_owned(),
            Err(_) => shell::quoted(&path.to_string_lossy()).into_owned(),
        };
        if let Some(file) = &build.file {
            words.extend(["-f".to_owned(), shown(file)]);
        }
        if let Some(target) = &build.target {
            words.extend(["--target".to_owned(), shell::word(target)]);
        }
        for (name, text) in &build.args {
            words.push("--build-arg".to_owned());
            words.push(format!("{}={}", shell::quoted(name), shell::word(text)));
        }
        words.push(shown(&build.context));
        notes.step(self.service, words.join(" "));
        image
    }

    /// Adds what readiness and health become.
    fn probes(&self, container: YamlTable, notes: &mut ExportNotes) -> YamlTable {
        let service = self.service;
        if service.kind == ServiceKind::Task {
            return container;
        }
        let ready = self.handler(&service.ready.probes, notes);
        let pause = seconds(service.ready.interval);
        let readiness = ready.clone().map(|ready| with(ready, pause, 3));
        let health = service.health.as_ref();
        let health = health.filter(|health| health.action == HealthAction::Restart);
        let liveness = health.and_then(|health| {
            let handler = self.handler(&health.probes, notes)?;
            Some(with(handler, seconds(health.interval), u64::from(health.failures)))
        });
        // Only what was ready once can be unhealthy.
        let startup = ready
            .filter(|_| liveness.is_some())
            .map(|ready| with(ready, pause, seconds(service.ready.timeout).div_ceil(pause)));
        container
            .with_some("startupProbe", startup)
            .with_some("readinessProbe", readiness)
            .with_some("livenessProbe", liveness)
    }

    /// Returns the one action that these probes become. A command holds all of them.
    fn handler(&self, probes: &[PortableProbe], notes: &mut ExportNotes) -> Option<Handler> {
        for probe in probes {
            match probe {
                PortableProbe::Log => notes.lose("`ready.log`", self.service),
                PortableProbe::Delay(_) => notes.lose("`ready.delay`", self.service),
                PortableProbe::Notify => notes.lose("`ready.notify`", self.service),
                PortableProbe::Healthcheck => notes.lose("`ready.healthcheck`", self.service),
                PortableProbe::Tcp(_) | PortableProbe::Http(_) | PortableProbe::Exec(_) => {}
            }
        }
        let possible = |probe: &&PortableProbe| shell::probe(probe).is_some();
        // What answers over HTTP also accepts connections.
        let answers = |port: &u16| {
            probes.iter().any(|probe| {
                matches!(probe, PortableProbe::Http(http) if http.own.as_ref().is_some_and(|(own, _)| own == port))
            })
        };
        let needed =
            |probe: &&PortableProbe| !matches!(probe, PortableProbe::Tcp(port) if answers(port));
        let probes: Vec<&PortableProbe> = probes.iter().filter(possible).filter(needed).collect();
        match probes.as_slice() {
            [] => None,
            [PortableProbe::Tcp(port)] => {
                let socket = YamlTable::default().with("port", u64::from(*port));
                Some(Handler { key: "tcpSocket", action: socket.into() })
            }
            [PortableProbe::Http(http)] if http_get(http).is_some() => {
                Some(Handler { key: "httpGet", action: http_get(http)?.into() })
            }
            [PortableProbe::Exec(command)] => {
                Some(Handler { key: "exec", action: exec(command, escape).into() })
            }
            several => {
                let all: Vec<String> =
                    several.iter().filter_map(|probe| shell::probe(probe)).collect();
                let command = vec!["sh".to_owned(), "-c".to_owned(), escape(&all.join(" && "))];
                let action = YamlTable::default().with("command", command).into();
                Some(Handler { key: "exec", action })
            }
        }
    }

    /// Whether an init container of it asks the cluster about another workload.
    pub fn asks_the_api(&self) -> bool {
        let mut dependencies = self.service.depends_on.iter();
        dependencies.any(|(name, condition)| {
            *condition == Condition::Completed || self.stack.services[name].ports.is_empty()
        })
    }

    /// Returns an init container that ends once a dependency is as it should be. A Service leads only
    /// to pods that are ready.
    fn wait(&self, container: &Name, target: &PortableService, condition: Condition) -> YamlTable {
        let name = &target.host_name;
        let container = YamlTable::default().with("name", container.as_str());
        let wait = |goal: &str, kind: &str| {
            let words = ["wait", goal, &format!("{kind}/{name}"), "--timeout=1h"];
            words.map(str::to_owned).to_vec()
        };
        match (condition, target.ports.first()) {
            (Condition::Ready | Condition::Started, Some(port)) => {
                let script = format!("until nc -z {name} {}; do sleep 1; done", port.number);
                container.with("image", WAIT_IMAGE).with("command", vec!["sh", "-c", &script])
            }
            (Condition::Completed, _) => container
                .with("image", KUBECTL_IMAGE)
                .with("args", wait("--for=condition=Complete", "job")),
            (Condition::Ready | Condition::Started, None) => match target.kind {
                ServiceKind::Service => container
                    .with("image", KUBECTL_IMAGE)
                    .with("args", wait("--for=condition=Available", "deployment")),
                ServiceKind::Task => container
                    .with("image", KUBECTL_IMAGE)
                    .with("args", wait("--for=jsonpath={.status.active}", "job")),
            },
        }
    }
}

/// Returns a text in which Kubernetes expands no variables.
fn literal(
    text: &PortableText,
    what: &str,
    service: &PortableService,
    notes: &mut ExportNotes,
) -> String {
    for open in text.variables() {
        match &open.missing {
            MissingVariable::Default(_) => {
                notes.lose(format!("${{{}}}: its default is used", open.name), service);
            }
            MissingVariable::Fail | MissingVariable::Message(_) => {
                notes.step(service, format!("replace ${{{}}} in its {what}", open.name));
            }
        }
    }
    text.render(str::to_owned, |open| match &open.missing {
        MissingVariable::Default(text) => {
            text.render(str::to_owned, |open| format!("${{{}}}", open.name))
        }
        MissingVariable::Fail | MissingVariable::Message(_) => format!("${{{}}}", open.name),
    })
}

/// Returns the user of a container, which must be a number here.
fn security_context(
    user: &str,
    service: &PortableService,
    notes: &mut ExportNotes,
) -> Option<YamlTable> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
    let Some(user) = number(user) else {
        notes.lose("`user`: only numbers can be used", service);
        return None;
    };
    let table = YamlTable::default().with("runAsUser", user);
    Some(table.with_some("runAsGroup", group.and_then(number)))
}

/// What a probe does.
#[derive(Clone)]
struct Handler {
    key: &'static str,
    action: Yaml,
}

fn with(handler: Handler, period: u64, failures: u64) -> YamlTable {
    YamlTable::default()
        .with(handler.key, handler.action)
        .with("periodSeconds", period)
        .with("failureThreshold", failures)
}

/// Returns the request, if Kubernetes can make it: to the container itself, with the usual meaning of
/// its answer.
fn http_get(http: &PortableHttp) -> Option<YamlTable> {
    let (port, path) = http.own.as_ref().filter(|_| http.status == AcceptedStatus::NoError)?;
    let request = YamlTable::default().with("path", path.as_literal()?);
    let scheme = http.https.then_some("HTTPS");
    Some(request.with("port", u64::from(*port)).with_some("scheme", scheme))
}

/// Returns a command of a probe or hook, in which only the shell expands variables. `escaped` writes
/// each word.
fn exec(command: &PortableCommand, escaped: fn(&str) -> String) -> YamlTable {
    let open = command.texts().iter().any(shell::is_open);
    let words = match command {
        PortableCommand::Exec(words) if !open => {
            words.iter().filter_map(|word| word.as_literal()).map(escaped).collect()
        }
        _ => vec!["sh".to_owned(), "-c".to_owned(), escaped(&shell::command(command))],
    };
    YamlTable::default().with("command", words)
}

/// Returns whole seconds, at least one.
fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}
