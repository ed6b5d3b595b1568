//! `preset`: defaults for a framework or data store, below what the service itself sets.

use std::borrow::Cow;

use crate::model::RequiredPrograms;
use crate::presets::{self, Preset};
use crate::text::join;

use super::ConfigChecker;
use super::container::{image_env, is_container, remove_program};
use crate::config::diagnostics::{LoadReport, Span, did_you_mean, quote};
use crate::config::parse::{RawEntry, RawTable, RawValue, SpannedValue, merge, parse};
use crate::config::spec::TemplateVars;
use crate::config::template::{Template, TemplateSyntax};

/// The placeholder for the address in the URL of a preset.
const ADDRESS: &str = "${HOST}:${PORT}";

#[derive(Clone, Copy)]
pub(super) struct ChosenPreset {
    pub preset: &'static Preset,
    pub at: Span,
}

impl ChosenPreset {
    pub fn needs(self) -> RequiredPrograms {
        let facts = self.preset.facts();
        RequiredPrograms { programs: facts.needs.clone(), install: facts.install.clone() }
    }

    /// Returns its `[service]` table. All spans point to where the preset was named, so that
    /// diagnostics show the user's file; keys come before the service's own.
    fn service(self, begin: Span) -> RawTable<'static> {
        let mut nothing = LoadReport::default();
        let mut file = parse(self.preset.text, 0, &mut nothing).unwrap_or_default();
        match file.remove("service").map(|entry| entry.node.value) {
            Some(RawValue::Table(mut table)) => {
                relocate_spans(&mut table, begin, self.at);
                table
            }
            // Cannot happen: a test parses every preset as a service.
            Some(_) | None => RawTable::new(),
        }
    }
}

impl ConfigChecker<'_, '_> {
    /// Merges a service with its preset, key by key. Keys of the service win.
    pub(super) fn with_preset<'a, 't>(
        &mut self,
        begin: Span,
        written: &'a RawTable<'t>,
    ) -> (Option<ChosenPreset>, Cow<'a, RawTable<'t>>) {
        let Some(chosen) = self.get(written, "preset", Self::preset) else {
            return (None, Cow::Borrowed(written));
        };
        let mut base = chosen.service(begin);
        // Preset variables are a layer of their own, below env files.
        base.remove("env");
        // A preset's debug and build commands belong to the command of the preset.
        if is_container(written) {
            remove_program(&mut base, chosen);
        } else if written.contains_key("command") {
            base.remove("debug");
            drop_build(&mut base);
        }
        if let Some(ready) = written.get("ready") {
            drop_probes(&mut base, ready);
        }
        let mut written = written.clone();
        merge_ports(&mut base, &mut written);
        let mut table: RawTable<'t> = base;
        merge(&mut table, written);
        (Some(chosen), Cow::Owned(table))
    }

    fn preset(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<ChosenPreset> {
        let name = self.text(key, node)?;
        if let Some(preset) = presets::find(name) {
            return Some(ChosenPreset { preset, at: node.at });
        }
        let names = presets::all().iter().map(|preset| preset.name);
        let all = join(names.clone(), ", ");
        let help = match did_you_mean(name, names, String::new) {
            near if near.is_empty() => format!("available presets: {all}"),
            near => format!("{near} Available presets: {all}"),
        };
        self.reject(node.at, format!("unknown preset {}", quote(name)), help)
    }

    /// Returns the URL of a preset as the templates before and after the address.
    pub(super) fn preset_url(&mut self, chosen: ChosenPreset) -> Option<[Template; 2]> {
        let (before, after) = chosen.preset.facts().url.as_deref()?.split_once(ADDRESS)?;
        Some([before, after].map(|text| self.template(text, chosen.at, TemplateSyntax::Full)))
    }

    /// Returns the variables of a preset, for its program or for its image.
    pub(super) fn preset_env(&mut self, chosen: ChosenPreset, container: bool) -> TemplateVars {
        if container {
            return image_env(chosen);
        }
        self.get(&chosen.service(chosen.at), "env", Self::variables).unwrap_or_default()
    }
}

/// Drops the command that a preset runs before it restarts a service.
fn drop_build(base: &mut RawTable<'_>) {
    if let Some(RawValue::Table(watch)) = base.get_mut("watch").map(|entry| &mut entry.node.value) {
        watch.remove("run");
    }
}

/// Drops the preset's probes if `ready` has its own. `timeout` and `interval` alone keep them.
fn drop_probes(base: &mut RawTable<'_>, written: &RawEntry<'_>) {
    let RawValue::Table(written) = &written.node.value else { return };
    let probes = |key: &str| !matches!(key, "timeout" | "interval");
    if written.keys().any(|key| probes(key))
        && let Some(RawValue::Table(ready)) =
            base.get_mut("ready").map(|entry| &mut entry.node.value)
    {
        ready.retain(|key, _| !probes(key));
    }
}

/// `port` replaces the main port of a preset with several, `ports` a preset's single port.
fn merge_ports<'t>(base: &mut RawTable<'t>, written: &mut RawTable<'t>) {
    if written.contains_key("ports") {
        base.remove("port");
        return;
    }
    let Some(RawValue::Table(ports)) = base.get("ports").map(|entry| &entry.node.value) else {
        return;
    };
    let Some(main) = ports.keys().next().cloned() else { return };
    if let Some(port) = written.remove("port") {
        let (key, at) = (port.key, port.node.at);
        let ports = RawTable::from([(main, port)]);
        let node = SpannedValue { at, value: RawValue::Table(ports) };
        written.insert("ports".into(), RawEntry { key, node });
    }
}

fn relocate_spans(table: &mut RawTable<'_>, begin: Span, at: Span) {
    for entry in table.values_mut() {
        entry.key = begin;
        move_node(&mut entry.node, begin, at);
    }
}

fn move_node(node: &mut SpannedValue<'_>, begin: Span, at: Span) {
    node.at = at;
    match &mut node.value {
        RawValue::List(list) => list.iter_mut().for_each(|node| move_node(node, begin, at)),
        RawValue::Table(table) => relocate_spans(table, begin, at),
        RawValue::Text(_)
        | RawValue::Integer(_)
        | RawValue::Float(_)
        | RawValue::Boolean(_)
        | RawValue::Date => {}
    }
}
