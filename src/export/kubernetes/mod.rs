//! Manifests for Kubernetes: a Deployment and a Service for each service, a Job for each task.

mod environment;
mod volumes;
mod workload;

use std::collections::BTreeSet;

use super::yaml::{Yaml, YamlTable};
use super::{Export, ExportNotes};
use crate::model::{
    HealthAction, Name, PortablePort, PortableService, PortableStack, RestartPolicy, ServiceKind,
    UniqueNames, signal_name,
};

use environment::{SecretNames, ServiceEnvironment};
use volumes::claims;
use workload::Workload;

/// How much space a data store gets.
const DATA_SIZE: &str = "1Gi";

/// Writes a stack as manifests.
pub fn kubernetes(stack: &PortableStack) -> Export {
    let mut notes = ExportNotes::new("kubernetes", stack);
    let mut objects = Vec::new();
    if stack.services.values().any(|service| Workload { stack, service }.asks_the_api()) {
        objects.extend(waiter(stack));
    }
    let secrets = SecretNames::new(stack);
    let mut claimed = BTreeSet::new();
    for service in in_order(stack) {
        note(service, &mut notes);
        let environment = ServiceEnvironment::new(stack, service, &secrets, &mut notes);
        objects.extend(environment.config_map());
        let workload = Workload { stack, service };
        for claim in claims(service) {
            if claimed.insert(claim.clone()) {
                objects.push(volume_claim(stack, service, &claim));
            }
        }
        if !service.ports.is_empty() {
            objects.push(network_service(stack, service));
        }
        objects.push(workload.object(&environment, &mut notes));
    }
    let documents: Vec<String> = objects.iter().map(Yaml::document).collect();
    Export::single("kubernetes.yaml", &documents.join("---\n"), notes)
}

/// Returns the services, dependencies first: what waits for another finds it.
fn in_order(stack: &PortableStack) -> Vec<&PortableService> {
    let mut ordered: Vec<&PortableService> = Vec::new();
    while ordered.len() < stack.services.len() {
        let known = |name: &Name| {
            !stack.services.contains_key(name) || ordered.iter().any(|done| done.name == *name)
        };
        let next = stack
            .services
            .values()
            .find(|service| !known(&service.name) && service.depends_on.keys().all(known));
        ordered.extend(Some(next.expect("dependencies have no cycle")));
    }
    ordered
}

/// Returns the labels of what belongs to a service.
fn labels(stack: &PortableStack, service: &PortableService) -> YamlTable {
    selector(stack, service).with("app.kubernetes.io/managed-by", "devstack")
}

/// Returns the labels by which its pods are found.
fn selector(stack: &PortableStack, service: &PortableService) -> YamlTable {
    YamlTable::default()
        .with("app.kubernetes.io/name", service.host_name.as_str())
        .with("app.kubernetes.io/part-of", stack.name.as_str())
}

/// Begins an object.
fn object(version: &str, kind: &str, name: &str, labels: YamlTable) -> YamlTable {
    let metadata = YamlTable::default().with("name", name).with("labels", labels);
    YamlTable::default().with("apiVersion", version).with("kind", kind).with("metadata", metadata)
}

fn network_service(stack: &PortableStack, service: &PortableService) -> Yaml {
    let ports: Vec<YamlTable> = named_ports(service)
        .iter()
        .map(|(name, port)| {
            let number = u64::from(port.number);
            YamlTable::default().with("name", name.as_str()).with("port", number)
        })
        .collect();
    let spec = YamlTable::default().with("selector", selector(stack, service)).with("ports", ports);
    object("v1", "Service", &service.host_name, labels(stack, service)).with("spec", spec).into()
}

/// Returns the ports with their names as Kubernetes accepts them: at most 15 characters, one of them a
/// letter, each different.
fn named_ports(service: &PortableService) -> Vec<(Name, &PortablePort)> {
    let mut names = UniqueNames::default();
    let other = Name::new("port").expect("a name");
    let name = |port: &PortablePort| match port.name.contains(|c: char| c.is_ascii_alphabetic()) {
        true => port.name.clone(),
        false => format!("port-{}", port.name),
    };
    let ports = service.ports.iter();
    ports.map(|port| (names.take_short(&name(port), &other, 15), port)).collect()
}

fn volume_claim(stack: &PortableStack, service: &PortableService, name: &str) -> Yaml {
    let requests = YamlTable::default().with("storage", DATA_SIZE);
    let spec = YamlTable::default()
        .with("accessModes", vec!["ReadWriteOnce"])
        .with("resources", YamlTable::default().with("requests", requests));
    object("v1", "PersistentVolumeClaim", name, labels(stack, service)).with("spec", spec).into()
}

/// The name of the account that may see whether workloads are ready.
fn waiter_name(stack: &PortableStack) -> String {
    format!("{}-wait", stack.name)
}

/// Returns the account of init containers that wait for what has no port, with its rights.
fn waiter(stack: &PortableStack) -> [Yaml; 3] {
    let name = waiter_name(stack);
    let about = |version, kind| {
        let labels = YamlTable::default()
            .with("app.kubernetes.io/part-of", stack.name.as_str())
            .with("app.kubernetes.io/managed-by", "devstack");
        object(version, kind, &name, labels)
    };
    const RBAC: &str = "rbac.authorization.k8s.io";
    let version = format!("{RBAC}/v1");
    let rule = |group: &str, resource: &str| {
        YamlTable::default()
            .with("apiGroups", vec![group])
            .with("resources", vec![resource])
            .with("verbs", vec!["get", "list", "watch"])
    };
    let account = about("v1", "ServiceAccount");
    let rules = vec![rule("apps", "deployments"), rule("batch", "jobs")];
    let role = about(&version, "Role").with("rules", rules);
    let role_ref = YamlTable::default()
        .with("apiGroup", RBAC)
        .with("kind", "Role")
        .with("name", name.as_str());
    let subject = YamlTable::default().with("kind", "ServiceAccount").with("name", name.as_str());
    let binding =
        about(&version, "RoleBinding").with("roleRef", role_ref).with("subjects", vec![subject]);
    [account.into(), role.into(), binding.into()]
}

fn note(service: &PortableService, notes: &mut ExportNotes) {
    let found = [
        (
            "`stop.signal`",
            signal_name(service.stop.signal) != Some("TERM") && service.container.is_none(),
        ),
        (
            "`restart = \"no\"`: pods always restart",
            service.kind == ServiceKind::Service && service.restart.policy == RestartPolicy::No,
        ),
        (
            "`health` that only reports",
            service.health.as_ref().is_some_and(|health| health.action == HealthAction::Report),
        ),
    ];
    notes.lose_those(service, &found);
}
