use super::errors::note_text;
use super::table::Table;
use crate::model::{ChangeAction, PlanView, ServiceChange};
use crate::text::join;

pub(crate) fn text(view: &PlanView) -> String {
    let mut text = match view.running {
        true => of_running(view),
        false => of_up(view),
    };
    for note in &view.notes {
        text += &note_text(note);
    }
    text
}

fn of_running(view: &PlanView) -> String {
    let (stack, plan) = (&view.stack, &view.plan);
    let keeps = match plan.unchanged.len() {
        0 => String::new(),
        _ => format!("; unchanged: {}", join(&plan.unchanged, ", ")),
    };
    if plan.is_empty() {
        return format!("{stack} matches its configuration{keeps}\n");
    }
    let why = match view.live {
        true => "configuration differs from the running stack",
        false => {
            "configuration differs from the running stack; changes are not applied while it runs"
        }
    };
    let lines: String = plan.lines().iter().map(|line| format!("  {line}\n")).collect();
    format!("{stack}: {why}{keeps}\n{lines}")
}

fn of_up(view: &PlanView) -> String {
    let (starts, rest): (Vec<&ServiceChange>, Vec<&ServiceChange>) =
        view.plan.changes.iter().partition(|change| change.action != ChangeAction::Define);
    let stack = &view.stack;
    let mut text = match starts.len() {
        0 => format!("{stack}: `devstack up` would start nothing\n"),
        1 => format!("{stack}: `devstack up` would start 1 service\n"),
        many => format!("{stack}: `devstack up` would start {many} services in this order\n"),
    };
    let mut table = Table::new(2);
    for change in starts {
        table.row([format!("  {}", change.service).into(), start_details(change).into()]);
    }
    text += &table.render();
    if !rest.is_empty() {
        let rest = rest.iter().map(|change| &change.service);
        text += &format!("not started: {}\n", join(rest, ", "));
    }
    text
}

fn start_details(change: &ServiceChange) -> String {
    let mut parts = Vec::new();
    let mut ports: Vec<String> = match change.ports.len() {
        1 => change.ports.values().map(|number| format!("port {number}")).collect(),
        _ => change.ports.iter().map(|(name, number)| format!("{name} {number}")).collect(),
    };
    if !change.moved.is_empty() {
        ports.push(format!("({})", change.moved.join("; ")));
    }
    if !ports.is_empty() {
        parts.push(ports.join(" "));
    }
    let needs =
        change.waits_for.iter().map(|need| format!("{} is {}", need.service, need.condition));
    let needs: Vec<String> = needs.collect();
    if !needs.is_empty() {
        parts.push(format!("when {}", needs.join(", ")));
    }
    parts.join(", ")
}
