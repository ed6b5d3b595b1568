//! process-compose: `process-compose.yaml`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::{clean_path, read_env};
use super::service_names::ServiceNames;
use super::substitution::{to_shell, to_template, with_defaults};
use super::yaml::{Unsupported, YamlDocument, YamlNode};
use super::{
    ImportedCommand, ImportedProbe, ImportedService, ImportedStack, ProbeTest, finish_import,
    replicas, stack_name,
};
use crate::model::{Condition, Message, RestartPolicy, signal_name};
use crate::text::quote;

/// How long readiness may take without a word about it in `devstack.toml`.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

const OWN_LOGS: &str = "not carried over: `devstack logs` shows what services printed";
const SCREEN: &str = "not carried over: it is for the display of process-compose";
const TEMPLATES: &str = "not carried over: values with `{{…}}` must be written out";

const UNSUPPORTED: Unsupported = &[
    ("log_location", OWN_LOGS),
    ("log_level", OWN_LOGS),
    ("log_length", OWN_LOGS),
    ("log_format", OWN_LOGS),
    ("log_configuration", OWN_LOGS),
    ("processes.*.log_location", OWN_LOGS),
    ("processes.*.log_configuration", OWN_LOGS),
    ("processes.*.disable_ansi_colors", "not carried over: set `NO_COLOR = \"1\"` in `env`"),
    ("processes.*.is_daemon", "not carried over: the command must stay in the foreground"),
    (
        "processes.*.launch_timeout_seconds",
        "not carried over: the command must stay in the foreground",
    ),
    (
        "processes.*.is_foreground",
        "not carried over: `devstack attach` gives any service the keyboard",
    ),
    ("processes.*.is_elevated", "not carried over: devstack starts nothing as another user"),
    (
        "processes.*.is_tty",
        "not carried over: a service has a terminal if devstack has one, see `tty`",
    ),
    ("processes.*.vars", TEMPLATES),
    ("vars", TEMPLATES),
    ("processes.*.namespace", "not carried over: name the services to start, or use `profiles`"),
    ("processes.*.shutdown.command", "not carried over: set `stop = { command = \"…\" }`"),
    (
        "processes.*.shutdown.parent_only",
        "not carried over: devstack stops all processes of a service",
    ),
    ("processes.*.availability.max_restarts", "not carried over: set `restart = { max = … }`"),
    ("processes.*.availability.backoff_seconds", "not carried over: set `restart = { delay = … }`"),
    ("processes.*.availability.exit_on_skipped", "not carried over: set `on_exit = \"shutdown\"`"),
    (
        "processes.*.*.timeout_seconds",
        "not carried over: a single check has no time limit of its own",
    ),
    ("processes.*.*.success_threshold", "not carried over: one success is enough"),
    ("processes.*.*.http_get.headers", "not carried over: requests have no headers of their own"),
    ("processes.*.*.http_get.status_code", "not carried over: set `status` beside `http`"),
    (
        "processes.*.*.exec.working_dir",
        "not carried over: checks run in the directory of the service",
    ),
    ("env_cmds", "not carried over: write the values into an env file"),
    ("disable_env_expansion", "not carried over: `$$` is a dollar sign in `env`"),
    ("is_dotenv_disabled", "not carried over: set `env_file = []` for the stack"),
    ("is_tui_disabled", SCREEN),
    ("is_strict", "not carried over: unknown keys are always errors"),
    ("extends", "not carried over: run `devstack init --from` with that file too"),
    ("shell", "not carried over: commands run in sh"),
];

/// Reads `process-compose.yaml`. `file` is its name for errors and notes.
///
/// # Errors
///
/// The file is not valid YAML, or has no processes.
pub fn read_process_compose(text: &str, file: &str) -> Result<ImportedStack, Message> {
    read_document(&YamlDocument::parse(text, file)?, file)
}

pub(super) fn read_document(document: &YamlDocument, file: &str) -> Result<ImportedStack, Message> {
    let root = &document.root;
    let mut stack = ImportedStack::default();
    if let Some(version) = root.get("version") {
        version.accept();
    }
    stack.name = root.get("name").and_then(stack_name);
    if let Some(env) = root.get("environment") {
        stack.env = read_env(env).into_iter().map(|(name, value, _)| (name, value)).collect();
    }
    if let Some(files) = root.get("env_file") {
        stack.env_files = read_env_files(files);
    }
    if let Some(processes) = root.get("processes") {
        let processes = processes.entries();
        let names = ServiceNames::choose(processes);
        for (name, node) in processes {
            let name = names.get(name).expect("every process has a name").to_owned();
            if let Some(service) = read_process(name, node, &names) {
                stack.services.push(service);
            }
        }
        mark_tasks(&mut stack.services);
    }
    finish_import(stack, document, file, UNSUPPORTED, "processes")
}

fn read_process(name: String, node: &YamlNode, names: &ServiceNames) -> Option<ImportedService> {
    let mut service = ImportedService { name, ..ImportedService::default() };
    service.command = read_command(node);
    if service.command.is_none() {
        node.reject("not carried over: it has no command");
        return None;
    }
    if let Some(text) = node.get("description").and_then(YamlNode::text) {
        service.description = Some(text.to_owned());
    }
    if let Some(dir) = node.get("working_dir") {
        service.dir = clean_path(with_defaults(dir.text().unwrap_or_default(), dir));
    }
    if let Some(env) = node.get("environment") {
        service.env = read_env(env).into_iter().map(|(name, value, _)| (name, value)).collect();
    }
    if let Some(files) = node.get("env_file") {
        service.env_files = read_env_files(files);
    }
    if let Some(on) = node.get("depends_on") {
        service.depends_on = read_dependencies(on, names);
    }
    read_probes(node, &mut service);
    if let Some(availability) = node.get("availability") {
        service.restart = read_restart(availability);
    }
    if let Some(shutdown) = node.get("shutdown") {
        read_shutdown(shutdown, &mut service);
    }
    service.replicas = node.get("replicas").and_then(replicas);
    service.is_manual = node.get("disabled").and_then(YamlNode::boolean) == Some(true);
    Some(service)
}

fn read_command(node: &YamlNode) -> Option<ImportedCommand> {
    let command = node.get("command");
    if let Some(words) = node.get("entrypoint") {
        if let Some(command) = command {
            command.reject("not carried over: `entrypoint` is used");
        }
        let words = words.items().iter();
        let words = words.filter_map(|word| Some(to_template(word.text()?, word)));
        return Some(ImportedCommand::Words(words.collect()));
    }
    let command = command?;
    let text = command.text()?;
    note_templates(text, command);
    Some(ImportedCommand::Shell(to_shell(text.trim_end())))
}

fn note_templates(text: &str, node: &YamlNode) {
    if text.contains("{{") {
        node.note("`{{…}}` is not replaced: write the value out");
    }
}

fn read_env_files(node: &YamlNode) -> Vec<(PathBuf, bool)> {
    let paths = node.one_or_more().iter();
    paths.filter_map(|it| Some((clean_path(with_defaults(it.text()?, it)), false))).collect()
}

fn read_dependencies(node: &YamlNode, names: &ServiceNames) -> Vec<(String, Condition)> {
    let mut dependencies = Vec::new();
    for (name, on) in node.entries() {
        let condition = match on.get("condition").and_then(YamlNode::text) {
            None | Some("process_started") => Condition::Started,
            Some("process_healthy" | "process_log_ready") => Condition::Ready,
            Some("process_completed_successfully") => Condition::Completed,
            Some("process_completed") => {
                on.note("now waits until it has completed without an error");
                Condition::Completed
            }
            Some(other) => {
                on.note(format!("unknown condition {}: now waits until it started", quote(other)));
                Condition::Started
            }
        };
        match names.get(name) {
            Some(name) => dependencies.push((name.to_owned(), condition)),
            None => on.reject("not carried over: unknown process"),
        }
    }
    dependencies
}

/// Those that others wait for to complete are tasks.
fn mark_tasks(services: &mut [ImportedService]) {
    let completed = services.iter().flat_map(|service| &service.depends_on);
    let completed = completed.filter(|(_, condition)| *condition == Condition::Completed);
    let tasks: BTreeSet<String> = completed.map(|(name, _)| name.clone()).collect();
    for service in services {
        service.is_task = tasks.contains(&service.name);
        if service.is_task && service.restart == Some(RestartPolicy::No) {
            service.restart = None;
        }
    }
}

fn read_probes(node: &YamlNode, service: &mut ImportedService) {
    if let Some(probe) = node.get("readiness_probe") {
        service.ready = read_probe(probe, service).map(|ready| ImportedProbe {
            interval: None,
            failures: None,
            ..ready
        });
    }
    if let Some(probe) = node.get("liveness_probe") {
        service.health =
            read_probe(probe, service).map(|health| ImportedProbe { timeout: None, ..health });
        if service.health.is_some() {
            probe.note("reports only: set `action = \"restart\"` in `health` to restart it");
        }
    }
    if let Some(line) = node.get("ready_log_line") {
        if service.ready.is_some() {
            line.reject("not carried over: `readiness_probe` is used");
        } else if let Some(text) = line.text() {
            let test = ProbeTest::Log(regex::escape(text));
            service.ready =
                Some(ImportedProbe { test, interval: None, timeout: None, failures: None });
        }
    }
}

fn read_probe(node: &YamlNode, service: &mut ImportedService) -> Option<ImportedProbe> {
    let (exec, http) = (node.get("exec"), node.get("http_get"));
    let test = if let Some(http) = http {
        if let Some(exec) = exec {
            exec.reject("not carried over: `http_get` is used");
        }
        read_http(http, service)?
    } else {
        let Some(command) = exec.and_then(|exec| exec.get("command")) else {
            node.reject("not carried over: it has neither `exec` nor `http_get`");
            return None;
        };
        ProbeTest::Exec(ImportedCommand::Shell(to_shell(command.text()?.trim_end())))
    };
    let delay = node.get("initial_delay_seconds").and_then(YamlNode::seconds);
    let interval = node.get("period_seconds").and_then(YamlNode::seconds);
    let failures = node.get("failure_threshold").and_then(YamlNode::number::<u32>);
    // The defaults of process-compose.
    let limit = interval
        .unwrap_or(Duration::from_secs(10))
        .saturating_mul(failures.unwrap_or(3))
        .saturating_add(delay.unwrap_or_default());
    Some(ImportedProbe {
        test,
        interval,
        timeout: Some(limit).filter(|it| *it > READY_TIMEOUT),
        failures,
    })
}

/// Reads a request. The first one to this machine says which port the process prefers.
fn read_http(node: &YamlNode, service: &mut ImportedService) -> Option<ProbeTest> {
    let text = |key: &str| {
        let value = node.get(key)?;
        Some(with_defaults(value.text()?, value))
    };
    let host = text("host").unwrap_or_else(|| "127.0.0.1".to_owned());
    let path = text("path").unwrap_or_else(|| "/".to_owned());
    let port = node.get("port").or_else(|| node.get("num_port"));
    let number: Option<u16> =
        text("port").or_else(|| text("num_port")).and_then(|it| it.parse().ok());
    if text("scheme").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
        node.reject(format!("not carried over: set `https = \"{path}\"` instead"));
        return None;
    }
    let is_here = matches!(host.as_str(), "127.0.0.1" | "localhost" | "0.0.0.0" | "::1");
    let Some(number) = number else {
        node.reject("not carried over: missing or invalid port");
        return None;
    };
    if !is_here {
        return Some(ProbeTest::Http(format!("http://{host}:{number}{path}")));
    }
    match service.port {
        None => {
            service.port = Some(number);
            if let Some(port) = port {
                port.note(
                    "also becomes the port of the service: its command must listen on `$PORT`",
                );
            }
        }
        Some(main) if main == number => {}
        Some(_) => return Some(ProbeTest::Http(format!("http://127.0.0.1:{number}{path}"))),
    }
    Some(ProbeTest::Http(path))
}

fn read_restart(node: &YamlNode) -> Option<RestartPolicy> {
    if node.get("exit_on_end").is_some_and(|end| end.boolean() == Some(true)) {
        node.note("set `on_exit = \"shutdown\"`: the stack stops when it exits");
    }
    let restart = node.get("restart")?;
    match restart.text()? {
        "no" => Some(RestartPolicy::No),
        "on_failure" => Some(RestartPolicy::OnFailure),
        "always" => Some(RestartPolicy::Always),
        "exit_on_failure" => {
            restart.note("set `on_exit = \"shutdown\"`: the stack stops when it exits");
            Some(RestartPolicy::No)
        }
        other => {
            restart.note(format!("not carried over: unknown policy {}", quote(other)));
            None
        }
    }
}

fn read_shutdown(node: &YamlNode, service: &mut ImportedService) {
    if let Some(signal) = node.get("signal")
        && let Some(number) = signal.number::<i32>()
    {
        service.stop_signal = signal_name(number).map(str::to_owned);
        if service.stop_signal.is_none() {
            signal.note("not carried over: unknown signal");
        }
    }
    service.stop_grace = node.get("timeout_seconds").and_then(YamlNode::seconds);
}
