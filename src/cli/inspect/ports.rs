use std::path::PathBuf;

use clap::Args;

use super::kill_holders::{KillResult, find_candidates};
use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, message_text, ports_table, print, warn};
use crate::cli::start::{PromptReply, TtyPrompt};
use crate::control::RuntimeDir;
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
use crate::ports::{PortReport, report};
use crate::text::join;

/// `devstack ports`.
#[derive(Debug, Args)]
pub struct PortsArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Ports to look up [default: all ports of this stack]
    #[arg(value_name = "PORT", value_parser = port)]
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

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|port| *port > 0);
    number.ok_or_else(|| {
        "a port is a number from 1 to 65535; `devstack ports` lists those of the services"
            .to_owned()
    })
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
    let rows = report::port_rows(&context::snapshot(&context::project_dir(files))?);
    Ok(match as_json {
        true => report::json(&rows).to_string() + "\n",
        false => ports_table(&rows),
    })
}

/// Kills what listens on these ports, one after another; fails if one of them does.
fn kill(args: &PortsArgs) -> Result<ExitCode, CommandError> {
    let mut person = TtyPrompt::here();
    if !args.yes && person.is_none() {
        let message = Message::new(MessageClass::Usage, "cannot prompt: stdin is not a terminal")
            .help(format!("use `devstack ports {} --kill --yes`", join(&args.ports, " ")));
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
    let candidates = find_candidates(port)?;
    if let Some(person) = person.filter(|_| !candidates.is_empty()) {
        let (who, instead) = (candidates.describe(), &candidates.instead);
        let (question, yes): (String, &[&str]) = match instead {
            None => (format!("kill {who}? [y/N]"), &["y", "yes"]),
            Some(instead) => (format!("consider: {instead}. Kill {who} anyway? [yes/N]"), &["yes"]),
        };
        let agreed = matches!(person.ask(&question), PromptReply::Line(line) if yes.contains(&line.as_str()));
        if !agreed {
            let text = format!("aborted; port {port} is still in use by {who}");
            let help = instead.clone().unwrap_or_default();
            return Err(Message::new(MessageClass::Port, text).help(help));
        }
    }
    Ok(candidates.kill())
}
