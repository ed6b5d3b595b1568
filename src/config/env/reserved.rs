use crate::model::{Message, MessageClass, SERVICE_VAR};

use crate::config::diagnostics::LoadReport;
use crate::config::spec::{ReplicaSpec, StackSpec, TemplateVars};

/// Notes variables in `env` that have no effect because devstack sets them. `PORT` does have one.
pub(crate) fn note_reserved_variables(spec: &StackSpec, report: &mut LoadReport) {
    for scope in &spec.scopes {
        note_in(&scope.env, "of the stack", false, report);
    }
    for service in spec.services.values() {
        if !service.env.is_empty() {
            let many = service.replicas != ReplicaSpec::One;
            note_in(&service.env, &format!("of {}", service.name), many, report);
        }
    }
}

fn note_in(env: &TemplateVars, whose: &str, many: bool, report: &mut LoadReport) {
    for name in env.keys() {
        let help = match name.as_str() {
            "HOST" => "set `host = \"…\"` instead",
            "DEVSTACK_STACK" | SERVICE_VAR | "DEVSTACK_MODE" => "use another name",
            "DEVSTACK_REPLICA" if many => "use another name",
            _ => continue,
        };
        let text = format!("{name} in `env` {whose} has no effect: devstack sets it");
        report.note(Message::new(MessageClass::Config, text).help(help));
    }
}
