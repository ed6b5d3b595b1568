//! Builds all services once with placeholder ports, so that errors in texts are found here, with
//! their spans. Building with the real ports cannot fail then.

use std::collections::HashSet;

use crate::model::{CommandLine, ContainerConfig, ImageSource, Probe, Service, is_image_reference};

use super::build::{BuiltService, ServiceBuilder, parse_http_authority};
use super::port_requests::PORT;
use super::port_variables::how_to_get_a_port;
use crate::config::diagnostics::{LoadReport, Span, did_you_mean, quote};
use crate::config::env::EnvFileSet;
use crate::config::spec::{
    CommandSpec, EnvFileSpec, HttpSpec, HttpTarget, ProbeSpec, ScopeSpec, ServiceSpec, TemplateVars,
};
use crate::config::template::{ExpandError, Template};

/// Of all variables and texts together, in bytes: 1 MiB of configuration must not expand to gigabytes.
const MAX_TOTAL: usize = 32 * 1024 * 1024;

/// What a variable takes in memory, beside its name and value, in an export.
const OF_VARIABLE: usize = 256;

/// Builds every service that can fail and reports the errors in its texts.
pub(super) fn dry_build(builder: ServiceBuilder<'_>, report: &mut LoadReport) {
    let stack = builder.spec;
    let of_scope = |scope: &ScopeSpec| {
        let simple = scope.env.values().all(Template::is_simple);
        (simple, written(&scope.env) + in_files(&scope.env_files, builder.files))
    };
    let scopes: Vec<(bool, usize)> = stack.scopes.iter().map(of_scope).collect();
    let mut total = 0;
    let mut patterns = HashSet::new();
    for spec in stack.services.values() {
        let (simple_env, shared) = scopes[spec.scope];
        let built = (!simple_env || !cannot_fail(spec)).then(|| builder.build(spec, false));
        total += match &built {
            Some(built) => size(built),
            None => {
                let own = written(&spec.env) + in_files(&spec.env_files, builder.files);
                // Host, port and URL of each.
                shared + own + 3 * OF_VARIABLE * spec.depends_on.len()
            }
        };
        if spec.debug.is_some() {
            let reported = built.as_ref().map_or(&[][..], |built| &built.troubles);
            total += in_debug_mode(builder, spec, reported, report);
        }
        if report.is_full() || (total > MAX_TOTAL && report.count() > 0) {
            return;
        }
        if total > MAX_TOTAL {
            let text = "environments and commands are too large together";
            let help = "reduce them: the limit for all services is 32 MiB";
            return report.error_at(None, text, help);
        }
        let Some(built) = built else { continue };
        for trouble in &built.troubles {
            report_error(trouble, spec, &built, builder.files.incomplete, report);
        }
        if built.troubles.is_empty() {
            let service = &built.service;
            match &service.launch.container {
                Some(container) => image(container, spec, report),
                None => program(&spec.command, &service.launch.command, spec.at, report),
            }
            if let (Some(written), Some(stop)) = (&spec.stop.command, &service.stop.command) {
                program(written, stop, spec.at, report);
            }
            for (name, action) in &spec.actions {
                if let Some(built) = service.actions.get(name) {
                    program(&action.command, &built.command, spec.at, report);
                }
            }
            probes(spec, service, &mut patterns, report);
        }
    }
}

/// Checks a service in debug mode. Returns the size of its texts there.
fn in_debug_mode(
    builder: ServiceBuilder<'_>,
    spec: &ServiceSpec,
    reported: &[ExpandError],
    report: &mut LoadReport,
) -> usize {
    let Some(command) = spec.debug.as_ref().and_then(|debug| debug.command.as_ref()) else {
        return 0;
    };
    let built = builder.build(spec, true);
    for trouble in built.troubles.iter().filter(|trouble| !reported.contains(trouble)) {
        report_error(trouble, spec, &built, builder.files.incomplete, report);
    }
    if built.troubles.is_empty() && spec.container.is_none() {
        program(command, &built.service.launch.command, spec.at, report);
    }
    built.texts
}

/// Whether building this service cannot fail.
fn cannot_fail(spec: &ServiceSpec) -> bool {
    let path = |template: &Template| {
        let text = template.as_text();
        text.is_some_and(|text| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()))
    };
    let probe = |probe: &ProbeSpec| match probe {
        ProbeSpec::Http(http) => match &http.target {
            HttpTarget::OwnPort { path: text, .. } | HttpTarget::Port { path: text, .. } => {
                path(text)
            }
            HttpTarget::Url(_) => false,
        },
        ProbeSpec::Log(_) => false,
        ProbeSpec::Exec(command) => names_program(command),
        ProbeSpec::OwnTcp(_)
        | ProbeSpec::OwnAnswer(_)
        | ProbeSpec::Tcp(_)
        | ProbeSpec::Delay(_)
        | ProbeSpec::Notify
        | ProbeSpec::Healthcheck { .. } => true,
    };
    spec.container.is_none()
        && names_program(&spec.command)
        && spec.stop.command.iter().all(names_program)
        && spec.actions.values().all(|action| names_program(&action.command))
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

fn size(built: &BuiltService) -> usize {
    let env = built.service.launch.env.iter();
    let env: usize = env.map(|(name, value)| OF_VARIABLE + name.len() + value.len()).sum();
    env + built.texts + OF_VARIABLE * built.troubles.len()
}

fn written(variables: &TemplateVars) -> usize {
    variables.iter().map(|(name, template)| OF_VARIABLE + name.len() + template.len()).sum()
}

fn in_files(wanted: &[EnvFileSpec], files: &EnvFileSet) -> usize {
    let variables = wanted.iter().filter_map(|file| files.files.get(&file.path)).flatten();
    variables
        .map(|(name, value)| OF_VARIABLE + name.len() + value.as_text().map_or(0, str::len))
        .sum()
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
    let (at, text, help) = match trouble {
        // The reference itself was reported by other checks.
        ExpandError::UnknownReference { .. } => return,
        ExpandError::Missing { .. } | ExpandError::Required { .. } if incomplete => return,
        ExpandError::Missing { name, at } => {
            let names = built.names.iter().map(String::as_str);
            let help = match name.as_str() {
                PORT if spec.ports.is_empty() => how_to_get_a_port(spec),
                _ => did_you_mean(name, names, || {
                    let service = spec.written_name();
                    format!(
                        "set it for {service}, use ${{{name}:-default}}, or write $$ for a literal dollar sign"
                    )
                }),
            };
            (at, format!("variable {} is not set", quote(name)), help)
        }
        ExpandError::Required { name, message, at } => {
            let text = match message.trim() {
                "" => format!("variable {} is not set", quote(name)),
                message => format!("{}: {}", quote(name), quote(message).trim_matches('`')),
            };
            (at, text, format!("set {name} for {}", spec.written_name()))
        }
        ExpandError::Cycle { path, at } => {
            let help = "break the cycle by removing one of these references";
            (at, format!("reference cycle: {path}"), help.to_owned())
        }
        ExpandError::TooDeep { at } => {
            let text = "variable references are nested too deeply";
            (at, text.to_owned(), "remove some of these references".to_owned())
        }
        ExpandError::TooLarge { at } => {
            let help = "shorten it: no program accepts a value of this size";
            (at, "expanded value exceeds 1 MiB".to_owned(), help.to_owned())
        }
        ExpandError::TooLargeTogether { at } => {
            let help = "shorten them: no program accepts an environment or command of this size";
            (at, "expanded values together exceed 16 MiB".to_owned(), help.to_owned())
        }
    };
    report.error_at(*at, text, help);
}

/// Checks that an array command has a program after expansion.
fn program(written: &CommandSpec, command: &CommandLine, otherwise: Span, report: &mut LoadReport) {
    if let CommandLine::Exec(words) = command
        && words.first().is_none_or(|program| program.expose().is_empty())
    {
        let at = written.templates().first().map_or(otherwise, |word| word.at);
        report.error_at(at, "the command is empty", "set what to run: command = \"…\"");
    }
}

/// Checks the reference of an image after expansion.
fn image(container: &ContainerConfig, spec: &ServiceSpec, report: &mut LoadReport) {
    let ImageSource::Image(image) = &container.source else { return };
    if !is_image_reference(image.expose()) {
        let at = spec.container.iter().flat_map(ContainerConfig::texts).next();
        let text = format!("invalid image {}", quote(image.redacted()));
        let help = "use a name such as \"postgres:17\" or \"ghcr.io/acme/api:1.2\"";
        report.error_at(at.map_or(spec.at, |image| image.at), text, help);
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
            (Probe::Http { url, .. }, written) => http(url, written, at, report),
            (Probe::Log { pattern }, _) => {
                if !patterns.contains(pattern) {
                    log(pattern, at, report);
                    patterns.insert(pattern.clone());
                }
            }
            (Probe::Exec { command }, ProbeSpec::Exec(written)) => {
                program(written, command, at, report);
            }
            (
                Probe::Tcp { .. }
                | Probe::Exec { .. }
                | Probe::Delay { .. }
                | Probe::Notify
                | Probe::Healthcheck { .. },
                _,
            ) => {}
        }
    }
}

/// `url` has a placeholder for its port, so it is not shown.
fn http(url: &str, written: &ProbeSpec, at: Span, report: &mut LoadReport) {
    let https = matches!(written, ProbeSpec::Http(written) if written.https);
    if parse_http_authority(url).is_some() && (!https || url.starts_with("https://")) {
        return;
    }
    let what = match written {
        ProbeSpec::Http(HttpSpec { target: HttpTarget::Url(_), .. }) => "URL",
        _ => "path",
    };
    let shown = report.text(at.file).get(at.start as usize..at.end as usize).unwrap_or_default();
    let shown = quote(shown.trim_matches(['"', '\'']));
    let (text, help) = if url.contains(|c: char| !c.is_ascii_graphic()) {
        let text = format!("invalid probe {what} {shown}: it has a space or a special character");
        (text, "percent-encode it: `%20` is a space".to_owned())
    } else {
        let scheme = if https { "https" } else { "http" };
        let help = format!(
            "use a path such as \"/health\", or a URL such as \"{scheme}://127.0.0.1:8080/\""
        );
        (format!("unsupported probe {what} {shown}"), help)
    };
    report.error_at(at, text, help);
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
    report.error_at(at, text, help);
}
