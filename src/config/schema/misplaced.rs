//! The keys of the configuration, and where a misplaced key belongs.

pub(crate) use super::key::{SchemaKey, has};
pub(crate) use super::service_keys::{SERVICE, SYSTEMS};
pub(crate) use super::stack_keys::{FILE, INCLUDE, LOGS, PROXY, STACK};
pub(crate) use super::table_keys::{
    ACTION, BUILD, DEBUG, ENV_FILE, HEALTH, HTTP, PORT, READY, RESTART, SERVICE_PROXY, STOP, WATCH,
};

use crate::config::diagnostics::nearest;

/// Every table of keys, with its name in tests.
#[cfg(test)]
pub(crate) fn all() -> [(&'static str, &'static [SchemaKey]); 19] {
    [
        ("file", FILE),
        ("include", INCLUDE),
        ("stack", STACK),
        ("logs", LOGS),
        ("stack proxy", PROXY),
        ("service", SERVICE),
        ("system", SYSTEMS),
        ("port", PORT),
        ("ready", READY),
        ("health", HEALTH),
        ("http", HTTP),
        ("restart", RESTART),
        ("stop", STOP),
        ("watch", WATCH),
        ("debug", DEBUG),
        ("proxy", SERVICE_PROXY),
        ("action", ACTION),
        ("build", BUILD),
        ("env_file", ENV_FILE),
    ]
}

/// Tables within a service, for keys that were written one level too high.
const NESTED: &[(&str, &[SchemaKey])] = &[
    ("port", PORT),
    ("ready", READY),
    ("health", HEALTH),
    ("restart", RESTART),
    ("stop", STOP),
    ("watch", WATCH),
];

/// Keys of similar tools, and their names here.
const SYNONYMS: &[(&str, &str)] = &[
    ("cmd", "command"),
    ("run", "command"),
    ("exec", "command"),
    ("script", "command"),
    ("cwd", "dir"),
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
    ("darwin", "macos"),
    ("osx", "macos"),
];

pub(crate) fn suggest_service_key(key: &str) -> Option<String> {
    if let Some((_, ours)) = SYNONYMS.iter().find(|(theirs, _)| *theirs == key) {
        return Some(format!("did you mean `{ours}`?"));
    }
    let nested = NESTED.iter().find(|(_, keys)| has(keys, key));
    if let Some((table, _)) = nested {
        return Some(format!("move it to `{table}`: {table} = {{ {key} = … }}"));
    }
    has(STACK, key).then(|| format!("move it to `[stack]`: `{key}` is not a service key"))
}

pub(crate) fn suggest_health_key(key: &str) -> Option<String> {
    let why = match key {
        "log" => "a log line is printed only once, so it cannot show later health",
        "notify" => "READY=1 is sent only once, so it cannot show later health",
        "delay" => "health checks begin once the service is ready",
        "timeout" => "health checks count failed attempts, not time",
        _ => return None,
    };
    let instead = if key == "timeout" { "`failures`" } else { "`tcp`, `http` or `exec`" };
    Some(format!("use {instead}: {why}"))
}

/// Whether an unknown key of a service was probably meant as `command`.
pub(crate) fn is_misspelled_command(key: &str) -> bool {
    if has(SERVICE, key) {
        return false;
    }
    match SYNONYMS.iter().find(|(theirs, _)| *theirs == key) {
        Some((_, ours)) => *ours == "command",
        None => nearest(key, SERVICE.iter().map(|key| key.name)) == Some("command"),
    }
}

pub(crate) fn suggest_stack_key(key: &str) -> Option<String> {
    if matches!(key, "service" | "processes" | "process" | "apps" | "tasks") {
        return Some("did you mean `services`?".to_owned());
    }
    if has(SERVICE, key) {
        return Some(format!("move it to [services.NAME]: `{key}` is a service key"));
    }
    has(STACK, key).then(|| format!("move it to `[stack]`: `{key}` is a stack key"))
}
