use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::FileArgs;
use crate::cli::context;
use crate::cli::render::{CommandError, print, warn};
use crate::config::{self, Config, ConfigOverrides};
use crate::control::{RuntimeDir, StateDir};
use crate::exit_code::ExitCode;
use crate::export::LaunchJson;
use crate::export::vscode::AttachTarget;
use crate::model::{
    DEBUG_HOST, DEBUG_PORT, Message, MessageClass, Name, PortRequest, Service, Snapshot,
};
use crate::ports::PortAllocator;
use crate::text::join;

/// `devstack export vscode`.
#[derive(Debug, Args)]
pub struct VscodeArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Print the resulting launch.json without writing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `devstack export vscode`: writes attach entries for debuggable services to `launch.json`.
pub(crate) fn export(files: Vec<PathBuf>, args: &VscodeArgs) -> Result<ExitCode, CommandError> {
    let failed = |message: Message| CommandError::new(message, ExitCode::FAILED);
    let sources = context::sources(files, ConfigOverrides::default())?;
    let draft = config::load(&sources)?;
    let running = context::snapshot(draft.dir()).ok();
    let ports = ports(&draft, running.as_ref()).map_err(failed)?;
    let (attach, left_out) = entries(&draft, &ports);
    if attach.is_empty() {
        let help = "add a `debug` entry to a service: debug = { command = \"…\" }";
        let text = format!("nothing to attach to{}", list(": ", &left_out));
        return Err(failed(Message::new(MessageClass::Config, text).help(help)));
    }
    let file = LaunchJson::of(draft.dir()).with(&attach).map_err(failed)?;
    let left_out = list("skipped: ", &left_out);
    let newline = if left_out.is_empty() { "" } else { "\n" };
    if args.dry_run {
        warn(&format!("{left_out}{newline}"));
        return print(file.text());
    }
    file.write().map_err(failed)?;
    let verb = if file.is_up_to_date() { "is up to date" } else { "written" };
    let path = file.path();
    let path = path.strip_prefix(&sources.cwd).unwrap_or(&path).display().to_string();
    print(&format!(
        "{path} {verb}: {}\n{left_out}{newline}",
        join(attach.iter().map(describe), ", ")
    ))
}

fn list(before: &str, of: &[String]) -> String {
    if of.is_empty() { String::new() } else { format!("{before}{}", of.join(", ")) }
}

fn describe(one: &AttachTarget) -> String {
    format!("{} ({} at {}:{})", one.service, one.debugger.as_str(), one.host, one.port)
}

/// Returns the debugger port of each debuggable service: the current one, or one chosen now and
/// remembered.
fn ports(config: &Config, running: Option<&Snapshot>) -> Result<BTreeMap<Name, u16>, Message> {
    let views = running.into_iter().flat_map(|snapshot| &snapshot.services);
    let now = views.filter_map(|view| Some((view.name.clone(), view.debug.as_ref()?.port)));
    let mut ports: BTreeMap<Name, u16> = now.collect();
    let debuggable = config.debuggable().filter(|name| !ports.contains_key(*name));
    let debuggable = debuggable.cloned().collect();
    let mut requests = config.port_requests_with(&debuggable);
    requests.retain(|PortRequest { key, .. }| {
        key.port == DEBUG_PORT && debuggable.contains(&key.service)
    });
    if requests.is_empty() {
        return Ok(ports);
    }
    let remembered = StateDir::create(config.dir())?.port_history();
    let leases = RuntimeDir::create()?.port_leases();
    let mut market = PortAllocator::open(&leases, &remembered, config.dir());
    let given = market.assign(&requests, &BTreeMap::new()).map_err(first)?;
    ports.extend(given.into_iter().map(|(key, port)| (key.service, port.number)));
    Ok(ports)
}

fn first(mut messages: Vec<Message>) -> Message {
    messages.truncate(1);
    messages.pop().unwrap_or_else(|| Message::new(MessageClass::Port, "no port available"))
}

/// Returns an entry for each service that can have one, and why the others have none.
fn entries(config: &Config, ports: &BTreeMap<Name, u16>) -> (Vec<AttachTarget>, Vec<String>) {
    let stack = config.resolve(&BTreeMap::new());
    let (mut attach, mut left_out) = (Vec::new(), Vec::new());
    for (name, service) in &stack.services {
        match entry(service, ports.get(name).copied()) {
            Ok(entry) => attach.push(entry),
            Err(why) => left_out.push(format!("{name} ({why})")),
        }
    }
    (attach, left_out)
}

fn entry(service: &Service, port: Option<u16>) -> Result<AttachTarget, &'static str> {
    let debug = service.debug.as_ref().ok_or("no `debug` entry")?;
    let debugger = debug.debugger.ok_or("unknown debugger in `debug.command`")?;
    Ok(AttachTarget {
        service: service.name.clone(),
        debugger,
        host: DEBUG_HOST.to_owned(),
        port: port.ok_or("no port")?,
        dir: service.launch.dir.clone(),
        program: debug.program.clone(),
    })
}
