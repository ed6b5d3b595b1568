//! Which services start by default, given the selected profiles.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Message, MessageClass, Name};

use crate::config::diagnostics::{DiagnosticBuilder, LoadReport, did_you_mean, list_or, quote};
use crate::config::sources::ConfigOverrides;
use crate::config::spec::{DependencySpec, ServiceSpec, StackSpec};

/// The variable with the selected profiles, separated by commas.
const VARIABLE: &str = "DEVSTACK_PROFILES";

/// Clears `autostart` of services whose profiles are not selected; reports dependencies on them.
pub(super) fn apply_profiles(
    spec: &mut StackSpec,
    outer: &BTreeMap<String, String>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) {
    let chosen = selected_profiles(spec, outer, overrides, report);
    let mut left_out = BTreeSet::new();
    for service in spec.services.values_mut() {
        let Some(profiles) = &service.profiles else { continue };
        if !profiles.names.iter().any(|name| chosen.contains(name)) {
            service.autostart = false;
            left_out.insert(service.name.clone());
        }
    }
    if !left_out.is_empty() {
        dependencies(spec, &left_out, report);
    }
}

fn selected_profiles(
    spec: &StackSpec,
    outer: &BTreeMap<String, String>,
    overrides: &ConfigOverrides,
    report: &mut LoadReport,
) -> BTreeSet<Name> {
    let profiles = spec.services.values().filter_map(|service| service.profiles.as_ref());
    let known: BTreeSet<&Name> = profiles.flat_map(|profiles| &profiles.names).collect();
    let find = |text: &str| Name::new(text).ok().filter(|name| known.contains(name));
    let help = |text: &str| {
        let names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
        did_you_mean(text, names.iter().copied(), || match names.len() {
            0 => "no service in this file sets `profiles`".to_owned(),
            1..=10 => format!("available profiles: {}", list_or(&names)),
            _ => "use a profile listed in the `profiles` of a service".to_owned(),
        })
    };
    let mut chosen = BTreeSet::new();
    for text in &overrides.profiles {
        match find(text) {
            Some(name) => drop(chosen.insert(name)),
            None => {
                let text_of = format!("--profile: unknown profile {}", quote(text));
                report.error(DiagnosticBuilder::usage(text_of).help(help(text)));
            }
        }
    }
    let variable = outer.get(VARIABLE).map_or("", String::as_str);
    for text in variable.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match find(text) {
            Some(name) => drop(chosen.insert(name)),
            // It may be meant for another project.
            None => {
                let text_of = format!("{VARIABLE}: unknown profile {}", quote(text));
                report.note(Message::new(MessageClass::Config, text_of).help(help(text)));
            }
        }
    }
    chosen
}

/// Reports services that start, even as a dependency, and depend on one that was left out.
fn dependencies(spec: &StackSpec, left_out: &BTreeSet<Name>, report: &mut LoadReport) {
    let starts = spec.services.values().filter(|service| service.autostart);
    let mut ahead: Vec<&ServiceSpec> = starts.collect();
    let mut seen: BTreeSet<&Name> = ahead.iter().map(|service| &service.name).collect();
    while let Some(service) = ahead.pop() {
        for (name, dependency) in &service.depends_on {
            let Some(target) = spec.find_written(name.as_str()) else { continue };
            if left_out.contains(&target.name) {
                report.error(unselected_dependency(service, dependency, target));
            } else if seen.insert(&target.name) {
                ahead.push(target);
            }
        }
    }
}

fn unselected_dependency(
    service: &ServiceSpec,
    dependency: &DependencySpec,
    target: &ServiceSpec,
) -> DiagnosticBuilder {
    let names = target.profiles.iter().flat_map(|profiles| &profiles.names);
    let names: Vec<&str> = names.map(Name::as_str).collect();
    let text = format!(
        "`{}` depends on `{}`, which starts only with profile {}",
        service.name,
        target.name,
        list_or(&names)
    );
    let mut fault = DiagnosticBuilder::at(dependency.at, text);
    if let Some(profiles) = &target.profiles {
        fault = fault.secondary(profiles.at, "not active");
    }
    let first = names.first().copied().unwrap_or_default();
    let help = format!(
        "activate it with --profile {first}, or set the same `profiles` for `{}`",
        service.name
    );
    fault.help(help)
}
