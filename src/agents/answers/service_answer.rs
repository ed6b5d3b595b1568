use serde_json::json;

use super::{ToolAnswer, USUAL_BYTES, compact, cut, fenced, problem};
use crate::agents::untrusted::{clean_line, clean_text};
use crate::model::{DisplayDuration, EnvView, VariableSource, WhyView};
use crate::text::join;

/// The answer of `why`.
pub fn why_answer(why: &WhyView) -> ToolAnswer {
    /// Lines of its log, and exits. `logs` has more.
    const LINES: usize = 15;
    const EXITS: usize = 3;
    let service = &why.service;
    let cause = clean_line(service.cause.as_bytes());
    let next = match why.next.in_ms {
        Some(ms) => format!(
            "{} in {}",
            why.next.text,
            DisplayDuration(std::time::Duration::from_millis(ms))
        ),
        None => why.next.text.clone(),
    };
    let next = clean_line(next.as_bytes());
    // All that the service, its files or other programs can have a part in.
    let mut said = format!("cause: {cause}\nnext: {next}\n");
    let mut text = format!("{} is {}\n", service.name, service.phase);
    if let Some(url) = &service.url {
        text += &format!("url: {}\n", clean_line(url.as_bytes()));
    }
    let message = service.message.as_ref();
    let (first, mut quoted) = message.map(problem).unwrap_or_default();
    let help = message.map(|message| clean_text(&message.help)).unwrap_or_default();
    if !first.is_empty() && first != cause {
        said += &format!("problem: {first}\n");
    }
    for line in help.lines() {
        said += &format!("help: {line}\n");
    }
    let exits: Vec<String> = why
        .exits
        .iter()
        .take(EXITS)
        .map(|run| {
            let lived = run.lived_ms.map(std::time::Duration::from_millis);
            let lived =
                lived.map_or(String::new(), |lived| format!(" after {}", DisplayDuration(lived)));
            format!("{}{lived} ({})", run.exit, run.by.as_str())
        })
        .collect();
    if !exits.is_empty() {
        text += &format!("last exits, newest first: {}\n", exits.join("; "));
    }
    for wait in &why.waits {
        let cause = clean_line(wait.cause.as_bytes());
        said += &format!("waits for {}, which is {} ({cause})\n", wait.service, wait.phase);
    }
    if let Some(trigger) = &why.trigger {
        let path = clean_line(trigger.path.as_bytes());
        said += &format!("last change: {path} at {} led to: {}\n", trigger.at, trigger.action);
    }
    let moved = why.ports.iter().filter_map(|port| port.moved.as_deref());
    let moved: Vec<String> = moved.map(|moved| clean_line(moved.as_bytes())).collect();
    for moved in &moved {
        said += &format!("port: {moved}\n");
    }
    if let Some(probe) = &why.probe {
        quoted += &format!("\nfailing {} probe: {}", probe.probe, clean_text(&probe.text));
    }
    let log: Vec<String> = why.log.iter().map(|line| clean_line(line.as_bytes())).collect();
    let log = &log[log.len().saturating_sub(LINES)..];
    if !quoted.trim().is_empty() {
        said += quoted.trim();
        said.push('\n');
    }
    for line in log {
        said += &format!("{} | {line}\n", service.name);
    }
    let data = compact(json!({
        "service": service.name,
        "phase": service.phase,
        "since": service.since,
        "cause": cause,
        "next": next,
        "url": service.url,
        "problem": first,
        "help": help,
        "details": quoted.trim(),
        "exits": exits,
        "waits_for": why.waits.iter().map(|wait| format!("{} ({})", wait.service, wait.phase)).collect::<Vec<_>>(),
        "trigger": why.trigger.as_ref().map(|trigger| clean_line(trigger.path.as_bytes())),
        "moved": moved,
        "log": log,
    }));
    ToolAnswer { text: fenced(&text, &said), data }
}

/// The answer of `env`: names and where each comes from, never a value.
pub fn env_answer(view: &EnvView) -> ToolAnswer {
    let shown: Vec<(String, String)> = view
        .variables
        .iter()
        .filter_map(|variable| {
            let source = source(&variable.source)?;
            Some((clean_line(variable.name.as_bytes()), clean_line(source.as_bytes())))
        })
        .collect();
    let mut text = format!("{} variables of {} (no values):\n", shown.len(), view.service);
    text += &shown.iter().map(|(name, source)| format!("{name} ({source})\n")).collect::<String>();
    let variables: Vec<_> =
        shown.iter().map(|(name, source)| json!({ "name": name, "source": source })).collect();
    ToolAnswer {
        text: cut(text, USUAL_BYTES),
        data: json!({ "service": view.service, "variables": variables }),
    }
}

/// Where a variable comes from; `None` for those of devstack's own environment.
fn source(source: &VariableSource) -> Option<String> {
    Some(match source {
        VariableSource::Inherited => return None,
        VariableSource::Preset { preset } => format!("preset {preset}"),
        VariableSource::StackFile(place)
        | VariableSource::StackEnv(place)
        | VariableSource::ServiceFile(place)
        | VariableSource::ServiceEnv(place) => join([&place.file, &place.line.to_string()], ":"),
        VariableSource::Devstack => "devstack".to_owned(),
        VariableSource::PreviousConfig => "the former configuration".to_owned(),
    })
}
