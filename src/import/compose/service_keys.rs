//! The keys that mean the same for commands and presets.

use crate::import::environment::clean_path;
use crate::import::substitution::with_defaults;
use crate::import::yaml::YamlNode;
use crate::import::{ImportedService, replicas};
use crate::model::{Name, RestartPolicy, signal_name, signal_number};
use crate::text::quote;

/// Reads the keys that commands and presets have in common.
pub(super) fn common_keys(node: &YamlNode, service: &mut ImportedService) {
    if let Some(files) = node.get("env_file") {
        for file in files.one_or_more() {
            let path = file.get("path").unwrap_or(file);
            let Some(text) = path.text() else { continue };
            let optional = file.get("required").and_then(YamlNode::boolean) == Some(false);
            service.env_files.push((clean_path(with_defaults(text, path)), optional));
        }
    }
    if let Some(restart) = node.get("restart") {
        service.restart = read_restart(restart);
        if service.is_task && service.restart == Some(RestartPolicy::Always) {
            restart.note("not carried over: others wait until it has completed");
            service.restart = None;
        }
    }
    if let Some(signal) = node.get("stop_signal")
        && let Some(text) = signal.text()
    {
        let number = signal_number(text).or_else(|| text.parse().ok());
        service.stop_signal = number.and_then(signal_name).map(str::to_owned);
        if service.stop_signal.is_none() {
            signal.note(format!("not carried over: unknown signal {}", quote(text)));
        }
    }
    service.stop_grace = node.get("stop_grace_period").and_then(YamlNode::duration);
    for profile in node.get("profiles").map(YamlNode::items).unwrap_or_default() {
        let Some(text) = profile.text() else { continue };
        match Name::nearest(text) {
            Some(name) => {
                if name.as_str() != text {
                    profile.note(format!("becomes `{name}`: names have only a-z, 0-9 and `-`"));
                }
                service.profiles.push(name.to_string());
            }
            None => profile.reject(format!("not carried over: invalid name {}", quote(text))),
        }
    }
    let deploy = node.get("deploy");
    let scale = node.get("scale").or_else(|| deploy.and_then(|deploy| deploy.get("replicas")));
    if let Some(scale) = scale {
        service.is_manual = scale.scalar() == Some("0");
        service.replicas = replicas(scale);
        if service.is_manual {
            scale.note("becomes `autostart = false`");
        }
    }
}

fn read_restart(node: &YamlNode) -> Option<RestartPolicy> {
    let text = with_defaults(node.text()?, node);
    let (policy, limit) = text.split_once(':').unwrap_or((&text, ""));
    if !limit.is_empty() {
        node.note(format!("the limit is not carried over: set `restart = {{ max = {limit} }}`"));
    }
    match policy {
        "no" | "false" => Some(RestartPolicy::No),
        "on-failure" => Some(RestartPolicy::OnFailure),
        "always" | "unless-stopped" => Some(RestartPolicy::Always),
        _ => {
            node.note(format!("not carried over: unknown policy {}", quote(&text)));
            None
        }
    }
}
