use std::time::Duration;

use super::environment::{ServiceEnvironment, escape, expanded};
use super::{labels, named_ports, object, selector, waiter_name};
use crate::export::yaml::{Yaml, YamlTable};
use crate::export::{ExportNotes, shell};
use crate::model::{
    AcceptedStatus, Condition, HealthAction, Name, PortableCommand, PortableHttp, PortableProbe,
    PortableService, PortableStack, RestartPolicy, ServiceKind, UniqueNames,
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
        let keeps_data = service.image.as_ref().is_some_and(|image| image.data.is_some());
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
        let data = service.image.as_ref().and_then(|image| image.data);
        let volumes = data.map(|_| {
            let claim =
                YamlTable::default().with("claimName", format!("{}-data", service.host_name));
            vec![YamlTable::default().with("name", "data").with("persistentVolumeClaim", claim)]
        });
        let restart = (service.kind == ServiceKind::Task).then_some("OnFailure");
        let account = self.asks_the_api().then(|| waiter_name(self.stack));
        YamlTable::default()
            .with_some("serviceAccountName", account)
            .with_some("initContainers", Some(waits))
            .with("containers", vec![self.container(environment, notes)])
            .with_some("volumes", volumes)
            .with_some("restartPolicy", restart)
            .with("terminationGracePeriodSeconds", seconds(service.stop.grace))
            // They would set variables such as API_PORT to addresses.
            .with("enableServiceLinks", false)
    }

    fn container(
        &self,
        environment: &ServiceEnvironment<'_>,
        notes: &mut ExportNotes,
    ) -> YamlTable {
        let service = self.service;
        let (image, command, args) = match &service.image {
            Some(image) => (image.name.to_owned(), Vec::new(), image.command.clone()),
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
        let mounts =
            service.image.as_ref().and_then(|image| image.data).map(|data| {
                vec![YamlTable::default().with("name", "data").with("mountPath", data)]
            });
        let stop = service.stop.command.as_ref().filter(|_| service.image.is_none());
        let lifecycle = stop.map(|command| {
            // Kubernetes expands nothing in hooks.
            let exec = exec(command, str::to_owned);
            YamlTable::default().with("preStop", YamlTable::default().with("exec", exec))
        });
        let container = YamlTable::default()
            .with("name", service.host_name.as_str())
            .with("image", image)
            .with_some("command", Some(command))
            .with_some("args", Some(args))
            .with_some("ports", Some(ports.collect::<Vec<_>>()))
            .with_some("envFrom", Some(environment.sources()))
            .with_some("env", Some(environment.variables()));
        self.probes(container, notes)
            .with_some("lifecycle", lifecycle)
            .with_some("volumeMounts", mounts)
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
