//! Programs that containers refer to, and that listen where only this machine reaches them.

use std::collections::BTreeSet;

use crate::config::diagnostics::LoadReport;
use crate::config::spec::{ServiceSpec, StackSpec};
use crate::config::template::ServiceField;
use crate::model::{Message, MessageClass, Name, is_loopback};

/// Notes each program on loopback whose address a container has, before replicas are created. Engines
/// that run in a virtual machine reach it all the same.
pub(super) fn note_unreachable_programs(spec: &StackSpec, report: &mut LoadReport) {
    if !cfg!(target_os = "linux") {
        return;
    }
    for container in spec.services.values().filter(|service| service.container.is_some()) {
        for program in referenced(spec, container) {
            let (container, host) = (&container.name, &spec.services[&program].host);
            let text = format!("{container} may not reach {program}, which listens on {host}");
            let help =
                format!("set `host = \"0.0.0.0\"` for {program}: a container is another host");
            report.note(Message::new(MessageClass::Config, text).help(help));
        }
    }
}

/// Returns the programs on loopback to whose addresses a container refers.
fn referenced(spec: &StackSpec, container: &ServiceSpec) -> BTreeSet<Name> {
    let mut found = BTreeSet::new();
    let mut see = |name: &str, field: &ServiceField, _| {
        let target = spec.find_written(name).filter(|target| target.container.is_none());
        let target = target.filter(|target| is_loopback(&target.host));
        // A browser uses its origin.
        found.extend(target.filter(|_| *field != ServiceField::Origin).map(|it| it.name.clone()));
    };
    let env = spec.scope(container).env.values();
    for template in container.templates().chain(env) {
        template.services(&mut see);
    }
    found
}
