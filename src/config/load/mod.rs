//! The only part of the configuration that reads files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{CONFIG_FILE, MessageClass};

use super::config::Config;
use super::diagnostics::{
    DiagnosticBuilder, DiagnosticList, LoadReport, LoadedFiles, SourceFile, quote,
};
use super::env::EnvFileSet;
use super::resolve::{parse_and_check, resolve_spec};
use super::sources::ConfigSources;
use super::spec::{EnvFileSpec, StackSpec};

/// Root can write any file anyway, so its files are trusted.
const ROOT: u32 = 0;

/// The user's own changes, next to the main file.
const LOCAL: &str = "devstack.local.toml";

/// Reads and checks a configuration: its files, their overrides, and env files.
///
/// # Errors
///
/// Everything that is wrong, as far as it can be found at once.
pub fn load(sources: &ConfigSources) -> Result<Config, DiagnosticList> {
    let mut report = LoadReport::default();
    let parts = read(sources, &mut report);
    let LoadedFiles { notes, files, sources: texts } = report.finish()?;
    let (spec, env_files, requests) = parts.expect("no errors, so there is a configuration");
    let outer = sources.env.clone();
    Ok(Config { spec, env_files, outer, port_requests: requests, notes, files, sources: texts })
}

fn read(sources: &ConfigSources, report: &mut LoadReport) -> Option<super::resolve::ConfigParts> {
    let paths = find_files(sources, report)?;
    let dir = config_dir(paths.first()?);
    // Local changes override the first file, and `-f` files after it override both.
    let local = Some(dir.join(LOCAL)).filter(|local| !paths.contains(local));
    let (first, more) = paths.split_first()?;
    let layers = [(first, true)].into_iter().chain(local.iter().map(|path| (path, false)));
    let layers = layers.chain(more.iter().map(|path| (path, true)));
    let mut texts: Vec<(u32, Arc<SourceFile>)> = Vec::new();
    let mut owners = BTreeSet::new();
    let mut complete = true;
    for (path, required) in layers {
        let read = read_config(path, sources, required, report);
        complete &= read.is_some() || !required;
        if let Some((text, owner)) = read {
            texts.push(text);
            owners.insert(owner);
        }
    }
    if !complete {
        return None;
    }
    let host = sources.overrides.host.as_deref();
    let spec = parse_and_check(&texts, &dir, host, report)?;
    check_dirs(&spec, report);
    let env_files = read_env_files(&spec, sources, &owners, report);
    Some(resolve_spec(spec, env_files, &sources.env, &sources.overrides, report))
}

fn find_files(sources: &ConfigSources, report: &mut LoadReport) -> Option<Vec<PathBuf>> {
    if !sources.files.is_empty() {
        return Some(sources.files.iter().map(|file| sources.cwd.join(file)).collect());
    }
    let found = sources.cwd.ancestors().map(|dir| dir.join(CONFIG_FILE)).find(|path| path.exists());
    if found.is_none() {
        report.track_file(sources.cwd.join(CONFIG_FILE));
        let text =
            format!("no {CONFIG_FILE} found in {} or any parent directory", sources.cwd.display());
        let help = format!(
            "create one, or give another file with -f; a minimal {CONFIG_FILE}:\n[services.web]\ncommand = \"…\"\nport = 3000"
        );
        report.error(DiagnosticBuilder::without_span(MessageClass::Config, text).help(help));
    }
    found.map(|path| vec![path])
}

/// Returns a file's directory, canonicalized if it has `..`, which symlinks could redirect.
fn config_dir(path: &Path) -> PathBuf {
    let dir = path.parent().unwrap_or(path);
    let up = dir.components().any(|part| part == std::path::Component::ParentDir);
    let real = if up { std::fs::canonicalize(dir).ok() } else { None };
    real.unwrap_or_else(|| dir.components().collect())
}

fn read_config(
    path: &Path,
    sources: &ConfigSources,
    required: bool,
    report: &mut LoadReport,
) -> Option<((u32, Arc<SourceFile>), u32)> {
    report.track_file(path.to_owned());
    let shown = display_path(path, &sources.cwd);
    match read_text(path) {
        Ok(FileText { text, owner }) => {
            let source = SourceFile::config(path.to_owned(), shown, text);
            Some((report.add_source(source), owner))
        }
        Err(ReadFileError::Absent) if !required => None,
        Err(why) => {
            let text = format!("cannot read {}: {}", quote(&shown), why.text());
            report.error(
                DiagnosticBuilder::without_span(MessageClass::Config, text).help(why.help()),
            );
            None
        }
    }
}

/// Reports directories that do not exist. Each is checked once.
fn check_dirs(spec: &StackSpec, report: &mut LoadReport) {
    let mut asked: BTreeMap<&Path, bool> = BTreeMap::new();
    for service in spec.services.values() {
        let Some(at) = service.dir_at else { continue };
        if *asked.entry(&service.dir).or_insert_with(|| service.dir.is_dir()) {
            continue;
        }
        let dir = service.dir.strip_prefix(&spec.dir).unwrap_or(&service.dir);
        let dir = quote(&dir.to_string_lossy());
        let fault = if service.dir.exists() {
            DiagnosticBuilder::at(at, format!("{dir} is not a directory"))
        } else {
            DiagnosticBuilder::at(at, format!("no such directory: {dir}"))
        };
        report.error(
            fault.help(
                "create it, or fix `dir`; `dir` is relative to the directory of devstack.toml",
            ),
        );
    }
}

/// Reads all env files. Those of other users are rejected, because variables can make programs run
/// code; root and the `owners` of the configuration can run any command already.
fn read_env_files(
    spec: &StackSpec,
    sources: &ConfigSources,
    owners: &BTreeSet<u32>,
    report: &mut LoadReport,
) -> EnvFileSet {
    let trusted = |owner| {
        let own = sources.user.is_none_or(|user| user == owner);
        own || owner == ROOT || owners.contains(&owner)
    };
    let read = |path: &Path| match read_text(path)? {
        FileText { text, owner } if trusted(owner) => Ok(text),
        FileText { owner, .. } => Err(ReadFileError::Foreign { owner }),
    };
    let mut files = EnvFileSet::default();
    let mut absent: BTreeMap<&Path, ReadFileError> = BTreeMap::new();
    let of_services = spec.services.values().flat_map(|service| &service.env_files);
    for wanted in spec.env_files.iter().chain(of_services) {
        let EnvFileSpec { path, optional, at } = wanted;
        let shown = display_path(path, &sources.cwd);
        if files.files.contains_key(path) {
            continue;
        }
        if !absent.contains_key(path.as_path()) {
            report.track_file(path.clone());
            match read(path) {
                Ok(text) => {
                    let source = SourceFile::secret(path.clone(), shown, text);
                    let (file, _) = report.add_source(source);
                    files.add(path.clone(), file, report);
                    continue;
                }
                Err(why) => {
                    absent.insert(path, why);
                }
            }
        }
        match &absent[path.as_path()] {
            ReadFileError::Absent if *optional => {}
            why => files.unreadable(*at, &shown, (&why.text(), why.env_help()), report),
        }
    }
    files
}

/// Returns the path for display: relative to the working directory if below it.
fn display_path(path: &Path, cwd: &Path) -> String {
    match path.strip_prefix(cwd).unwrap_or(path) {
        here if here.as_os_str().is_empty() => ".".to_owned(),
        path => path.display().to_string(),
    }
}

mod names;

pub use names::{ConfigNames, config_names};
use read_file::{FileText, ReadFileError, read_text};

mod read_file;
#[cfg(test)]
mod tests;
