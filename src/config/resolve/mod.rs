//! The pure part of loading: from texts to a checked configuration.

mod address_book;
mod bind_hints;
mod build;
mod cycles;
mod debug_target;
mod includes;
mod names;
mod port_requests;
mod port_variables;
mod portable;
mod preset_facts;
mod profiles;
mod references;
mod replicas;
mod unreachable;
mod verify;

pub(crate) use address_book::{AddressBook, Viewpoint};
pub(crate) use bind_hints::command_words;
pub(crate) use build::ServiceBuilder;
pub(super) use includes::{ConfigText, ConfigUnit, IncludedUnit};
pub(crate) use port_requests::PortRequests;
pub(super) use port_requests::written_port_requests;
pub(super) use portable::portable_stack;

use std::collections::BTreeMap;

use super::diagnostics::LoadReport;
use super::env::{EnvFileSet, reserved};
use super::parse::parse_file;
use super::sources::ConfigOverrides;
use super::spec::StackSpec;

use includes::check_units;
use port_requests::port_requests;
use verify::dry_build;

/// A checked configuration, its env files and its port requests (in run mode, and of debuggers).
pub(super) type ConfigParts = (StackSpec, EnvFileSet, PortRequests);

/// Parses, merges and checks configuration files: units in an order in which each comes after those
/// that it includes. `None` if nothing can be checked further; the reason is in the report.
pub(super) fn parse_and_check(
    units: &[ConfigUnit],
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> Option<StackSpec> {
    let mut parsed = Vec::with_capacity(units.len());
    let mut complete = true;
    for unit in units {
        let mut files = Vec::with_capacity(unit.texts.len());
        for (file, source) in &unit.texts {
            let table = parse_file(source, *file, report);
            complete &= table.is_some();
            files.extend(table);
        }
        parsed.push(files);
    }
    complete.then(|| check_units(units, parsed, overrides, report))?
}

/// Combines a checked configuration with its env files and checks what spans services.
pub(super) fn resolve_spec(
    mut spec: StackSpec,
    env_files: EnvFileSet,
    outer: &BTreeMap<String, String>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> ConfigParts {
    references::check(&spec, report);
    reserved::note_reserved_variables(&spec, report);
    unreachable::note_unreachable_programs(&spec, report);
    port_variables::note_missing_ports(&spec, &env_files, report);
    profiles::apply_profiles(&mut spec, outer, overrides, report);
    preset_facts::apply_preset_facts(&mut spec, &env_files, outer, report);
    names::settle_names(&mut spec, report);
    replicas::expand(&mut spec, report);
    references::spread_ports(&mut spec);
    references::check_duplicate_ports(&spec, report);
    let requests = port_requests(&spec, &env_files, outer, overrides, report);
    let ports = BTreeMap::new();
    let book = AddressBook::with_longest_ports(&spec);
    let builder =
        ServiceBuilder { spec: &spec, files: &env_files, outer, book: &book, ports: &ports };
    dry_build(builder, report);
    drop(book);
    (spec, env_files, requests)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::config::diagnostics::SourceFile;

    /// Everything except reading: for any text, loading terminates and its errors can be rendered.
    fn survives(text: String, local: String, env: String) {
        let mut report = LoadReport::default();
        let source = |name: &str, text| SourceFile::config(PathBuf::from(name), name.into(), text);
        let texts = [
            report.add_source(source("devstack.toml", text)),
            report.add_source(source("devstack.local.toml", local)),
        ];
        let unit = ConfigUnit::alone(texts.into(), "/shop".into());
        if let Some(spec) = parse_and_check(&[unit], &ConfigOverrides::default(), &mut report) {
            let mut files = EnvFileSet::default();
            let secret = SourceFile::secret(PathBuf::from("/shop/.env"), ".env".into(), env);
            let secret = report.add_source(secret);
            let outer = [("PORT", "1"), ("DEVSTACK_PROFILES", "a,,é")];
            let outer = outer.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            files.add(PathBuf::from("/shop/.env"), secret, &outer, &mut report);
            resolve_spec(spec, files, &outer, &ConfigOverrides::default(), &mut report);
        }
        if let Err(diagnostics) = report.finish() {
            assert!(!diagnostics.list().is_empty());
            assert!(!diagnostics.render(true).is_empty());
            assert!(!diagnostics.summary().text.contains('\n'));
            diagnostics.list().iter().for_each(|diagnostic| {
                assert!(
                    diagnostic.location().is_none_or(|(_, line, column)| line > 0 && column > 0)
                );
            });
        }
    }

    /// Values of all types, including texts that mean something for some key.
    fn value() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            Just("auto"),
            Just("/health"),
            Just("${a.url}"),
            Just("${a-2.url}"),
            Just("b-1"),
            Just("$PORT ${X:-${b.port}} $$"),
            Just("${"),
            Just("${X:?no}"),
            Just("é${stack.dir}\u{1b}"),
            Just("5s"),
            Just("a"),
            Just("[a-"),
            Just("(("),
            Just("completed"),
            Just("http://localhost:${a.port}/"),
            Just(""),
        ];
        let leaf = prop_oneof![
            4 => text.prop_map(|text| format!("{text:?}").replace("\\u{1b}", "\\u001b")),
            2 => any::<i64>().prop_map(|number| number.to_string()),
            1 => (0..4u32).prop_map(|number| number.to_string()),
            2 => (0..70000u32).prop_map(|number| number.to_string()),
            1 => any::<bool>().prop_map(|yes| yes.to_string()),
            1 => Just("1.5".to_owned()),
            1 => Just("1979-05-27".to_owned()),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4);
            let table = prop::collection::vec((key(), inner), 0..4);
            prop_oneof![
                list.prop_map(|list| format!("[{}]", list.join(", "))),
                table.prop_map(|table| {
                    let entry = |(key, value): &(String, String)| format!("{key} = {value}");
                    format!("{{{}}}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
                }),
            ]
        })
    }

    fn key() -> impl Strategy<Value = String> {
        let mut keys = vec!["a", "b", "X", "PORT", "metrics", "\"\""];
        for (_, table) in crate::config::schema::all() {
            keys.extend(table.iter().map(|key| key.name));
        }
        prop::sample::select(keys).prop_map(str::to_owned)
    }

    fn file() -> impl Strategy<Value = String> {
        let table =
            prop::sample::select(vec!["stack", "services.a", "services.b", "services.a-1", "x"]);
        let entries = prop::collection::btree_map(key(), value(), 0..6);
        prop::collection::btree_map(table, entries, 0..4).prop_map(|tables| {
            let mut text = String::new();
            for (name, entries) in tables {
                text.push_str(&format!("[{name}]\n"));
                for (key, value) in entries {
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
            text
        })
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\PC\n\r\t\0]{0,200}", env in "[A-C=#'\"\n ]{0,20}") {
            survives(text, String::new(), env);
        }

        #[test]
        fn any_file_is_survived(text in file(), local in file(), env in "[A-C=#'\"\n ]{0,20}") {
            survives(text, local, env);
        }

        #[test]
        fn any_reference_is_survived(text in "[$\\\\{}:?.ab_A \\-é0]{0,30}") {
            for key in ["command", "env.A", "ready.log", "health.exec", "stop.command", "ready.http", "dir", "description"] {
                let text = format!("[services.a]\nport = 1\n{key} = '{text}'\n");
                survives(text.clone(), String::new(), String::new());
                survives(text.replace('\'', "\"\"\""), String::new(), String::new());
            }
        }
    }
}
