use std::collections::{BTreeMap, BTreeSet};

use crate::model::{LabelColor, Name, OnExit, ServiceKind, TtyMode, UrlFormat};
use crate::presets::{builds_first, detect_preset};

use super::ConfigChecker;
use super::container::is_container;
use super::host_system::HostSystem;
use super::preset::ChosenPreset;
use super::stack::StackDefaults;
use super::stack::proxy::speaks_http;
use crate::config::diagnostics::quote;
use crate::config::parse::{RawEntry, RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::{CommandSpec, ServiceSpec};
use crate::config::template::Template;

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
        let kind = self
            .get(table, "kind", |check, key, node| check.keyword(key, node, &KINDS))
            .unwrap_or(ServiceKind::Service);
        let (dir, dir_at) = match self.get(table, "dir", Self::path) {
            Some(dir) => (dir, Some(table["dir"].node.at)),
            None => (self.dir.to_owned(), None),
        };
        let (mut ports, named_ports) = self.ports(table, defaults.on_conflict);
        for port in &mut ports {
            port.preset =
                preset.filter(|preset| port.at == preset.at).map(|chosen| chosen.preset.name);
        }
        let in_container = is_container(table);
        let command = match in_container {
            true => self.container_command(table, preset),
            false => self.service_command(&name, entry, table),
        };
        let env = self.get(written, "env", Self::variables).unwrap_or_default();
        let preset_env = preset.map(|chosen| self.preset_env(chosen, in_container));
        let preset_env = preset_env.unwrap_or_default();
        let own_command = written.contains_key("command");
        let framework = match preset {
            Some(chosen) => Some(chosen.preset),
            None if in_container => None,
            None => detect_preset(&command.static_words()),
        };
        let builds = !in_container && builds_first(&command.static_words());
        // Read by `primary` of the stack.
        self.get(table, "primary", Self::boolean);
        let debug = self.debug(table, &ports, defaults.on_conflict, in_container);
        let debugger = debug.iter().map(|debug| &debug.port);
        let all_ports: Vec<_> = ports.iter().chain(debugger).collect();
        let container =
            self.container((&name, entry.key), table, &dir, defaults.engine, &all_ports, preset);
        let ready = self.ready(table, kind, &ports, builds, in_container);
        let main_port = ports.first().filter(|_| kind == ServiceKind::Service);
        let speaks_http =
            main_port.is_some_and(|main| speaks_http(&main.name, &ready.probes, framework));
        Some(ServiceSpec {
            at: entry.key,
            scope: 0,
            replicas: self.replicas(&name, table),
            kind,
            command,
            container,
            env,
            preset_env,
            preset: framework,
            is_preset_unknown: preset.is_none() && written.contains_key("preset"),
            needs: preset.filter(|_| !own_command && !in_container).map(ChosenPreset::needs),
            watch_at: written.get("watch").map(|entry| entry.node.at),
            url_templates: preset.and_then(|chosen| self.preset_url(chosen)),
            url_form: UrlFormat::default(),
            env_files: self.get(table, "env_file", Self::env_files).unwrap_or_default(),
            host: self.get(table, "host", Self::host).unwrap_or_else(|| defaults.host.clone()),
            depends_on: self.get(table, "depends_on", Self::depends_on).unwrap_or_default(),
            ready,
            proxy: self.service_proxy(table, &name, main_port.is_some(), speaks_http),
            health: self.health(table, kind, &ports),
            restart: self.restart(table, kind),
            success_codes: self
                .get(table, "success_codes", Self::success_codes)
                .unwrap_or_else(|| BTreeSet::from([0])),
            stop: self.stop(table),
            debug,
            watch: self
                .get(table, "watch", |check, key, node| {
                    check.watch(key, node, &dir, !written.contains_key("watch"))
                })
                .unwrap_or_default(),
            tty: self.get(table, "tty", Self::tty).unwrap_or(TtyMode::Auto),
            profiles: self.get(table, "profiles", Self::profiles),
            autostart: self.get(table, "autostart", Self::boolean).unwrap_or(true),
            lazy: self.lazy(table, kind, &ports, defaults.on_conflict),
            on_exit: self
                .get(table, "on_exit", |check, key, node| check.keyword(key, node, &ON_EXIT))
                .unwrap_or(OnExit::None),
            differs_elsewhere: self.differs_elsewhere(&name),
            depends_elsewhere: BTreeMap::new(),
            color: self.get(table, "color", |check, key, node| check.keyword(key, node, &COLORS)),
            description: self.get(table, "description", Self::template_text),
            actions: self.get(table, "actions", Self::actions).unwrap_or_default(),
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
            // A full report needs no more, and to compare all its keys would take long.
            None if self.report.is_full() => nothing,
            // Reported already, as a misspelled `command`.
            None if table.keys().any(|key| misplaced::is_misspelled_command(key)) => nothing,
            None => {
                let mut text = format!("service `{name}` has no `command`");
                if self.system != HostSystem::THIS {
                    text.push_str(&format!(" on {}", self.system.name()));
                }
                let help = "set what to run: command = \"…\", or choose a `preset` (see `devstack presets`)";
                self.error_at(entry.key, text, help);
                nothing
            }
        }
    }

    fn tty(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<TtyMode> {
        match &node.value {
            RawValue::Boolean(true) => Some(TtyMode::Yes),
            RawValue::Boolean(false) => Some(TtyMode::No),
            RawValue::Text(text) if text == "auto" => Some(TtyMode::Auto),
            RawValue::Text(text) => {
                let text = format!("invalid value {} for `{key}`", quote(text));
                self.reject(node.at, text, "use true, false or \"auto\"")
            }
            _ => self.type_error(key, "a boolean or \"auto\"", node),
        }
    }

    fn success_codes(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<BTreeSet<i32>> {
        let RawValue::List(list) = &node.value else {
            return self.type_error(key, "an array of integers", node);
        };
        Some(list.iter().filter_map(|item| self.number(key, item, 0..=255)).collect())
    }
}
