//! Which keys there are, and where a key that stands in the wrong place belongs.

use super::suggest::nearest;

/// Keys of the whole file.
pub(super) const FILE: &[&str] = &["stack", "services"];

/// Keys of `[stack]`.
pub(super) const STACK: &[&str] = &["name", "host", "env", "env_file", "on_conflict", "live"];

/// Keys of a service.
pub(super) const SERVICE: &[&str] = &[
    "command",
    "preset",
    "kind",
    "dir",
    "env",
    "env_file",
    "port",
    "ports",
    "host",
    "depends_on",
    "ready",
    "health",
    "restart",
    "success_codes",
    "stop",
    "watch",
    "debug",
    "profiles",
    "replicas",
    "autostart",
    "on_exit",
    "tty",
    "primary",
    "proxy",
    "color",
    "description",
];

/// Keys of `port` as a table.
pub(super) const PORT: &[&str] = &["prefer", "on_conflict", "env", "pass"];

/// Keys of `ready`.
pub(super) const READY: &[&str] =
    &["tcp", "http", "log", "exec", "notify", "delay", "timeout", "interval"];

/// Keys of `health`.
pub(super) const HEALTH: &[&str] = &["tcp", "http", "exec", "interval", "failures", "action"];

/// Keys of `ready.http` as a table.
pub(super) const HTTP: &[&str] = &["path", "port"];

/// Keys of `restart` as a table.
pub(super) const RESTART: &[&str] = &["policy", "max", "window", "delay", "max_delay"];

/// Keys of `stop`.
pub(super) const STOP: &[&str] = &["signal", "grace", "command"];

/// Keys of `watch` as a table.
pub(super) const WATCH: &[&str] = &["paths", "ignore", "action", "signal", "run", "settle", "poll"];

/// Keys of an entry of `env_file` as a table.
pub(super) const ENV_FILE: &[&str] = &["path", "optional"];

/// Tables within a service, for keys that were written one level too high.
const NESTED: &[(&str, &[&str])] = &[
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
    let nested = NESTED.iter().find(|(_, keys)| keys.contains(&key));
    if let Some((table, _)) = nested {
        return Some(format!("it belongs into `{table}`: {table} = {{ {key} = … }}"));
    }
    STACK.contains(&key).then(|| format!("`{key}` is a key of `[stack]`"))
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
    if SERVICE.contains(&key) {
        return false;
    }
    match SYNONYMS.iter().find(|(theirs, _)| *theirs == key) {
        Some((_, ours)) => *ours == "command",
        None => nearest(key, SERVICE.iter().copied()) == Some("command"),
    }
}

/// Where the key `key` of `[stack]` or of the whole file should have been written instead.
pub(super) fn stack_key_elsewhere(key: &str) -> Option<String> {
    if matches!(key, "service" | "processes" | "process" | "apps" | "tasks") {
        return Some("did you mean `services`?".to_owned());
    }
    if SERVICE.contains(&key) {
        return Some(format!("`{key}` is a key of a service: write it under [services.NAME]"));
    }
    STACK.contains(&key).then(|| format!("`{key}` is a key of `[stack]`"))
}
