//! Which keys there are, and where a key that stands in the wrong place belongs.

mod key;
mod parts;
mod service;
mod shapes;
mod stack;

pub(super) use key::{Key, has};
pub(super) use parts::{DEBUG, ENV_FILE, HEALTH, HTTP, PORT, READY, RESTART, STOP, WATCH};
pub(super) use service::SERVICE;
pub(super) use shapes::table;
pub(super) use stack::{FILE, LOGS, STACK};

use super::suggest::nearest;

/// Every table of keys with what it is called in tests.
#[cfg(test)]
pub(super) fn all() -> [(&'static str, &'static [Key]); 13] {
    [
        ("file", FILE),
        ("stack", STACK),
        ("logs", LOGS),
        ("service", SERVICE),
        ("port", PORT),
        ("ready", READY),
        ("health", HEALTH),
        ("http", HTTP),
        ("restart", RESTART),
        ("stop", STOP),
        ("watch", WATCH),
        ("debug", DEBUG),
        ("env_file", ENV_FILE),
    ]
}

/// Tables within a service, for keys that were written one level too high.
const NESTED: &[(&str, &[Key])] = &[
    ("port", PORT),
    ("ready", READY),
    ("health", HEALTH),
    ("restart", RESTART),
    ("stop", STOP),
    ("watch", WATCH),
];

/// What people who know other programs write, and what it is called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("cmd", "command"),
    ("run", "command"),
    ("exec", "command"),
    ("entrypoint", "command"),
    ("script", "command"),
    ("cwd", "dir"),
    ("workdir", "dir"),
    ("working_dir", "dir"),
    ("working_directory", "dir"),
    ("environment", "env"),
    ("vars", "env"),
    ("after", "depends_on"),
    ("needs", "depends_on"),
    ("requires", "depends_on"),
    ("depends", "depends_on"),
    ("healthcheck", "ready"),
    ("readiness", "ready"),
    ("readiness_probe", "ready"),
    ("exit_codes", "success_codes"),
    ("type", "kind"),
    ("colour", "color"),
    ("auto_start", "autostart"),
    ("disabled", "autostart"),
];

/// Where the key `key` of a service should have been written instead.
pub(super) fn service_key_elsewhere(key: &str) -> Option<String> {
    if let Some((_, ours)) = SYNONYMS.iter().find(|(theirs, _)| *theirs == key) {
        return Some(format!("did you mean `{ours}`?"));
    }
    let nested = NESTED.iter().find(|(_, keys)| has(keys, key));
    if let Some((table, _)) = nested {
        return Some(format!("it belongs into `{table}`: {table} = {{ {key} = … }}"));
    }
    has(STACK, key).then(|| format!("`{key}` is a key of `[stack]`"))
}

/// Why a key of `ready` is none of `health`, and what to do instead.
pub(super) fn health_key_elsewhere(key: &str) -> Option<String> {
    let why = match key {
        "log" => "a line is printed once and says nothing about later",
        "notify" => "a service says once that it is ready",
        "delay" => "it begins once the service is ready",
        "timeout" => "what counts is how many attempts fail",
        _ => return None,
    };
    let instead = if key == "timeout" { "`failures`" } else { "`tcp`, `http` or `exec`" };
    Some(format!("{why}: use {instead}"))
}

/// Whether an unknown key of a service was meant as `command`.
pub(super) fn means_command(key: &str) -> bool {
    if has(SERVICE, key) {
        return false;
    }
    match SYNONYMS.iter().find(|(theirs, _)| *theirs == key) {
        Some((_, ours)) => *ours == "command",
        None => nearest(key, SERVICE.iter().map(|key| key.name)) == Some("command"),
    }
}

/// Where the key `key` of `[stack]` or of the whole file should have been written instead.
pub(super) fn stack_key_elsewhere(key: &str) -> Option<String> {
    if matches!(key, "service" | "processes" | "process" | "apps" | "tasks") {
        return Some("did you mean `services`?".to_owned());
    }
    if has(SERVICE, key) {
        return Some(format!("`{key}` is a key of a service: write it under [services.NAME]"));
    }
    has(STACK, key).then(|| format!("`{key}` is a key of `[stack]`"))
}
