use std::path::{Path, PathBuf};

use clap::Args;

use super::kill_holders::{KillDecision, KillResult, find_candidates};
use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, message_text, ports_table, print, warn};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::control::{ControlClient, RuntimeDir};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, Snapshot};
use crate::ports::{PortReport, report};

/// `devstack ports`.
#[derive(Debug, Args)]
pub struct PortsArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Ports to look up [default: all ports of this stack]
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
    /// Kill the process listening on PORT (asks first)
    #[arg(long, requires = "ports")]
    pub kill: bool,
    /// Do not ask before killing
    #[arg(long, requires = "kill")]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack ports`: lists the ports of the stack, or shows or kills what uses the given ports.
pub(crate) fn ports(files: &[PathBuf], args: &PortsArgs) -> Result<ExitCode, CommandError> {
    match args.ports.as_slice() {
        [] => print(&stack_ports(files, args.json)?),
        _ if args.kill => kill(args),
        ports => print(&port_reports(ports, args.json)?),
    }
}

/// One port gives an object in JSON, several give a list.
fn port_reports(ports: &[u16], as_json: bool) -> Result<String, CommandError> {
    let leases = RuntimeDir::create()
        .map_err(|message| CommandError::new(message, ExitCode::FAILED))?
        .port_leases();
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

fn stack_ports(files: &[PathBuf], as_json: bool) -> Result<String, CommandError> {
    let rows = report::port_rows(&snapshot(&context::project_dir(files))?);
    Ok(match as_json {
        true => report::json(&rows).to_string() + "\n",
        false => ports_table(&rows),
    })
}

fn snapshot(dir: &Path) -> Result<Snapshot, CommandError> {
    let client = ControlClient::here(dir)?;
    Ok(context::runtime()?.block_on(client.stack())?)
}

/// Kills what listens on these ports, one after another; fails if one of them does.
fn kill(args: &PortsArgs) -> Result<ExitCode, CommandError> {
    let mut person = TtyPrompt::here();
    if !args.yes && person.is_none() {
        let ports: Vec<String> = args.ports.iter().map(u16::to_string).collect();
        let message = Message::new(MessageClass::Usage, "cannot prompt: stdin is not a terminal")
            .help(format!("use `devstack ports {} --kill --yes`", ports.join(" ")));
        return Err(message.into());
    }
    let mut asking = if args.yes { None } else { person.as_mut() };
    let failed = |message: &Message| {
        warn(&message_text(message, args.json));
        ExitCode::FAILED
    };
    let (mut code, mut outcomes) = (ExitCode::OK, Vec::new());
    for port in &args.ports {
        match kill_after_prompt(*port, asking.as_deref_mut()) {
            Ok(outcome) => {
                if !args.json {
                    print(&(outcome.lines().join("\n") + "\n"))?;
                }
                if let Some(message) = outcome.failure() {
                    code = failed(&message);
                }
                outcomes.push(outcome);
            }
            Err(message) => code = failed(&message),
        }
    }
    if args.json {
        print(&(serde_json::json!({ "version": 1, "ports": outcomes }).to_string() + "\n"))?;
    }
    Ok(code)
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
