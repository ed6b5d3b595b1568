//! What follows from a preset once the environment is known: the URL format, and the files that the
//! framework's own reloader watches.

use std::collections::BTreeMap;

use crate::model::{Message, MessageClass, UrlFormat};
use crate::presets::FrameworkReloader;

use super::address_book::AddressBook;
use crate::config::diagnostics::LoadReport;
use crate::config::env::{EnvFileSet, EnvResolver, layers};
use crate::config::spec::{ServiceSpec, StackSpec};
use crate::config::template::{Expand, ExpandError, Template, TemplatePart, expand};
use crate::encoding::percent_encode;

pub(super) fn apply_preset_facts(
    spec: &mut StackSpec,
    files: &EnvFileSet,
    outer: &BTreeMap<String, String>,
    report: &mut LoadReport,
) {
    let book = AddressBook::without_services(spec);
    let mut found = Vec::new();
    for service in spec.services.values().filter(|service| service.preset.is_some()) {
        let layers = layers(spec, service, files);
        let mut environment =
            EnvResolver::new(&book, layers, BTreeMap::new(), outer).for_service(spec, service);
        let url = url_form(service, &mut environment, report);
        let reloader = active_reloader(service, &mut environment);
        found.push((service.name.clone(), url, reloader));
    }
    drop(book);
    for (name, url, reloader) in found {
        let Some(service) = spec.services.get_mut(&name) else { continue };
        service.url_form = url.unwrap_or_default();
        if let Some(reloader) = reloader {
            exclude_reloaded_files(reloader, service, report);
        }
    }
}

fn url_form(
    service: &ServiceSpec,
    environment: &mut EnvResolver<'_>,
    report: &mut LoadReport,
) -> Option<UrlFormat> {
    let [before, after] = service.url_templates.as_ref()?;
    let mut text = |template| match encoded(template, environment) {
        Ok(text) => Some(text),
        Err(ExpandError::UnknownReference { at }) => {
            let text = format!("the URL of {} cannot refer to another service", service.name);
            let help = "use plain strings: its variables are needed before ports are assigned";
            report.error_at(at, text, help);
            None
        }
        // Reported when the environment is resolved.
        Err(_) => None,
    };
    Some(UrlFormat { prefix: text(before)?, suffix: text(after)? })
}

/// Expands a part of a URL, percent-encoding the values of references.
fn encoded(template: &Template, environment: &mut EnvResolver<'_>) -> Result<String, ExpandError> {
    let mut url = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => url.push_str(text),
            TemplatePart::Service { .. }
            | TemplatePart::Stack { .. }
            | TemplatePart::Variable { .. } => {
                let value = expand(std::slice::from_ref(part), template.at, environment)?;
                percent_encode(value, &mut url);
            }
        }
    }
    Ok(url)
}

/// The framework's own reloader, if this service turns it on.
fn active_reloader(
    service: &ServiceSpec,
    environment: &mut EnvResolver<'_>,
) -> Option<&'static FrameworkReloader> {
    let reloader = service.preset?.facts().reloader.as_ref()?;
    service.watch.iter().find(|watch| watch.action.restarts())?;
    // A variable that cannot be expanded was reported.
    let variable = |name: &str| environment.variable(name, service.at).ok().flatten();
    reloader.is_on(&service.command.static_words(), variable).then_some(reloader)
}

/// Leaves files to the framework's own reloader while the service runs, so that a change does not
/// restart it twice. Adds a note if the user wrote the `watch`.
fn exclude_reloaded_files(
    reloader: &FrameworkReloader,
    service: &mut ServiceSpec,
    report: &mut LoadReport,
) {
    let Some(framework) = service.preset else { return };
    for watch in service.watch.iter_mut().filter(|watch| watch.action.restarts()) {
        let files = reloader.files.iter().filter(|glob| !watch.exclude.contains(glob));
        let files: Vec<String> = files.cloned().collect();
        watch.reloaded.extend(files);
    }
    if service.watch_at.is_some() {
        let text = format!(
            "{} reloads itself, so its `watch` ignores {}",
            service.name,
            reloader.files.join(", ")
        );
        let switch = reloader.on.iter().find(|word| service.command.static_words().contains(word));
        let help = match (switch, &reloader.variable, reloader.off.first()) {
            (Some(word), _, _) if word.starts_with('-') => {
                format!("remove `{word}` to have devstack restart it instead")
            }
            (_, _, Some(off)) if off.starts_with('-') => {
                format!("pass {off} to have devstack restart it instead")
            }
            (_, Some(variable), _) => {
                format!("unset {variable} to have devstack restart it instead")
            }
            _ => format!("nothing to do: {} reloads these files without a restart", framework.name),
        };
        report.note(Message::new(MessageClass::Config, text).help(help));
    }
}
