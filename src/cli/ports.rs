use std::path::{Path, PathBuf};

use super::args;
use super::complain::{print, refuse};
use super::evict::{Case, Outcome, investigate};
use super::person::{Person, Reply};
use crate::control;
use crate::error::exit;
use crate::model::{Class, Message, Snapshot};
use crate::ports::table::{self, Report};

/// What a command comes to: what it prints, or why it failed and with which exit code.
type Answer = Result<String, (Message, i32)>;

/// `devstack ports`: every port of the running stack. `devstack ports 5000`: who holds that one; with `--kill`,
/// ends them.
pub(super) fn ports(files: &[PathBuf], args: &args::Ports) -> i32 {
    let answer = match args.ports.as_slice() {
        [] => all(files, args.json),
        _ if args.kill => return kill(args),
        ports => some(ports, args.json),
    };
    match answer {
        Ok(text) => print(&text),
        Err((message, code)) => refuse(&message, code, args.json),
    }
}

/// One port is one object; several are a list.
fn some(ports: &[u16], as_json: bool) -> Answer {
    let leases = control::runtime_dir().map_err(|message| (message, exit::FAILED))?.join("ports");
    let reports: Vec<Report> = ports.iter().map(|port| table::report(*port, &leases)).collect();
    if !as_json {
        return Ok(reports.iter().map(Report::text).collect());
    }
    let value = match reports.as_slice() {
        [report] => serde_json::to_value(report).expect("a report is plain data"),
        reports => serde_json::json!({ "version": 1, "ports": reports }),
    };
    Ok(value.to_string() + "\n")
}

fn all(files: &[PathBuf], as_json: bool) -> Answer {
    let rows = table::rows(&snapshot(&super::stack_dir(files))?);
    Ok(match as_json {
        true => table::json(&rows).to_string() + "\n",
        false => table::text(&rows),
    })
}

fn snapshot(dir: &Path) -> Result<Snapshot, (Message, i32)> {
    let start = |error| (super::no_runtime(&error), exit::FAILED);
    let runtime = super::runtime().map_err(start)?;
    let stack = runtime.block_on(async { control::Client::here(dir)?.stack().await });
    stack.map_err(|failure| (failure.message().clone(), failure.exit_code()))
}

/// Ends who listens on these ports, one port after another; the exit code is that of the last one that failed.
fn kill(args: &args::Ports) -> i32 {
    let mut person = Person::here();
    if !args.yes && person.is_none() {
        let ports: Vec<String> = args.ports.iter().map(u16::to_string).collect();
        let message = Message::new(Class::Usage, "there is no terminal to ask for a yes")
            .help(format!("give it with `devstack ports {} --kill --yes`", ports.join(" ")));
        return refuse(&message, exit::USAGE, args.json);
    }
    let mut asking = if args.yes { None } else { person.as_mut() };
    let (mut code, mut outcomes) = (exit::OK, Vec::new());
    for port in &args.ports {
        match end(*port, asking.as_deref_mut()) {
            Ok(outcome) => {
                if !args.json {
                    print(&(outcome.lines().join("\n") + "\n"));
                }
                if let Some(message) = outcome.failure() {
                    code = refuse(&message, exit::FAILED, args.json);
                }
                outcomes.push(outcome);
            }
            Err(message) => code = refuse(&message, exit::FAILED, args.json),
        }
    }
    if args.json {
        print(&(serde_json::json!({ "version": 1, "ports": outcomes }).to_string() + "\n"));
    }
    code
}

/// Ends who listens there, when the person agrees, or without a person to ask.
fn end(port: u16, person: Option<&mut Person>) -> Result<Outcome, Message> {
    let (suspects, remedy) = match investigate(port) {
        Case::Nobody => return Ok(Outcome::nobody(port)),
        Case::Guilty(suspects) => (suspects, None),
        Case::Unwise(suspects, remedy) => (suspects, Some(remedy)),
        Case::Refused(message) => return Err(message),
    };
    if let Some(person) = person {
        let who = suspects.said();
        let (question, yes): (String, &[&str]) = match &remedy {
            None => (format!("end {who}? [y/N]"), &["y", "yes"]),
            Some(remedy) => {
                (format!("better {remedy}. End {who} all the same? Type yes:"), &["yes"])
            }
        };
        let agreed =
            matches!(person.ask(&question), Reply::Line(line) if yes.contains(&line.as_str()));
        if !agreed {
            let text = format!("nobody was ended: port {port} is held by {who}");
            return Err(Message::new(Class::Port, text).help(remedy.unwrap_or_default()));
        }
    }
    Ok(suspects.evict())
}
