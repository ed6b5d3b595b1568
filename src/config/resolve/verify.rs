//! Builds all services once with placeholder ports, so that errors in texts are found here, with
//! their spans. Building with the real ports cannot fail then.

use std::collections::HashSet;

use crate::model::{CommandLine, MessageClass, Probe, Service};

use super::build::{BuiltService, ServiceBuilder, parse_http_authority};
use crate::config::diagnostics::{DiagnosticBuilder, LoadReport, Span, did_you_mean, quote};
use crate::config::env::EnvFileSet;
use crate::config::spec::{CommandSpec, EnvFileSpec, ProbeSpec, ServiceSpec, TemplateVars};
use crate::config::template::{ExpandError, Template};

/// Of all variables together, in bytes: 1 MiB of configuration must not expand to gigabytes.
const MAX_TOTAL: usize = 64 * 1024 * 1024;

/// Builds every service that can fail and reports the errors in its texts.
pub(super) fn dry_build(builder: ServiceBuilder<'_>, report: &mut LoadReport) {
    let stack = builder.spec;
    let simple_env = stack.env.values().all(Template::is_simple);
    let shared = written(&stack.env) + in_files(&stack.env_files, builder.files);
    let mut total = 0;
    let mut patterns = HashSet::new();
    for spec in stack.services.values() {
        let built = (!simple_env || !cannot_fail(spec)).then(|| builder.build(spec, false));
        total += match &built {
            Some(built) => built.service.launch.env.iter().map(|(k, v)| k.len() + v.len()).sum(),
            None => shared + written(&spec.env) + in_files(&spec.env_files, builder.files),
        };
        if total > MAX_TOTAL {
            let fault = DiagnosticBuilder::without_span(
                MessageClass::Config,
                "the environments are too large",
            );
            report.error(fault.help("reduce them: the limit for all services is 64 MiB"));
            return;
        }
        if spec.debug.is_some() {
            let reported = built.as_ref().map_or(&[][..], |built| &built.troubles);
            in_debug_mode(builder, spec, reported, report);
        }
        let Some(built) = built else { continue };
        for trouble in &built.troubles {
            report_error(trouble, spec, &built, builder.files.incomplete, report);
        }
        if built.troubles.is_empty() {
            let service = &built.service;
            program(&spec.command, &service.launch.command, spec.at, report);
            if let (Some(written), Some(stop)) = (&spec.stop.command, &service.stop.command) {
                program(written, stop, spec.at, report);
            }
            probes(spec, service, &mut patterns, report);
        }
    }
}

fn in_debug_mode(
    builder: ServiceBuilder<'_>,
    spec: &ServiceSpec,
    reported: &[ExpandError],
    report: &mut LoadReport,
) {
    let Some(command) = spec.debug.as_ref().and_then(|debug| debug.command.as_ref()) else {
        return;
    };
    let built = builder.build(spec, true);
    for trouble in built.troubles.iter().filter(|trouble| !reported.contains(trouble)) {
        report_error(trouble, spec, &built, builder.files.incomplete, report);
    }
    if built.troubles.is_empty() {
        program(command, &built.service.launch.command, spec.at, report);
    }
}

/// Whether building this service cannot fail.
fn cannot_fail(spec: &ServiceSpec) -> bool {
    let path = |template: &Template| {
        let text = template.as_text();
        text.is_some_and(|text| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()))
    };
    let probe = |probe: &ProbeSpec| match probe {
        ProbeSpec::OwnHttp { path: text, .. } | ProbeSpec::PortHttp { path: text, .. } => {
            path(text)
        }
        ProbeSpec::Http(_) | ProbeSpec::Log(_) => false,
        ProbeSpec::Exec(command) => names_program(command),
        ProbeSpec::OwnTcp(_)
        | ProbeSpec::OwnAnswer(_)
        | ProbeSpec::Tcp(_)
        | ProbeSpec::Delay(_)
        | ProbeSpec::Notify => true,
    };
    names_program(&spec.command)
        && spec.stop.command.iter().all(names_program)
        && spec.probes().all(probe)
        && spec.templates().all(Template::is_simple)
}

/// Whether the program of a command is known without building it.
fn names_program(command: &CommandSpec) -> bool {
    match command {
        CommandSpec::Exec(words) => words.first().is_some_and(|word| word.as_text().is_some()),
        CommandSpec::Shell(_) => true,
    }
}

fn written(variables: &TemplateVars) -> usize {
    variables.iter().map(|(name, template)| name.len() + template.len()).sum()
}

fn in_files(wanted: &[EnvFileSpec], files: &EnvFileSet) -> usize {
    let settings = wanted.iter().filter_map(|file| files.files.get(&file.path));
    settings.flat_map(|file| &file.settings).map(|(name, set)| name.len() + set.value.len()).sum()
}

fn report_error(
    trouble: &ExpandError,
    spec: &ServiceSpec,
    built: &BuiltService,
    incomplete: bool,
    report: &mut LoadReport,
) {
    if report.is_full() {
        return;
    }
    let fault = match trouble {
        // The reference itself was reported by other checks.
        ExpandError::UnknownReference { .. } => return,
        ExpandError::Missing { .. } | ExpandError::Required { .. } if incomplete => return,
        ExpandError::Missing { name, at } => {
            let names = built.names.iter().map(String::as_str);
            let help = did_you_mean(name, names, || {
                format!(
                    "set it for {}, use ${{{name}:-default}}, or write $$ for a literal dollar sign",
                    spec.written_name()
                )
            });
            DiagnosticBuilder::at(*at, format!("variable {} is not set", quote(name))).help(help)
        }
        ExpandError::Required { name, message, at } => {
            let text = match message.trim() {
                "" => format!("variable {} is not set", quote(name)),
                message => format!("{}: {}", quote(name), quote(message).trim_matches('`')),
            };
            DiagnosticBuilder::at(*at, text).help(format!("set {name} for {}", spec.written_name()))
        }
        ExpandError::Cycle { path, at } => {
            DiagnosticBuilder::at(*at, format!("reference cycle: {path}"))
                .help("break the cycle by removing one of these references")
        }
        ExpandError::TooDeep { at } => {
            DiagnosticBuilder::at(*at, "variable references are nested too deeply")
                .help("remove some of these references")
        }
        ExpandError::TooLarge { at } => DiagnosticBuilder::at(*at, "expanded value exceeds 1 MiB")
            .help("shorten it: no program accepts a value of this size"),
    };
    report.error(fault);
}

/// Checks that an array command has a program after expansion.
fn program(written: &CommandSpec, command: &CommandLine, otherwise: Span, report: &mut LoadReport) {
    if let CommandLine::Exec(words) = command
        && words.first().is_none_or(|program| program.expose().is_empty())
    {
        let at = written.templates().first().map_or(otherwise, |word| word.at);
        report.error(
            DiagnosticBuilder::at(at, "the command is empty")
                .help("set what to run: command = \"…\""),
        );
    }
}

fn probes(
    spec: &ServiceSpec,
    service: &Service,
    patterns: &mut HashSet<String>,
    report: &mut LoadReport,
) {
    let health = service.health.iter().flat_map(|health| &health.probes);
    for (written, probe) in spec.probes().zip(service.ready.probes.iter().chain(health)) {
        let at = written.templates().first().map_or(spec.at, |text| text.at);
        match (probe, written) {
            (Probe::Http { url, .. }, _) => http(url, at, report),
            (Probe::Log { pattern }, _) => {
                if !patterns.contains(pattern) {
                    log(pattern, at, report);
                    patterns.insert(pattern.clone());
                }
            }
            (Probe::Exec { command }, ProbeSpec::Exec(written)) => {
                program(written, command, at, report);
            }
            (Probe::Tcp { .. } | Probe::Exec { .. } | Probe::Delay { .. } | Probe::Notify, _) => {}
        }
    }
}

fn http(url: &str, at: Span, report: &mut LoadReport) {
    if parse_http_authority(url).is_some() {
        return;
    }
    let help = match url.starts_with("https://") {
        true => "use http://; probes do not support other schemes",
        false => "use a path such as \"/health\", or a URL such as \"http://127.0.0.1:8080/\"",
    };
    report.error(
        DiagnosticBuilder::at(at, format!("unsupported probe URL {}", quote(url))).help(help),
    );
}

fn log(pattern: &str, at: Span, report: &mut LoadReport) {
    let Err(error) = regex::Regex::new(pattern) else { return };
    let text = match &error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        error => {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            format!("invalid regular expression: {}", last.trim_start_matches("error: "))
        }
    };
    let help =
        "to match literal text, use '…' and escape each of . + * ? ( ) [ ] { } ^ $ | with `\\`";
    report.error(DiagnosticBuilder::at(at, text).help(help));
}
