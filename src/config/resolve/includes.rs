//! Checks each file in its own scope and joins their services into one stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::check::include::IncludeSpec;
use crate::config::check::name_scope::{NameScope, VisibleService};
use crate::config::check::{self, FileContext};
use crate::config::diagnostics::{
    DiagnosticBuilder, LoadReport, SourceFile, Span, did_you_mean, quote,
};
use crate::config::parse::RawTable;
use crate::config::sources::ConfigOverrides;
use crate::config::spec::{ReplicaSpec, ScopeSpec, ServiceSpec, StackSpec, split_replica_name};
use crate::model::Name;
use crate::text::join;

/// The text of a file, and its number in the report.
pub(in crate::config) type ConfigText = (u32, Arc<SourceFile>);

/// A file with its local changes, or files given together: one scope of names.
#[derive(Debug)]
pub(in crate::config) struct ConfigUnit {
    /// At least one; later ones override earlier ones.
    pub texts: Vec<ConfigText>,
    /// The directory of the first file.
    pub dir: PathBuf,
    /// What precedes the names of its services, such as `search-`.
    pub prefix: String,
    pub includes: Vec<IncludedUnit>,
}

#[cfg(test)]
impl ConfigUnit {
    /// A main unit that includes nothing.
    pub fn alone(texts: Vec<ConfigText>, dir: PathBuf) -> ConfigUnit {
        ConfigUnit { texts, dir, prefix: String::new(), includes: Vec::new() }
    }
}

/// A unit that another one includes.
#[derive(Debug)]
pub(in crate::config) struct IncludedUnit {
    /// Its index. It comes before the units that include it.
    pub unit: usize,
    pub written: IncludeSpec,
}

/// What a checked unit offers to those that include it.
struct CheckedUnit {
    spec: StackSpec,
    /// All services it can refer to, by the names that it calls them.
    visible: BTreeMap<String, VisibleService>,
    /// The services that it brings.
    brought: BTreeSet<DefinedService>,
}

/// The index of the unit that defines a service, and its name in the stack.
type DefinedService = (usize, Name);

/// Checks all units, the main one last, and joins them. `None` if nothing can be checked further; the
/// reason is in the report.
pub(super) fn check_units(
    units: &[ConfigUnit],
    parsed: Vec<Vec<RawTable<'_>>>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> Option<StackSpec> {
    let main = units.last()?;
    let stack_name = check::stack_name(parsed.last()?, &main.dir, overrides);
    let mut checked: Vec<CheckedUnit> = Vec::with_capacity(units.len());
    for (unit, files) in units.iter().zip(parsed) {
        let names = NameScope { prefix: unit.prefix.clone(), included: included(unit, &checked) };
        let first = Span::new(unit.texts.first()?.0, 0..0);
        let context = FileContext {
            first,
            dir: &unit.dir,
            project_dir: &main.dir,
            names: &names,
            stack_name: &stack_name,
        };
        let spec = check::check(files, context, overrides, report)?;
        let own = checked.len();
        let mut brought = brought(unit, &checked, report);
        brought.extend(spec.services.keys().map(|name| (own, name.clone())));
        let mut visible = names.included.clone();
        visible.extend(spec.services.values().map(|service| {
            let replicas = match service.replicas {
                ReplicaSpec::Many(of) => Some(of),
                ReplicaSpec::One | ReplicaSpec::Member { .. } => None,
            };
            let name = service.name.clone();
            (names.local(&name).to_owned(), VisibleService { name, replicas, unit: own })
        }));
        checked.push(CheckedUnit { spec, visible, brought });
    }
    join_units(checked, main, report)
}

/// Returns the services of included files, by the names that the including file calls them.
fn included(unit: &ConfigUnit, checked: &[CheckedUnit]) -> BTreeMap<String, VisibleService> {
    let mut names = BTreeMap::new();
    for include in &unit.includes {
        for (name, service) in &checked[include.unit].visible {
            let name = match &include.written.prefix {
                Some(prefix) => format!("{prefix}-{name}"),
                None => name.clone(),
            };
            names.entry(name).or_insert_with(|| service.clone());
        }
    }
    names
}

/// Returns the services that a unit takes from those that it includes.
fn brought(
    unit: &ConfigUnit,
    checked: &[CheckedUnit],
    report: &mut LoadReport,
) -> BTreeSet<DefinedService> {
    let mut names = BTreeSet::new();
    for include in &unit.includes {
        let from = &checked[include.unit];
        let Some(only) = &include.written.only else {
            names.extend(from.brought.iter().cloned());
            continue;
        };
        for (name, at) in only {
            if let Some(service) = from.visible.get(name.as_str()) {
                names.insert((service.unit, service.name.clone()));
                continue;
            }
            let known = from.visible.keys().map(String::as_str);
            let all = || format!("available services: {}", join(known.clone(), ", "));
            let help = did_you_mean(name.as_str(), known.clone(), all);
            report.error_at(*at, format!("unknown service {}", quote(name.as_str())), help);
        }
    }
    names
}

fn join_units(
    checked: Vec<CheckedUnit>,
    main: &ConfigUnit,
    report: &mut LoadReport,
) -> Option<StackSpec> {
    let (units, kept) = (checked.len(), with_needs(&checked));
    let (mut scopes, mut services) = (Vec::new(), BTreeMap::<Name, ServiceSpec>::new());
    let mut stack: Option<StackSpec> = None;
    for (scope, CheckedUnit { mut spec, .. }) in checked.into_iter().enumerate() {
        scopes.append(&mut spec.scopes);
        for (name, mut service) in std::mem::take(&mut spec.services) {
            let key = (scope, name);
            if !kept.contains(&key) {
                continue;
            }
            service.scope = scope;
            let (_, name) = key;
            match services.get(&name) {
                None => drop(services.insert(name, service)),
                Some(other) => report.error(conflict(&service, other, &scopes, report)),
            }
        }
        let is_main = scope + 1 == units;
        let before = stack.take().and_then(|stack| stack.primary);
        spec.primary = if is_main { spec.primary.or(before) } else { before.or(spec.primary) };
        stack = Some(spec);
    }
    let mut stack = StackSpec { scopes, services, ..stack? };
    if !main.includes.is_empty() {
        let first = || {
            let found = stack.services.values().find(|service| service.serves_port());
            found.map(|service| service.name.clone())
        };
        stack.primary =
            stack.primary.filter(|name| stack.services.contains_key(name)).or_else(first);
    }
    if stack.services.is_empty() && report.count() == 0 {
        let first = Span::new(main.texts.first()?.0, 0..0);
        let help = "add a service: [services.web], followed by command = \"…\"";
        report.error_at(first, "no services defined", help);
    }
    Some(stack)
}

fn conflict(
    service: &ServiceSpec,
    other: &ServiceSpec,
    scopes: &[ScopeSpec],
    report: &LoadReport,
) -> DiagnosticBuilder {
    let [here, there] = [service, other].map(|service| quote(report.shown(service.at.file)));
    let text = format!("service `{}` is defined in {here} and {there}", service.name);
    let has_prefix = [service, other].iter().any(|one| !scopes[one.scope].prefix.is_empty());
    let help = match has_prefix {
        true => "choose other prefixes, with `as` where these files are included",
        false => "include one of these files with a prefix: { path = \"…\", as = \"…\" }",
    };
    DiagnosticBuilder::at(service.at, text).secondary(other.at, "also defined here").help(help)
}

/// Returns the services that the main unit brings, and all that they depend on or refer to.
fn with_needs(checked: &[CheckedUnit]) -> BTreeSet<DefinedService> {
    let in_stack = |unit: &CheckedUnit| {
        let visible = unit.visible.values().map(|it| (it.name.to_string(), it.unit));
        visible.collect::<BTreeMap<String, usize>>()
    };
    let visible: Vec<BTreeMap<String, usize>> = checked.iter().map(in_stack).collect();
    let mut kept = checked.last().map(|main| main.brought.clone()).unwrap_or_default();
    let mut ahead: Vec<DefinedService> = kept.iter().cloned().collect();
    while let Some((unit, name)) = ahead.pop() {
        let spec = &checked[unit].spec;
        let Some(service) = spec.services.get(&name) else { continue };
        let mut needs: BTreeSet<&str> = service.depends_on.keys().map(Name::as_str).collect();
        let elsewhere = service.depends_elsewhere.values().flat_map(BTreeMap::keys);
        needs.extend(elsewhere.map(Name::as_str));
        let of_scope = spec.scope(service).env.values();
        for template in service.templates().chain(of_scope) {
            template.services(&mut |name, _, _| needs.extend([name]));
        }
        let find = |name: &str| Some((*visible[unit].get(name)?, Name::new(name).ok()?));
        for need in needs {
            let group = || find(split_replica_name(need)?.0);
            let found = find(need).or_else(group).filter(|found| !kept.contains(found));
            ahead.extend(found.clone());
            kept.extend(found);
        }
    }
    kept
}
