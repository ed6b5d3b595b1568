//! Builds every service once with placeholder ports, so that building with the real ones cannot
//! fail: whatever is wrong with texts is found here, with its place.

use std::collections::HashSet;

use crate::model::{Class, Command, Probe};

use super::build::{Builder, Built, authority};
use super::fault::Fault;
use super::place::Place;
use super::report::Report;
use super::spec::ServiceSpec;
use super::suggest::{did_you_mean, quote};
use super::template::Trouble;

/// All variables of all services together, in bytes: a configuration of 1 MiB must not become
/// gigabytes.
const MAX_TOTAL: usize = 64 * 1024 * 1024;

/// Builds every service and reports what is wrong with its texts.
pub(super) fn verify(builder: Builder<'_>, report: &mut Report) {
    let mut total = 0;
    let mut patterns = HashSet::new();
    for spec in builder.spec.services.values() {
        let built = builder.build(spec);
        total += built.service.launch.env.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        if total > MAX_TOTAL {
            let fault = Fault::placeless(Class::Config, "the environments are too large");
            report.push(fault.help("all services together may have 64 MiB"));
            return;
        }
        for trouble in &built.troubles {
            tell(trouble, spec, &built, builder.files.incomplete, report);
        }
        if built.troubles.is_empty() {
            program(spec, &built, report);
            probes(&built, &mut patterns, report);
        }
    }
}

fn tell(
    trouble: &Trouble,
    spec: &ServiceSpec,
    built: &Built,
    incomplete: bool,
    report: &mut Report,
) {
    if report.is_full() {
        return;
    }
    let fault = match trouble {
        // The other checks have reported the reference itself.
        Trouble::Unknown { .. } => return,
        Trouble::Missing { .. } | Trouble::Required { .. } if incomplete => return,
        Trouble::Missing { name, at } => {
            let names = built.names.iter().map(String::as_str);
            let help = did_you_mean(name, names, || {
                format!(
                    "set it for {}, write ${{{name}:-default}}, or $$ for a plain dollar sign",
                    spec.name
                )
            });
            Fault::at(*at, format!("variable {} is not set", quote(name))).help(help)
        }
        Trouble::Required { name, message, at } => {
            let text = match message.trim() {
                "" => format!("variable {} is not set", quote(name)),
                message => format!("{}: {}", quote(name), quote(message).trim_matches('`')),
            };
            Fault::at(*at, text).help(format!("set {name} for {}", spec.name))
        }
        Trouble::Cycle { path, at } => {
            Fault::at(*at, format!("variables refer to each other: {path}"))
                .help("write one of them without the others")
        }
        Trouble::Deep { at } => Fault::at(*at, "variables refer to variables too deep"),
        Trouble::Large { at } => Fault::at(*at, "this becomes larger than 1 MiB")
            .help("no program can be given a text of this size"),
    };
    report.push(fault);
}

/// An array command needs a program once everything is put in.
fn program(spec: &ServiceSpec, built: &Built, report: &mut Report) {
    if let Command::Exec(words) = &built.service.launch.command
        && words.first().is_none_or(String::is_empty)
    {
        let at = spec.command.templates().first().map_or(spec.at, |word| word.at);
        report.push(Fault::at(at, "the program is empty").help("write what to execute"));
    }
}

fn probes(built: &Built, patterns: &mut HashSet<String>, report: &mut Report) {
    for (probe, at) in built.service.ready.probes.iter().zip(&built.probes_at) {
        let Some(at) = *at else { continue };
        match probe {
            Probe::Http { url, .. } => http(url, at, report),
            Probe::Log { pattern } => {
                if !patterns.contains(pattern) {
                    log(pattern, at, report);
                    patterns.insert(pattern.clone());
                }
            }
            Probe::Tcp { .. } | Probe::Exec { .. } | Probe::Delay { .. } => {}
        }
    }
}

fn http(url: &str, at: Place, report: &mut Report) {
    if authority(url).is_some() {
        return;
    }
    let help = match url.starts_with("https://") {
        true => "only http:// is supported for probes",
        false => "write a path such as \"/health\", or a URL such as \"http://127.0.0.1:8080/\"",
    };
    report.push(Fault::at(at, format!("{} cannot be asked for", quote(url))).help(help));
}

fn log(pattern: &str, at: Place, report: &mut Report) {
    let Err(error) = regex::Regex::new(pattern) else { return };
    let text = match &error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        error => {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            format!("not a regular expression: {}", last.trim_start_matches("error: "))
        }
    };
    let help = "a plain text needs `\\\\` before each of . + * ? ( ) [ ] { } ^ $ |";
    report.push(Fault::at(at, text).help(help));
}
