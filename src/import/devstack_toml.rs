//! Writes an [`ImportedStack`] as `devstack.toml`. The `toml` crate writes every value and every key
//! that others chose; only the layout is made here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::imported_container::{dotted, volume_text};
use super::{
    ImportedCommand, ImportedContainer, ImportedImage, ImportedProbe, ImportedService,
    ImportedStack, ProbeTest,
};
use crate::model::{Condition, MAIN_PORT, RestartPolicy};
use crate::text::one_line;
use crate::units::whole_duration;

impl ImportedStack {
    /// Returns it as the text of `devstack.toml`. `source` says what it was read from.
    pub fn to_toml(&self, source: &str) -> String {
        let mut text = format!(
            "# Written by `devstack init` from {}. `devstack check` checks it, and `devstack up` starts it.\n",
            one_line(source)
        );
        let mut stack = TomlTable::default();
        if let Some(name) = &self.name {
            stack.set("name", name.as_str());
        }
        if !self.env_files.is_empty() {
            stack.set("env_file", self.env_files.iter().map(env_file).collect::<Vec<Value>>());
        }
        if !stack.lines.is_empty() {
            let _ = write!(text, "\n[stack]\n{}", stack.lines);
        }
        push_env(&mut text, "stack.env", &self.env);
        let tasks = self.services.iter().filter(|service| service.is_task);
        let tasks: BTreeSet<&str> = tasks.map(|task| task.name.as_str()).collect();
        for service in &self.services {
            service.push_to(&mut text, &tasks);
        }
        text
    }
}

impl ImportedService {
    fn push_to(&self, text: &mut String, tasks: &BTreeSet<&str>) {
        text.push('\n');
        for comment in &self.comments {
            let _ = writeln!(text, "# {}", one_line(comment));
        }
        let _ = write!(text, "[services.{}]\n{}", self.name, self.keys(tasks).lines);
        push_env(text, &format!("services.{}.env", self.name), &self.env);
    }

    fn keys(&self, tasks: &BTreeSet<&str>) -> TomlTable {
        let mut table = TomlTable::default();
        table.set_text("description", self.description.as_deref());
        if self.is_task {
            table.set("kind", "task");
        }
        table.set_text("preset", self.preset.as_deref());
        if let Some(container) = &self.container {
            container.set_image(&mut table);
        }
        if let Some(command) = &self.command {
            table.set("command", command.to_value());
        }
        if let Some(container) = &self.container {
            container.set_keys(&mut table);
        }
        if !self.dir.as_os_str().is_empty() {
            table.set("dir", path_text(&self.dir));
        }
        self.set_ports(&mut table);
        if !self.env_files.is_empty() {
            table.set("env_file", self.env_files.iter().map(env_file).collect::<Vec<Value>>());
        }
        if !self.depends_on.is_empty() {
            table.set_written("depends_on", &dependencies(&self.depends_on, tasks));
        }
        if let Some(ready) = &self.ready {
            table.set_written("ready", &ready.to_inline());
        }
        if let Some(health) = &self.health {
            table.set_written("health", &health.to_inline());
        }
        if let Some(policy) = self.restart {
            table.set("restart", restart(policy));
        }
        let mut stop = InlineTable::default();
        stop.set_text("signal", self.stop_signal.as_deref());
        stop.set_time("grace", self.stop_grace);
        if !stop.0.is_empty() {
            table.set_written("stop", &stop.to_text());
        }
        match self.watch.as_deref() {
            None => {}
            Some([]) => table.set("watch", true),
            Some(globs) => table.set("watch", list(globs.iter().cloned())),
        }
        if !self.profiles.is_empty() {
            table.set("profiles", list(self.profiles.iter().cloned()));
        }
        if let Some(replicas) = self.replicas {
            table.set("replicas", i64::from(replicas));
        }
        if self.is_manual {
            table.set("autostart", false);
        }
        table
    }

    fn set_ports(&self, table: &mut TomlTable) {
        if self.more_ports.is_empty() {
            if let Some(port) = self.port {
                table.set_written("port", &self.port_text(MAIN_PORT, port));
            }
            return;
        }
        let mut ports = InlineTable::default();
        if let Some(port) = self.port {
            ports.set_written(MAIN_PORT, &self.port_text(MAIN_PORT, port));
        }
        for (name, port) in &self.more_ports {
            ports.set_written(name, &self.port_text(name, *port));
        }
        table.set_written("ports", &ports.to_text());
    }

    fn port_text(&self, name: &str, port: u16) -> String {
        let wanted: Value = if port == 0 { "auto".into() } else { i64::from(port).into() };
        let mut inside = self.container.iter().flat_map(|container| &container.inside_ports);
        match inside.find(|(known, _)| known == name) {
            None => wanted.to_string(),
            Some((_, inside)) => {
                let mut table = InlineTable::default();
                table.set("prefer", wanted);
                table.set("inside", i64::from(*inside));
                table.to_text()
            }
        }
    }
}

impl ImportedContainer {
    fn set_image(&self, table: &mut TomlTable) {
        let (context, file, target, args) = match &self.source {
            ImportedImage::Image(image) => return table.set("image", image.as_str()),
            ImportedImage::Build { context, file, target, args } => (context, file, target, args),
        };
        let context = dotted(context);
        if file.is_none() && target.is_none() && args.is_empty() {
            return table.set("build", context);
        }
        let mut build = InlineTable::default();
        build.set("context", context);
        build.set_text("file", file.as_deref());
        build.set_text("target", target.as_deref());
        if !args.is_empty() {
            let args = args.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            build.set("args", Table::from_iter(args));
        }
        table.set_written("build", &build.to_text());
    }

    fn set_keys(&self, table: &mut TomlTable) {
        if let Some(words) = &self.entrypoint {
            table.set("entrypoint", list(words.iter().cloned()));
        }
        table.set_text("user", self.user.as_deref());
        table.set_text("workdir", self.workdir.as_deref());
        if !self.volumes.is_empty() {
            table.set("volumes", list(self.volumes.iter().map(volume_text)));
        }
        table.set_text("pull", self.pull);
    }
}

impl ImportedCommand {
    fn to_value(&self) -> Value {
        match self {
            ImportedCommand::Shell(text) => text.as_str().into(),
            ImportedCommand::Words(words) => list(words.iter().cloned()),
        }
    }
}

impl ImportedProbe {
    fn to_inline(&self) -> String {
        let mut table = InlineTable::default();
        match &self.test {
            ProbeTest::Started => table.set("tcp", false),
            ProbeTest::Http(target) => table.set("http", target.as_str()),
            ProbeTest::Exec(command) => table.set("exec", command.to_value()),
            ProbeTest::Log(pattern) => table.set("log", pattern.as_str()),
        }
        table.set_time("interval", self.interval);
        table.set_time("timeout", self.timeout);
        if let Some(failures) = self.failures {
            table.set("failures", i64::from(failures));
        }
        table.to_text()
    }
}

/// The lines of a table. Its keys are those of devstack.
#[derive(Default)]
struct TomlTable {
    lines: String,
}

impl TomlTable {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.set_written(key, &value.into().to_string());
    }

    fn set_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a key to a value that is TOML already.
    fn set_written(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.lines, "{key} = {value}");
    }
}

/// The entries of a table in one line, in order. Its keys are those of devstack, or names.
#[derive(Default)]
struct InlineTable(Vec<String>);

impl InlineTable {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.set_written(key, &value.into().to_string());
    }

    fn set_written(&mut self, key: &str, value: &str) {
        self.0.push(format!("{key} = {value}"));
    }

    fn set_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn set_time(&mut self, key: &str, time: Option<Duration>) {
        if let Some(time) = time {
            self.set(key, whole_duration(time));
        }
    }

    fn to_text(&self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

/// Appends a table of variables. Their names may be anything, so the library writes whole lines.
fn push_env(text: &mut String, table: &str, env: &[(String, String)]) {
    if env.is_empty() {
        return;
    }
    let _ = write!(text, "\n[{table}]\n");
    for (name, value) in env {
        let line = Table::from_iter([(name.clone(), Value::from(value.as_str()))]);
        text.push_str(&toml::to_string(&line).expect("a table of strings is valid TOML"));
    }
}

/// Returns a list if every condition is the default for its kind of service, or else a table.
fn dependencies(all: &[(String, Condition)], tasks: &BTreeSet<&str>) -> String {
    let usual = |(name, condition): &(String, Condition)| match tasks.contains(name.as_str()) {
        true => *condition == Condition::Completed,
        false => *condition == Condition::Ready,
    };
    if all.iter().all(usual) {
        return list(all.iter().map(|(name, _)| name.clone())).to_string();
    }
    let mut table = InlineTable::default();
    for (name, condition) in all {
        table.set(name, condition.to_string());
    }
    table.to_text()
}

fn env_file((path, optional): &(std::path::PathBuf, bool)) -> Value {
    let path = path_text(path);
    match optional {
        false => path.into(),
        true => Table::from_iter([
            ("path".to_owned(), Value::from(path)),
            ("optional".to_owned(), Value::from(true)),
        ])
        .into(),
    }
}

fn restart(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::No => "no",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Always => "always",
    }
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    texts.map(Value::from).collect::<Vec<Value>>().into()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
