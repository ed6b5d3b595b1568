use std::path::{Path, PathBuf};

use super::kill_holders::{KillDecision, KillResult, find_candidates};
use crate::cli::args;
use crate::cli::render::{fail, print};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::control::{ControlClient, RuntimeDir};
use crate::error::exit;
use crate::model::{Message, MessageClass, Snapshot};
use crate::ports::{PortReport, report};

/// Text to print, or the error and exit code.
type Answer = Result<String, (Message, i32)>;

/// `devstack ports`: lists the ports of the stack, or shows or kills what uses the given ports.
pub(crate) fn ports(files: &[PathBuf], args: &args::PortsArgs) -> i32 {
    let answer = match args.ports.as_slice() {
        [] => stack_ports(files, args.json),
        _ if args.kill => return kill(args),
        ports => port_reports(ports, args.json),
    };
    match answer {
        Ok(text) => print(&text),
        Err((message, code)) => fail(&message, code, args.json),
    }
}

/// One port gives an object in JSON, several give a list.
fn port_reports(ports: &[u16], as_json: bool) -> Answer {
    let leases = RuntimeDir::create().map_err(|message| (message, exit::FAILED))?.port_leases();
    let reports: Vec<PortReport> =
        ports.iter().map(|port| report::port_report(*port, &leases)).collect();
    if !as_json {
        return Ok(reports.iter().map(PortReport::text).collect());
    }
    let value = match reports.as_slice() {
        [report] => serde_json::to_value(report).expect("reports serialize to JSON"),
        reports => serde_json::json!({ "version": 1, "ports": reports }),
    };
    Ok(value.to_string() + "\n")
}

fn stack_ports(files: &[PathBuf], as_json: bool) -> Answer {
    let rows = report::port_rows(&snapshot(&crate::cli::project_dir(files))?);
    Ok(match as_json {
        true => report::json(&rows).to_string() + "\n",
        false => report::text(&rows),
    })
}

fn snapshot(dir: &Path) -> Result<Snapshot, (Message, i32)> {
    let start = |error| (crate::cli::no_runtime(&error), exit::FAILED);
    let runtime = crate::cli::runtime().map_err(start)?;
    let stack = runtime.block_on(async { ControlClient::here(dir)?.stack().await });
    stack.map_err(|failure| (failure.message().clone(), failure.exit_code()))
}

/// Kills what listens on these ports, one after another; returns the exit code of the last failure.
fn kill(args: &args::PortsArgs) -> i32 {
    let mut person = TtyPrompt::here();
    if !args.yes && person.is_none() {
        let ports: Vec<String> = args.ports.iter().map(u16::to_string).collect();
        let message = Message::new(MessageClass::Usage, "cannot prompt: stdin is not a terminal")
            .help(format!("use `devstack ports {} --kill --yes`", ports.join(" ")));
        return fail(&message, exit::USAGE, args.json);
    }
    let mut asking = if args.yes { None } else { person.as_mut() };
    let (mut code, mut outcomes) = (exit::OK, Vec::new());
    for port in &args.ports {
        match kill_after_prompt(*port, asking.as_deref_mut()) {
            Ok(outcome) => {
                if !args.json {
                    print(&(outcome.lines().join("\n") + "\n"));
                }
                if let Some(message) = outcome.failure() {
                    code = fail(&message, exit::FAILED, args.json);
                }
                outcomes.push(outcome);
            }
            Err(message) => code = fail(&message, exit::FAILED, args.json),
        }
    }
    if args.json {
        print(&(serde_json::json!({ "version": 1, "ports": outcomes }).to_string() + "\n"));
    }
    code
}

/// Kills what listens on the port, after a prompt unless `person` is `None`.
fn kill_after_prompt(port: u16, person: Option<&mut TtyPrompt>) -> Result<KillResult, Message> {
    let (suspects, remedy) = match find_candidates(port) {
        KillDecision::Nobody => return Ok(KillResult::nobody(port)),
        KillDecision::Allowed(suspects) => (suspects, None),
        KillDecision::Discouraged(suspects, remedy) => (suspects, Some(remedy)),
        KillDecision::Refused(message) => return Err(message),
    };
    if let Some(person) = person {
        let who = suspects.describe();
        let (question, yes): (String, &[&str]) = match &remedy {
            None => (format!("kill {who}? [y/N]"), &["y", "yes"]),
            Some(remedy) => (format!("consider: {remedy}. Kill {who} anyway? [yes/N]"), &["yes"]),
        };
        let agreed = matches!(person.ask(&question), PromptReply::Line(line) if yes.contains(&line.as_str()));
        if !agreed {
            let text = format!("aborted; port {port} is still in use by {who}");
            return Err(Message::new(MessageClass::Port, text).help(remedy.unwrap_or_default()));
        }
    }
    Ok(suspects.kill())
}
