//! mprocs: `mprocs.yaml`.

use super::environment::{clean_path, keep_last};
use super::service_names::ServiceNames;
use super::substitution::escape;
use super::yaml::{Unsupported, YamlContent, YamlDocument, YamlNode};
use super::{ImportedCommand, ImportedService, ImportedStack, finish_import};
use crate::model::{Message, RestartPolicy, signal_name, signal_number};
use crate::text::quote;

/// What `cwd` may begin with: the directory of the file.
const CONFIG_DIR: &str = "<CONFIG_DIR>";

const SCREEN: &str = "not carried over: it is for the display of mprocs";
const OWN_LOGS: &str = "not carried over: `devstack logs` shows what services printed";

const UNSUPPORTED: Unsupported = &[
    ("procs.*.log", OWN_LOGS),
    ("procs.*.log_dir", OWN_LOGS),
    ("proc_log", OWN_LOGS),
    ("log_dir", OWN_LOGS),
    ("hide_keymap_window", SCREEN),
    ("keymap_procs", SCREEN),
    ("keymap_term", SCREEN),
    ("keymap_copy", SCREEN),
    ("mouse_scroll_speed", SCREEN),
    ("proc_list_title", SCREEN),
    ("proc_list_width", SCREEN),
    ("scrollback", SCREEN),
    ("procs.*.mouse_scroll_speed", SCREEN),
    ("procs.*.scrollback", SCREEN),
    ("procs.*.tui", "not carried over: every service has a terminal, see `tty`"),
    ("server", "not carried over: devstack has a control socket of its own"),
    ("on_init", "not carried over: `autostart = false` leaves a service for later"),
    ("on_all_finished", "not carried over: `devstack up` exits when all tasks are done"),
];

/// Reads `mprocs.yaml`. `file` is its name for errors and notes.
///
/// # Errors
///
/// The file is not valid YAML, or has no processes.
pub fn read_mprocs(text: &str, file: &str) -> Result<ImportedStack, Message> {
    read_document(&YamlDocument::parse(text, file)?, file)
}

pub(super) fn read_document(document: &YamlDocument, file: &str) -> Result<ImportedStack, Message> {
    let mut stack = ImportedStack::default();
    if let Some(procs) = document.root.get("procs") {
        let procs = procs.entries();
        let names = ServiceNames::choose(procs);
        for (name, node) in procs {
            // A null removes a process of another file.
            if let Some(service) = read_proc(selected(node)) {
                let name = names.get(name).expect("every process has a name").to_owned();
                stack.services.push(ImportedService { name, ..service });
            }
        }
    }
    finish_import(stack, document, file, UNSUPPORTED, "procs")
}

/// Returns the value for this system where a mapping has one for each, as `{ $select: os }`.
fn selected(node: &YamlNode) -> &YamlNode {
    let Some(by) = node.peek("$select") else { return node };
    by.accept();
    let value = node.peek(std::env::consts::OS).or_else(|| node.peek("$else"));
    for (_, other) in node.entries() {
        other.accept();
    }
    node.note(match value {
        Some(_) => "only the value for this system is carried over",
        None => "not carried over: it has no value for this system",
    });
    value.unwrap_or(node)
}

fn read_proc(node: &YamlNode) -> Option<ImportedService> {
    let mut service = ImportedService::default();
    match &node.content {
        YamlContent::Null => {}
        YamlContent::Scalar { .. } => service.command = shell_command(node),
        YamlContent::List(_) => service.command = words(node),
        YamlContent::Map(_) => {
            let shell = node.get("shell").map(selected);
            let cmd = node.get("cmd").map(selected);
            service.command = match (shell, cmd) {
                (Some(shell), cmd) => {
                    if let Some(cmd) = cmd {
                        cmd.reject("not carried over: `shell` is used");
                    }
                    shell_command(shell)
                }
                (None, Some(cmd)) => words(cmd),
                (None, None) => None,
            };
            read_keys(node, &mut service);
        }
    }
    if service.command.is_none() {
        node.reject("not carried over: it has no command");
        return None;
    }
    Some(service)
}

fn shell_command(node: &YamlNode) -> Option<ImportedCommand> {
    Some(ImportedCommand::Shell(node.text()?.trim_end().to_owned()))
}

fn words(node: &YamlNode) -> Option<ImportedCommand> {
    let words: Vec<String> = node.items().iter().filter_map(|it| it.text()).map(escape).collect();
    (!words.is_empty()).then_some(ImportedCommand::Words(words))
}

fn read_keys(node: &YamlNode, service: &mut ImportedService) {
    if let Some(dir) = node.get("cwd").map(selected)
        && let Some(text) = dir.text()
    {
        let text = text.strip_prefix(CONFIG_DIR).map_or(text, |rest| rest.trim_start_matches('/'));
        service.dir = clean_path(text);
    }
    if let Some(env) = node.get("env").map(selected) {
        service.env = read_proc_env(env);
    }
    if let Some(paths) = node.get("add_path").map(selected) {
        let paths: Vec<String> =
            paths.one_or_more().iter().filter_map(|path| path.text()).map(escape).collect();
        // After those of `env`, so that a PATH of the process stays what it builds on.
        match service.env.iter_mut().find(|(name, _)| name == "PATH") {
            Some((_, path)) => *path = format!("{path}:{}", paths.join(":")),
            None => {
                let path = format!("${{PATH:-/usr/bin:/bin}}:{}", paths.join(":"));
                service.env.push(("PATH".to_owned(), path));
            }
        }
    }
    service.is_manual = node.get("autostart").and_then(YamlNode::boolean) == Some(false);
    service.restart = node
        .get("autorestart")
        .and_then(YamlNode::boolean)
        .map(|restarts| if restarts { RestartPolicy::Always } else { RestartPolicy::No });
    if let Some(stop) = node.get("stop").map(selected) {
        service.stop_signal = read_stop(stop);
    }
}

/// Reads variables; a null removes one, which has no counterpart. Values have no variables.
fn read_proc_env(node: &YamlNode) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for (name, value) in node.entries() {
        if value.is_null() {
            value.note("carried over as an empty value: devstack removes no variables");
            env.push((name.clone(), String::new(), value));
        } else if let Some(text) = selected(value).exact_text() {
            env.push((name.clone(), escape(text), value));
        }
    }
    keep_last(env).into_iter().map(|(name, value, _)| (name, value)).collect()
}

fn read_stop(node: &YamlNode) -> Option<String> {
    if let Some(keys) = node.get("send-keys") {
        let keys: Vec<&str> = keys.items().iter().filter_map(YamlNode::scalar).collect();
        if keys == ["<C-c>"] {
            return Some("INT".to_owned());
        }
        node.reject(format!(
            "not carried over: it is stopped by a signal, not by keys ({})",
            quote(&keys.join(" "))
        ));
        return None;
    }
    let name = node.text()?;
    match name {
        "hard-kill" => Some("KILL".to_owned()),
        _ => {
            let signal = signal_number(name).and_then(signal_name);
            if signal.is_none() {
                node.note(format!("not carried over: unknown signal {}", quote(name)));
            }
            signal.map(str::to_owned)
        }
    }
}
