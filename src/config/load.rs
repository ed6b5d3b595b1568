//! The only part of the configuration that reads files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::MessageClass;

use super::assemble::{assemble, check_texts};
use super::diagnostics::Diagnostics;
use super::draft::Draft;
use super::env_file::EnvFiles;
use super::fault::Fault;
use super::report::{Findings, Report};
use super::source::Source;
use super::sources::Sources;
use super::spec::{EnvFileSpec, StackSpec};
use super::suggest::quote;

const FILE: &str = "devstack.toml";

/// Root can write any file anyway, so its files are trusted.
const ROOT: u32 = 0;

/// The user's own changes, next to the main file.
const LOCAL: &str = "devstack.local.toml";

/// Reads and checks a configuration: its files, their overrides, and env files.
///
/// # Errors
///
/// Everything that is wrong, as far as it can be found at once.
pub fn load(sources: &Sources) -> Result<Draft, Diagnostics> {
    let mut report = Report::default();
    let parts = read(sources, &mut report);
    let Findings { notes, files, sources: texts } = report.finish()?;
    let (spec, env_files, wishes) = parts.expect("no errors, so there is a configuration");
    let outer = sources.env.clone();
    Ok(Draft { spec, env_files, outer, wishes, notes, files, sources: texts })
}

fn read(sources: &Sources, report: &mut Report) -> Option<super::assemble::Parts> {
    let paths = find(sources, report)?;
    let dir = folder_of(paths.first()?);
    // Local changes override the first file, and `-f` files after it override both.
    let local = Some(dir.join(LOCAL)).filter(|local| !paths.contains(local));
    let (first, more) = paths.split_first()?;
    let layers = [(first, true)].into_iter().chain(local.iter().map(|path| (path, false)));
    let layers = layers.chain(more.iter().map(|path| (path, true)));
    let mut texts: Vec<(u32, Arc<Source>)> = Vec::new();
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
    let spec = check_texts(&texts, &dir, host, report)?;
    check_folders(&spec, report);
    let env_files = read_env_files(&spec, sources, &owners, report);
    Some(assemble(spec, env_files, &sources.env, &sources.overrides, report))
}

fn find(sources: &Sources, report: &mut Report) -> Option<Vec<PathBuf>> {
    if !sources.files.is_empty() {
        return Some(sources.files.iter().map(|file| sources.cwd.join(file)).collect());
    }
    let found = sources.cwd.ancestors().map(|folder| folder.join(FILE)).find(|path| path.exists());
    if found.is_none() {
        report.look_for(sources.cwd.join(FILE));
        let text = format!("no {FILE} found in {} or any parent directory", sources.cwd.display());
        let help = format!(
            "create one, or give another file with -f; a minimal {FILE}:\n[services.web]\ncommand = \"…\"\nport = 3000"
        );
        report.push(Fault::placeless(MessageClass::Config, text).help(help));
    }
    found.map(|path| vec![path])
}

/// Returns a file's directory, canonicalized if it has `..`, which symlinks could redirect.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(path);
    let up = folder.components().any(|part| part == std::path::Component::ParentDir);
    let real = if up { std::fs::canonicalize(folder).ok() } else { None };
    real.unwrap_or_else(|| folder.components().collect())
}

fn read_config(
    path: &Path,
    sources: &Sources,
    required: bool,
    report: &mut Report,
) -> Option<((u32, Arc<Source>), u32)> {
    report.look_for(path.to_owned());
    let shown = shown(path, &sources.cwd);
    match read_text(path) {
        Ok(Text { text, owner }) => {
            let source = Source::config(path.to_owned(), shown, text);
            Some((report.add_source(source), owner))
        }
        Err(Unreadable::Absent) if !required => None,
        Err(why) => {
            let text = format!("cannot read {}: {}", quote(&shown), why.text());
            report.push(Fault::placeless(MessageClass::Config, text).help(why.help()));
            None
        }
    }
}

/// Reports directories that do not exist. Each is checked once.
fn check_folders(spec: &StackSpec, report: &mut Report) {
    let mut asked: BTreeMap<&Path, bool> = BTreeMap::new();
    for service in spec.services.values() {
        let Some(at) = service.dir_at else { continue };
        if *asked.entry(&service.dir).or_insert_with(|| service.dir.is_dir()) {
            continue;
        }
        let dir = service.dir.strip_prefix(&spec.dir).unwrap_or(&service.dir);
        let dir = quote(&dir.to_string_lossy());
        let fault = if service.dir.exists() {
            Fault::at(at, format!("{dir} is not a directory"))
        } else {
            Fault::at(at, format!("no such directory: {dir}"))
        };
        report.push(
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
    sources: &Sources,
    owners: &BTreeSet<u32>,
    report: &mut Report,
) -> EnvFiles {
    let trusted = |owner| {
        let own = sources.user.is_none_or(|user| user == owner);
        own || owner == ROOT || owners.contains(&owner)
    };
    let read = |path: &Path| match read_text(path)? {
        Text { text, owner } if trusted(owner) => Ok(text),
        Text { owner, .. } => Err(Unreadable::Foreign { owner }),
    };
    let mut files = EnvFiles::default();
    let mut absent: BTreeMap<&Path, Unreadable> = BTreeMap::new();
    let of_services = spec.services.values().flat_map(|service| &service.env_files);
    for wanted in spec.env_files.iter().chain(of_services) {
        let EnvFileSpec { path, optional, at } = wanted;
        let shown = shown(path, &sources.cwd);
        if files.files.contains_key(path) {
            continue;
        }
        if !absent.contains_key(path.as_path()) {
            report.look_for(path.clone());
            match read(path) {
                Ok(text) => {
                    let source = Source::secret(path.clone(), shown, text);
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
            Unreadable::Absent if *optional => {}
            why => files.unreadable(*at, &shown, (&why.text(), why.env_help()), report),
        }
    }
    files
}

/// Returns the path for display: relative to the working directory if below it.
fn shown(path: &Path, cwd: &Path) -> String {
    match path.strip_prefix(cwd).unwrap_or(path) {
        here if here.as_os_str().is_empty() => ".".to_owned(),
        path => path.display().to_string(),
    }
}

mod names;
mod text;

pub use names::{Names, names};
use text::{Text, Unreadable, read_text};

#[cfg(test)]
mod tests;
