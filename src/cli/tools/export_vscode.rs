use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use crate::cli::args;
use crate::cli::render::print;
use crate::config::{self, Config, ConfigOverrides};
use crate::control::{ControlClient, RuntimeDir, StateDir};
use crate::error::{exit, render_message};
use crate::export::LaunchJson;
use crate::export::vscode::{AttachTarget, merge};
use crate::model::{DEBUG_HOST, DEBUG_PORT, Message, MessageClass, Name, Service, Snapshot};
use crate::ports::PortAllocator;

/// `devstack export vscode`: writes attach entries for debuggable services to `launch.json`.
pub(crate) fn export(files: Vec<PathBuf>, args: &args::VscodeArgs) -> i32 {
    match try_export(files, args.dry_run) {
        Ok(code) => code,
        Err((text, code)) => {
            say(&text);
            code
        }
    }
}

fn say(text: &str) {
    // If stderr cannot be written, the exit code still reports the error.
    let _ = stderr().write_all(text.as_bytes());
}

fn try_export(files: Vec<PathBuf>, dry_run: bool) -> Result<i32, (String, i32)> {
    let failed = |message: Message| (render_message(&message), exit::FAILED);
    let sources = crate::cli::sources(files, ConfigOverrides::default())
        .map_err(|message| (render_message(&message), exit::USAGE))?;
    let draft = config::load(&sources)
        .map_err(|wrong| (wrong.render(crate::cli::color(&stderr())), exit::USAGE))?;
    let running = running(draft.dir());
    let ports = ports(&draft, running.as_ref()).map_err(failed)?;
    let (attach, left_out) = entries(&draft, &ports);
    if attach.is_empty() {
        let help = "add a `debug` entry to a service: debug = { command = \"…\" }";
        let text = format!("nothing to attach to{}", list(": ", &left_out));
        return Err(failed(Message::new(MessageClass::Config, text).help(help)));
    }
    let file = LaunchJson::of(draft.dir());
    let existing = file.read().map_err(failed)?;
    let text = merge(existing.as_deref(), &attach, &file.workspace).map_err(failed)?;
    let left_out = list("skipped: ", &left_out);
    let newline = if left_out.is_empty() { "" } else { "\n" };
    if dry_run {
        say(&format!("{left_out}{newline}"));
        return Ok(print(&text));
    }
    if existing.as_ref() != Some(&text) {
        file.write(&text).map_err(failed)?;
    }
    let told: Vec<String> = attach.iter().map(describe).collect();
    let verb = if existing.as_ref() == Some(&text) { "is up to date" } else { "written" };
    let path = file.path();
    let path = path.strip_prefix(&sources.cwd).unwrap_or(&path).display().to_string();
    Ok(print(&format!("{path} {verb}: {}\n{left_out}{newline}", told.join(", "))))
}

fn list(before: &str, of: &[String]) -> String {
    if of.is_empty() { String::new() } else { format!("{before}{}", of.join(", ")) }
}

fn describe(one: &AttachTarget) -> String {
    format!("{} ({} at {}:{})", one.service, one.debugger.as_str(), one.host, one.port)
}

fn running(dir: &Path) -> Option<Snapshot> {
    let runtime = crate::cli::runtime().ok()?;
    runtime.block_on(async { ControlClient::here(dir)?.stack().await }).ok()
}

/// Returns the debugger port of each debuggable service: the current one, or one chosen now and
/// remembered.
fn ports(draft: &Config, running: Option<&Snapshot>) -> Result<BTreeMap<Name, u16>, Message> {
    let views = running.into_iter().flat_map(|snapshot| &snapshot.services);
    let now = views.filter_map(|view| Some((view.name.clone(), view.debug.as_ref()?.port)));
    let mut ports: BTreeMap<Name, u16> = now.collect();
    let debuggable = draft.debuggable().filter(|name| !ports.contains_key(*name));
    let debuggable = debuggable.cloned().collect();
    let mut wishes = draft.port_requests_with(&debuggable);
    wishes.retain(|wish| wish.port == DEBUG_PORT && debuggable.contains(&wish.service));
    if wishes.is_empty() {
        return Ok(ports);
    }
    let remembered = StateDir::create(draft.dir())?.port_history();
    let leases = RuntimeDir::create()?.port_leases();
    let mut market = PortAllocator::open(&leases, &remembered, draft.dir());
    let given = market.assign(&wishes, &BTreeMap::new()).map_err(first)?;
    ports.extend(given.into_iter().map(|((name, _), port)| (name, port.number)));
    Ok(ports)
}

fn first(mut messages: Vec<Message>) -> Message {
    messages.truncate(1);
    messages.pop().unwrap_or_else(|| Message::new(MessageClass::Port, "no port available"))
}

/// Returns an entry for each service that can have one, and why the others have none.
fn entries(draft: &Config, ports: &BTreeMap<Name, u16>) -> (Vec<AttachTarget>, Vec<String>) {
    let stack = draft.resolve(&BTreeMap::new());
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
