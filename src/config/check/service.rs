use std::collections::BTreeSet;

use crate::model::{LabelColor, Name, OnExit, ServiceKind, TtyMode, UrlFormat};
use crate::presets::detect_preset;

use super::ConfigChecker;
use super::preset::ChosenPreset;
use super::stack::StackDefaults;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawEntry, RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{CommandSpec, ServiceSpec, TemplateVars};
use crate::config::template::{Template, TemplateSyntax};

pub(in crate::config) const KINDS: [(&str, ServiceKind); 2] =
    [("service", ServiceKind::Service), ("task", ServiceKind::Task)];

pub(in crate::config) const ON_EXIT: [(&str, OnExit); 2] =
    [("none", OnExit::None), ("shutdown", OnExit::Shutdown)];

pub(in crate::config) const COLORS: [(&str, LabelColor); 12] = [
    ("red", LabelColor::Red),
    ("green", LabelColor::Green),
    ("yellow", LabelColor::Yellow),
    ("blue", LabelColor::Blue),
    ("magenta", LabelColor::Magenta),
    ("cyan", LabelColor::Cyan),
    ("bright-red", LabelColor::BrightRed),
    ("bright-green", LabelColor::BrightGreen),
    ("bright-yellow", LabelColor::BrightYellow),
    ("bright-blue", LabelColor::BrightBlue),
    ("bright-magenta", LabelColor::BrightMagenta),
    ("bright-cyan", LabelColor::BrightCyan),
];

impl ConfigChecker<'_, '_> {
    /// Checks one service. Parts with errors get their defaults, so that the rest is checked too.
    pub(super) fn service(
        &mut self,
        name: Name,
        entry: &RawEntry<'_>,
        defaults: &StackDefaults,
    ) -> Option<ServiceSpec> {
        let written = self.table(name.as_str(), &entry.node)?;
        let (preset, table) = self.with_preset(entry.key, written);
        let table = &table;
        self.unknown_keys(table, misplaced::SERVICE, "a service", misplaced::suggest_service_key);
        self.unsupported(table);
        let kind = table
            .get("kind")
            .and_then(|entry| self.keyword("kind", &entry.node, &KINDS))
            .unwrap_or(ServiceKind::Service);
        let (dir, dir_at) = match table.get("dir") {
            Some(entry) => match self.path("dir", &entry.node) {
                Some(dir) => (dir, Some(entry.node.at)),
                None => (self.dir.to_owned(), None),
            },
            None => (self.dir.to_owned(), None),
        };
        let (mut ports, named_ports) = self.ports(table, defaults.on_conflict);
        for port in &mut ports {
            port.preset =
                preset.filter(|preset| port.at == preset.at).map(|chosen| chosen.preset.name);
        }
        let command = self.service_command(&name, entry, table);
        let env =
            written.get("env").map_or_else(TemplateVars::new, |entry| self.variables(&entry.node));
        let preset_env = preset.map_or_else(TemplateVars::new, |chosen| self.preset_env(chosen));
        let own_command = written.contains_key("command");
        let framework = match preset {
            Some(chosen) => Some(chosen.preset),
            None => detect_preset(&command.static_words()),
        };
        if let Some(entry) = table.get("primary") {
            self.boolean("primary", &entry.node);
        }
        Some(ServiceSpec {
            at: entry.key,
            replicas: self.replicas(&name, table),
            kind,
            command,
            env,
            preset_env,
            preset: framework,
            needs: preset.filter(|_| !own_command).map(ChosenPreset::needs),
            watch_at: written.get("watch").map(|entry| entry.node.at),
            url_templates: preset.and_then(|chosen| self.preset_url(chosen)),
            url_form: UrlFormat::default(),
            env_files: table
                .get("env_file")
                .map_or_else(Vec::new, |entry| self.env_files(&entry.node)),
            host: table
                .get("host")
                .and_then(|entry| self.host(&entry.node))
                .unwrap_or_else(|| defaults.host.clone()),
            depends_on: table
                .get("depends_on")
                .map(|entry| self.depends_on(&entry.node))
                .unwrap_or_default(),
            ready: self.ready(table.get("ready"), kind, &ports),
            health: self.health(table.get("health"), kind, &ports),
            restart: self.restart(table.get("restart"), kind),
            success_codes: table
                .get("success_codes")
                .map_or_else(|| BTreeSet::from([0]), |entry| self.success_codes(&entry.node)),
            stop: self.stop(table.get("stop")),
            debug: self.debug(table.get("debug"), &ports, defaults.on_conflict),
            watch: self.watch(table.get("watch"), &dir),
            tty: table.get("tty").and_then(|entry| self.tty(&entry.node)).unwrap_or(TtyMode::Auto),
            profiles: table.get("profiles").and_then(|entry| self.profiles(&entry.node)),
            autostart: table
                .get("autostart")
                .and_then(|entry| self.boolean("autostart", &entry.node))
                .unwrap_or(true),
            on_exit: table
                .get("on_exit")
                .and_then(|entry| self.keyword("on_exit", &entry.node, &ON_EXIT))
                .unwrap_or(OnExit::None),
            color: table.get("color").and_then(|entry| self.keyword("color", &entry.node, &COLORS)),
            description: table.get("description").and_then(|entry| {
                let text = self.text("description", &entry.node)?;
                Some(self.template(text, entry.node.at, TemplateSyntax::References))
            }),
            name,
            dir,
            dir_at,
            ports,
            named_ports,
        })
    }

    fn service_command(
        &mut self,
        name: &Name,
        entry: &RawEntry<'_>,
        table: &RawTable<'_>,
    ) -> CommandSpec {
        let nothing = CommandSpec::Shell(Template::plain("", entry.key));
        match table.get("command") {
            Some(entry) => self.command("command", &entry.node).unwrap_or(nothing),
            // The invalid preset was reported.
            None if table.contains_key("preset") => nothing,
            // Reported already, as a misspelled `command`.
            None if table.keys().any(|key| misplaced::is_misspelled_command(key)) => nothing,
            None => {
                let fault =
                    DiagnosticBuilder::at(entry.key, format!("service `{name}` has no `command`"));
                self.error(fault.help("set what to run: command = \"…\", or choose a `preset` (see `devstack presets`)"));
                nothing
            }
        }
    }

    fn tty(&mut self, node: &SpannedValue<'_>) -> Option<TtyMode> {
        match &node.value {
            RawValue::Boolean(true) => Some(TtyMode::Yes),
            RawValue::Boolean(false) => Some(TtyMode::No),
            RawValue::Text(text) if text == "auto" => Some(TtyMode::Auto),
            RawValue::Text(text) => {
                let fault = DiagnosticBuilder::at(
                    node.at,
                    format!("invalid value {} for `tty`", quote(text)),
                );
                self.error(fault.help("use true, false or \"auto\""));
                None
            }
            _ => {
                self.type_error("tty", "a boolean or \"auto\"", node);
                None
            }
        }
    }

    fn success_codes(&mut self, node: &SpannedValue<'_>) -> BTreeSet<i32> {
        let RawValue::List(list) = &node.value else {
            self.type_error("success_codes", "an array of integers", node);
            return BTreeSet::from([0]);
        };
        let codes = list.iter().filter_map(|item| self.number("success_codes", item, 0..=255));
        codes.filter_map(|code| i32::try_from(code).ok()).collect()
    }
}
