use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use super::misplaced::SchemaKey;
use super::{json_schema, misplaced};
use crate::config::check::container;
use crate::config::diagnostics::LoadReport;
use crate::config::env::EnvFileSet;
use crate::config::resolve::{ConfigUnit, parse_and_check, resolve_spec};
use crate::config::{ConfigOverrides, ConfigSources, SourceFile, load};
use crate::model::Stack;

mod validator;

use validator::misfit;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&json_schema()).expect("it is JSON"));

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns why a file is not valid. `None` also for invalid TOML, which the schema cannot judge.
pub(in crate::config) fn misfit_of(text: &str) -> Option<String> {
    misfit(&SCHEMA, &toml::from_str(text).ok()?)
}

/// The broken examples whose error an editor can see in a single value. In the others it is between
/// values, inside a text, or outside the file.
const STRUCTURE: [&str; 23] = [
    "bad-duration.toml",
    "bad-health.toml",
    "bad-host.toml",
    "bad-image.toml",
    "bad-log-size.toml",
    "bad-name.toml",
    "bad-port.toml",
    "bad-profile.toml",
    "bad-proxy.toml",
    "bad-replicas.toml",
    "bad-signal.toml",
    "bad-terminal.toml",
    "bad-volume.toml",
    "bad-watch.toml",
    "container-key.toml",
    "key-in-wrong-table.toml",
    "key-of-another-program.toml",
    "service-at-top.toml",
    "several.toml",
    "unknown-key.toml",
    "unknown-preset.toml",
    "unknown-section.toml",
    "wrong-type.toml",
];

#[test]
fn broken_structure_does_not_fit_and_everything_else_does() {
    let mut refused = Vec::new();
    for entry in fs::read_dir(repository("examples/broken")).expect("it is in the repository") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text");
        if name.ends_with(".toml") && misfit_of(&text).is_some() {
            refused.push(name);
        }
    }
    refused.sort();
    assert_eq!(
        refused, STRUCTURE,
        "a new file stands in the list when an editor can see its mistake"
    );
}

#[test]
fn every_example_fits() {
    let examples = fs::read_dir(repository("examples")).expect("it is in the repository");
    let dirs = examples.map(|entry| entry.expect("readable").path()).chain([repository("")]);
    let files: Vec<_> =
        dirs.map(|dir| dir.join("devstack.toml")).filter(|file| file.is_file()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
        assert_eq!(misfit_of(&text), None, "{}", file.display());
    }
    for preset in crate::presets::all() {
        let file: toml::Table = toml::from_str(preset.text).expect("it is TOML");
        let service = serde_json::to_value(file["service"].clone()).expect("plain data");
        let value = serde_json::json!({ "services": { "x": service } });
        assert_eq!(misfit(&SCHEMA, &value), None, "{}", preset.name);
    }
}

/// A file in which only this key can be wrong.
fn file_with(table: &str, name: &str, value: &str) -> String {
    let all = format!("{name} = {value}");
    let others = "[services.db]\ncommand = 'x'\nport = 1\n[services.migrate]\ncommand = 'x'\nkind = 'task'\n";
    let command = if matches!(name, "command" | "preset") { "" } else { "command = 'x'\n" };
    let port = if matches!(name, "port" | "ports") { "" } else { "port = 8000\n" };
    let service =
        |line: &str| format!("{others}[services.x]\ncommand = 'x'\nport = 8000\n{line}\n");
    let container =
        |line: &str| format!("{others}[services.x]\nimage = 'x'\nport = 8000\n{line}\n");
    match table {
        "service" if container::ONLY_CONTAINERS.contains(&name) => container(&all),
        "ready" if name == "healthcheck" => container(&format!("ready = {{ {all} }}")),
        "health" if name == "healthcheck" => {
            container(&format!("health = {{ tcp = true, {all} }}"))
        }
        "port" if name == "inside" => {
            format!("{others}[services.x]\nimage = 'x'\nport = {{ prefer = 80, {all} }}\n")
        }
        "file" if name != "services" => format!("{all}\n{others}"),
        "file" => all,
        "include" if name == "path" => format!("include = [{{ {all} }}]\n{others}"),
        "include" => format!("include = [{{ path = 'search', {all} }}]\n{others}"),
        "stack" => format!("[stack]\n{all}\n{others}"),
        "service" if name == "idle" => service(&format!("start = 'lazy'\n{all}")),
        "service" => format!("{others}[services.x]\n{command}{port}{all}\n"),
        "system" => service(&all),
        "logs" => format!("[stack.logs]\n{all}\n{others}"),
        "stack proxy" => format!("[stack.proxy]\n{all}\n{others}"),
        "port" => format!("{others}[services.x]\ncommand = 'x'\nport = {{ {all} }}\n"),
        "ready" | "health" if matches!(name, "status" | "insecure") => {
            service(&format!("{table} = {{ https = '/', {all} }}"))
        }
        "health" if matches!(name, "tcp" | "http" | "https" | "exec") => {
            service(&format!("health = {{ {all} }}"))
        }
        "health" => service(&format!("health = {{ tcp = true, {all} }}")),
        "http" => service(&format!("ready = {{ http = {{ {all} }} }}")),
        "action" if name == "command" => service(&format!("actions = {{ go = {{ {all} }} }}")),
        "action" => service(&format!("actions = {{ go = {{ command = 'x', {all} }} }}")),
        "env_file" if name == "path" => service(&format!("env_file = [{{ {all} }}]")),
        "env_file" => service(&format!("env_file = [{{ path = 'api.env', {all} }}]")),
        table => service(&format!("{table} = {{ {all} }}")),
    }
}

/// A directory with the files that the examples of keys name.
fn dir() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("api")).expect("a directory");
    for (name, service) in [("billing", "bill"), ("search", "find")] {
        fs::create_dir(dir.path().join(name)).expect("a directory");
        let text = format!("[services.{service}]\ncommand = 'x'\n");
        fs::write(dir.path().join(name).join("devstack.toml"), text).expect("a file");
    }
    for name in [".env", "api.env"] {
        fs::write(dir.path().join(name), "").expect("a file");
    }
    dir
}

fn stack_of(dir: &TempDir, text: &str) -> Result<Stack, String> {
    fs::write(dir.path().join("devstack.toml"), text).expect("a file");
    let sources = ConfigSources {
        files: Vec::new(),
        cwd: dir.path().to_owned(),
        env: BTreeMap::new(),
        user: None,
        ..ConfigSources::default()
    };
    let config = load(&sources).map_err(|error| format!("{text}\n{error}"))?;
    Ok(config.resolve(&BTreeMap::new()))
}

#[test]
fn what_is_said_of_every_key_is_so() {
    let dir = dir();
    for (table, keys) in misplaced::all() {
        for key in keys {
            check(&dir, table, key);
        }
    }
}

/// Default and examples of a key are accepted and valid; values of other types are neither.
fn check(dir: &TempDir, table: &str, key: &SchemaKey) {
    let name = format!("{table}: {}", key.name);
    assert!(key.default.is_some() || !key.examples.is_empty(), "{name} has nothing to show");
    assert!(
        key.description.ends_with('.') && key.description.len() < 300,
        "{name}: {}",
        key.description
    );
    for value in key.default.iter().chain(key.examples) {
        let text = file_with(table, key.name, value);
        stack_of(dir, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(misfit_of(&text), None, "{name}\n{text}");
    }
    let text = file_with(table, key.name, "[[[]]]");
    assert!(stack_of(dir, &text).is_err(), "{name} accepts anything");
    assert!(misfit_of(&text).is_some(), "{name} fits anything");
}

/// Writing a default explicitly changes nothing.
#[test]
fn defaults_are_those_of_the_checker() {
    let dir = dir();
    for (table, keys) in misplaced::all() {
        for key in keys {
            let Some(default) = key.default else { continue };
            let with = file_with(table, key.name, default);
            let written = format!("{} = {default}", key.name);
            let without = with.replacen(&format!(", {written}"), "", 1).replacen(&written, "", 1);
            assert_ne!(with, without);
            let [with, without] =
                [with, without].map(|text| stack_of(&dir, &text).expect("it is right"));
            assert_eq!(with.services, without.services, "{table}: {}", key.name);
            assert_eq!(with.logs, without.logs, "{table}: {}", key.name);
        }
    }
}

/// Whether a file is correct as far as it can be checked on its own.
fn is_accepted(text: &str) -> bool {
    let mut report = LoadReport::default();
    let source =
        SourceFile::config("/shop/devstack.toml".into(), "devstack.toml".into(), text.into());
    let unit = ConfigUnit::alone(vec![report.add_source(source)], "/shop".into());
    if let Some(spec) = parse_and_check(&[unit], &ConfigOverrides::default(), &mut report) {
        let (files, outer) = (EnvFileSet::default(), BTreeMap::new());
        resolve_spec(spec, files, &outer, &ConfigOverrides::default(), &mut report);
    }
    report.finish().is_ok()
}

/// Every key with every value written for any key, and with odd ones: what is accepted is valid.
#[test]
fn whatever_is_accepted_fits() {
    const ODD: [&str; 17] = [
        "0", "-1", "70000", "1.5", "\"\"", "\" \"", "\"a\"", "\"A_b\"", "\"5 s\"", "\"sigterm\"",
        "[]", "[\"\", 1]", "{}", "true", "1979-05-27", "[\"x\", \"x\"]", "{ http = {} }",
    ];
    let all = || {
        misplaced::all()
            .into_iter()
            .flat_map(|(table, keys)| keys.iter().map(move |key| (table, key)))
    };
    let written = all().flat_map(|(_, key)| key.default.iter().chain(key.examples));
    let values: BTreeSet<&str> = written.copied().chain(ODD).collect();
    let (mut accepted, mut refused) = (0, 0);
    for (table, key) in all() {
        for value in &values {
            let text = file_with(table, key.name, value);
            match (is_accepted(&text), misfit_of(&text)) {
                (true, Some(why)) => panic!("accepted, but {why}:\n{text}"),
                (true, None) => accepted += 1,
                (false, Some(_)) => refused += 1,
                // Rejected for other reasons than its form.
                (false, None) => {}
            }
        }
    }
    assert!(accepted > 500 && refused > 2_000, "{accepted} accepted, {refused} refused");
}
