use std::path::Path;

use serde_json::{Value, json};

use super::{ToolAnswer, USUAL_BYTES, compact, cut, fenced, problem};
use crate::agents::untrusted::{clean_line, clean_text};
use crate::model::{ActionView, Message, Phase, PlanView, ServiceView, Snapshot};
use crate::ports::report::PortRow;
use crate::ports::{PortHolder, PortReport};

/// Most services that are listed; those with a problem come first.
const MOST_SERVICES: usize = 40;

/// The answer of `status` and `up` while a stack runs.
pub fn stack_answer(snapshot: &Snapshot) -> ToolAnswer {
    let mut services: Vec<&ServiceView> = snapshot.services.iter().collect();
    let left_out = services.len().saturating_sub(MOST_SERVICES);
    if left_out > 0 {
        services.sort_by_key(|service| is_well(service));
        services.truncate(MOST_SERVICES);
    }
    let state = serde_json::to_value(snapshot.state).unwrap_or_default();
    let state = state.as_str().unwrap_or_default().to_owned();
    let dir = clean_line(snapshot.dir.to_string_lossy().as_bytes());
    let stack = clean_line(snapshot.stack.as_bytes());
    let mut text = format!("{stack} is {state} in {dir}\n");
    let mut quoted = String::new();
    for service in &services {
        text += &service_line(service);
        quoted += &service_details(service);
    }
    if left_out > 0 {
        text += &format!("… and {left_out} more services\n");
    }
    let data = json!({
        "running": true,
        "stack": stack,
        "dir": dir,
        "state": state,
        "services": services.iter().map(|service| service_data(service)).collect::<Vec<_>>(),
        "left_out": left_out,
    });
    ToolAnswer { text: fenced(&text, &quoted), data }
}

fn is_well(service: &ServiceView) -> bool {
    matches!(service.phase, Phase::Ready | Phase::Done | Phase::Asleep | Phase::Idle)
}

fn service_line(service: &ServiceView) -> String {
    let mut line = format!("{} {}", service.name, service.phase);
    if let Some(url) = &service.url {
        line += &format!(" {}", clean_line(url.as_bytes()));
    } else if let Some(port) = service.port {
        line += &format!(" port {port}");
    }
    if let (Some(port), Some(wanted)) = (service.port, service.wanted_port)
        && port != wanted
    {
        line += &format!(" (wanted {wanted})");
    }
    if service.restarts > 0 {
        line += &format!(" restarts {}", service.restarts);
    }
    line.push('\n');
    for action in &service.actions {
        line += &format!("  action: {}\n", action_text(action));
    }
    line
}

/// What may quote the service or other programs.
fn service_details(service: &ServiceView) -> String {
    let (mut text, cause) = (String::new(), clean_line(service.cause.as_bytes()));
    if !is_well(service) {
        text += &format!("{}: {cause}\n", service.name);
    }
    if let Some(message) = service.message.as_ref() {
        let problem = problem(message).0;
        if is_well(service) || problem != cause {
            text += &format!("{} problem: {problem}\n", service.name);
        }
        for help in message.help.lines() {
            text += &format!("{} help: {}\n", service.name, clean_line(help.as_bytes()));
        }
    }
    text
}

fn service_data(service: &ServiceView) -> Value {
    let message = service.message.as_ref();
    compact(json!({
        "name": service.name,
        "phase": service.phase,
        "url": service.url,
        "port": service.port,
        "wanted_port": service.wanted_port.filter(|wanted| Some(*wanted) != service.port),
        "restarts": (service.restarts > 0).then_some(service.restarts),
        "cause": (!is_well(service)).then(|| clean_line(service.cause.as_bytes())),
        "exit": service.exit.filter(|_| !is_well(service)),
        "problem": message.map(|message| problem(message).0),
        "help": message.map(|message| clean_text(&message.help)),
        "actions": service.actions.iter().map(action_text).collect::<Vec<_>>(),
    }))
}

/// `seed COUNT: fill the database`
fn action_text(action: &ActionView) -> String {
    let mut text = action.name.to_string();
    action.args.iter().for_each(|arg| text += &format!(" {}", arg.as_str().to_uppercase()));
    if let Some(help) = &action.help {
        text += &format!(": {}", clean_line(help.as_bytes()));
    }
    text
}

/// The answer of `status` where no stack runs.
pub fn not_running_answer(dir: &Path) -> ToolAnswer {
    let dir = clean_line(dir.to_string_lossy().as_bytes());
    let text =
        format!("no stack is running in {dir}; `up` starts it, `plan` shows what that would do\n");
    ToolAnswer { text, data: json!({ "running": false, "dir": dir, "services": [] }) }
}

/// The answer of `check`, from what `devstack check --json` prints.
pub fn check_answer(printed: &Value, notes: &str) -> ToolAnswer {
    let services = printed["services"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = services.iter().filter_map(Value::as_str).collect();
    let stack = printed["stack"].as_str().unwrap_or_default();
    let notes = clean_text(notes.trim());
    let mut text = format!("{stack}: no errors; services: {}\n", names.join(", "));
    if !notes.is_empty() {
        text += &(notes.clone() + "\n");
    }
    let data = compact(json!({ "ok": true, "stack": stack, "services": names, "notes": notes }));
    ToolAnswer { text: cut(text, USUAL_BYTES), data }
}

/// The answer of `check` about a configuration with mistakes, from the text of `devstack check`.
pub fn broken_check_answer(printed: &str) -> ToolAnswer {
    let text = cut(clean_lines(printed.trim_end()) + "\n", USUAL_BYTES);
    ToolAnswer { data: json!({ "ok": false, "errors": text }), text }
}

/// Cleans the lines of an excerpt and keeps their indentation.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean_line(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

/// The answer of `plan`.
pub fn plan_answer(view: &PlanView) -> ToolAnswer {
    let what = if view.running { "applying the files would change" } else { "`up` would start" };
    let mut text = match view.plan.is_empty() {
        true => format!("{}: nothing to change\n", view.stack),
        false => format!("{}: {what}\n", view.stack),
    };
    for line in view.plan.lines() {
        text += &(clean_line(line.as_bytes()) + "\n");
    }
    let notes: String = view.notes.iter().map(note_line).collect();
    let changes = view.plan.changes.iter().map(|change| {
        json!({
            "service": change.service,
            "action": change.action,
            "because": clean_line(change.reason.as_bytes()),
        })
    });
    let data = json!({
        "running": view.running,
        "stack": view.stack,
        "changes": changes.collect::<Vec<_>>(),
        "unchanged": view.plan.unchanged,
        "notes": view.notes.iter().map(|note| clean_text(&note.text)).collect::<Vec<_>>(),
    });
    ToolAnswer { text: fenced(&text, &notes), data }
}

fn note_line(note: &Message) -> String {
    let help = if note.help.is_empty() { String::new() } else { format!(" ({})", note.help) };
    format!("note: {}\n", clean_line(format!("{}{help}", note.text).as_bytes()))
}

/// The answer of `ports` about the stack.
pub fn ports_answer(rows: &[PortRow]) -> ToolAnswer {
    let (mut text, mut quoted) = (String::new(), String::new());
    let mut list = Vec::new();
    for row in rows {
        let holder = row.holder.as_ref().filter(|_| !row.own).map(holder_text);
        let wanted = row.wanted.filter(|wanted| *wanted != row.actual);
        let blocked = row.wanted_holder.as_ref().map(holder_text);
        text += &format!("{} {} {}", row.service, row.port, row.actual);
        if let Some(wanted) = wanted {
            text += &format!(" (wanted {wanted})");
            if let Some(blocked) = &blocked {
                quoted += &format!("{wanted} is in use by {blocked}\n");
            }
        }
        text += match (row.listening, row.own) {
            (false, _) => " not listening",
            (true, true) => " listening",
            (true, false) => " held by another process",
        };
        if let Some(holder) = &holder {
            quoted += &format!("{} is held by {holder}\n", row.actual);
        }
        text.push('\n');
        list.push(compact(json!({
            "service": row.service,
            "name": row.port,
            "port": row.actual,
            "wanted": wanted,
            "wanted_holder": blocked,
            "listening": row.listening,
            "holder": holder,
            "listens_elsewhere": row.elsewhere,
        })));
    }
    if text.is_empty() {
        text = "this stack has no ports\n".to_owned();
    }
    ToolAnswer { text: fenced(&text, &quoted), data: json!({ "ports": list }) }
}

/// The answer of `ports` about one port of this machine.
pub fn port_report_answer(report: &PortReport) -> ToolAnswer {
    let detail = cut(clean_text(&report.text()) + "\n", USUAL_BYTES);
    let state = if report.holders.is_empty() { "nothing listens there" } else { "in use" };
    let text = fenced(&format!("port {}: {state}\n", report.port), &detail);
    let holders: Vec<String> = report.holders.iter().map(holder_text).collect();
    let port = compact(json!({
        "port": report.port,
        "listening": !report.holders.is_empty(),
        "holder": holders.join(", "),
    }));
    ToolAnswer { data: json!({ "ports": [port], "text": detail }), text }
}

fn holder_text(holder: &PortHolder) -> String {
    clean_line(holder.to_string().as_bytes())
}
